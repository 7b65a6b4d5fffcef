"""The labelled questions of the bundled assistant: what calibration learns from and is judged by."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import product
from typing import Any

import pytest
from paths import REPO

FOLDER = REPO / "assistants" / "insurance"
Question = dict[str, Any]
EMPTY = "а и в на по за с у вы мне мой я что как ли не то это же вот бы можно если надо нужно есть так да"


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    loaded: list[Question] = json.loads((FOLDER / "questions.json").read_text("utf-8"))
    return loaded


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((FOLDER / "data.json").read_text("utf-8"))
    return loaded


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower().replace("ё", "е")))


def stems(text: str) -> frozenset[str]:
    """Words without their endings and without those that stand in any question."""
    return frozenset(word[:5] for word in words(text).split() if word not in EMPTY.split())


def alike(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def test_every_question_is_well_formed(questions: list[Question], entries: list[dict[str, Any]]) -> None:
    answers = {entry["id"] for entry in entries} | {None}
    for question in questions:
        assert set(question) == {"text", "answer", "part"}, question
        assert words(question["text"]) == question["text"].strip(), question  # as a recogniser writes: bare words
        assert question["answer"] in answers, question
        assert question["part"] in ("fit", "held"), question


def test_there_are_enough_of_each_kind(questions: list[Question], entries: list[dict[str, Any]]) -> None:
    assert len(questions) >= 300
    counts = Counter(question["answer"] for question in questions)
    assert 0.3 <= counts[None] / len(questions) <= 0.36
    assert all(counts[entry["id"]] >= 8 for entry in entries)


def test_a_third_is_held_back_and_holds_something_of_everything(
    questions: list[Question], entries: list[dict[str, Any]]
) -> None:
    held = [question for question in questions if question["part"] == "held"]
    assert 0.3 <= len(held) / len(questions) <= 0.36
    counts = Counter(question["answer"] for question in held)
    assert all(counts[entry["id"]] >= 3 for entry in entries)
    assert 0.3 <= counts[None] / len(held) <= 0.36


def test_no_question_is_asked_twice(questions: list[Question]) -> None:
    repeated = [text for text, count in Counter(words(question["text"]) for question in questions).items() if count > 1]
    assert not repeated


def test_no_held_question_is_a_near_copy_of_one_to_learn_from(questions: list[Question]) -> None:
    fit = [question["text"] for question in questions if question["part"] == "fit"]
    held = [question["text"] for question in questions if question["part"] == "held"]
    assert not [(one, other) for one, other in product(held, fit) if alike(stems(one), stems(other)) > 0.6]


def test_no_question_with_an_answer_is_a_near_copy_of_a_variant(
    questions: list[Question], entries: list[dict[str, Any]]
) -> None:
    known = [text for entry in entries for text in (entry["question"], *entry["variants"])]
    asked = [question["text"] for question in questions if question["answer"]]
    assert not [(one, other) for one, other in product(asked, known) if alike(stems(one), stems(other)) > 0.6]
