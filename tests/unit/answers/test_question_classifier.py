"""The classifier over all wordings of a catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from kamerton.answers.catalogue import NOT_ANSWERED
from kamerton.answers.question_classifier import QuestionClassifier
from kamerton.domain.embedding import Vectors

IDS = ("card", "card", "card", "office", "office", "office", f"{NOT_ANSWERED}где", f"{NOT_ANSWERED}как")


def unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    """Each answer has a direction of its own; its wordings differ more by others that mean nothing."""
    noise = np.random.default_rng(1).normal(size=(len(IDS), 32)).astype(np.float32)
    for row, axis in enumerate((0, 0, 0, 1, 1, 1, 2, 2)):
        noise[row, :3] = 0
        noise[row, axis] = 4
    return unit(noise)


def text(axis: int, seed: int) -> Vectors:
    found = np.random.default_rng(seed).normal(size=32).astype(np.float32)
    found[:3] = 0
    found[axis] = 4
    return unit(found)


@pytest.mark.parametrize("seed", range(20, 30))
def test_what_the_wordings_have_in_common_tells_answers_apart(vectors: Vectors, seed: int) -> None:
    classifier = QuestionClassifier(IDS, vectors)
    assert classifier.leads(text(0, seed))["card"] > 0 > classifier.leads(text(0, seed))["office"]
    assert classifier.leads(text(1, seed))["office"] > 0 > classifier.leads(text(1, seed))["card"]


@pytest.mark.parametrize("seed", range(20, 30))
def test_questions_without_an_answer_are_one_class_that_nothing_is_given_for(vectors: Vectors, seed: int) -> None:
    leads = QuestionClassifier(IDS, vectors).leads(text(2, seed))
    assert set(leads) == {"card", "office"}
    assert max(leads.values()) < 0


def test_it_is_the_same_at_every_start(vectors: Vectors) -> None:
    first, second = (QuestionClassifier(IDS, vectors).leads(text(0, 5)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("ids", "count"), [((), 0), (("card", "card"), 2)])
def test_with_nothing_to_tell_apart_there_are_no_leads(vectors: Vectors, ids: tuple[str, ...], count: int) -> None:
    assert QuestionClassifier(ids, vectors[:count]).leads(text(0, 5)) == {}


def test_no_vectors_at_all_have_no_dimensions() -> None:
    assert QuestionClassifier((), np.zeros((0, 0), dtype=np.float32)).leads(text(0, 5)) == {}
