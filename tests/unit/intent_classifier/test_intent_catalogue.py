"""Reading intents.json: every fault at once, with its place."""

from __future__ import annotations

from typing import Any

import pytest

from kamerton.domain.errors import AssistantError
from kamerton.intent_classifier import FaqEntry, IntentExamples, parse_intents


def test_good_documents() -> None:
    intents = parse_intents({"intents": {"repeat": {"examples": ["ещё раз"], "faq": True, "threshold": 0.5}}}, "a")
    assert intents == (IntentExamples("repeat", ("ещё раз",), faq=True, threshold=0.5),)
    assert FaqEntry("card", "Картой?", "Да.", ("по карте",)).questions == ("Картой?", "по карте")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ([], "must be an object"),
        ({}, "'examples' must be a list"),
        ({"examples": []}, "'examples' must be a list"),
        ({"examples": ["…"]}, "texts with words"),
        ({"examples": ["a"], "treshold": 1}, "unknown keys: treshold"),
        ({"examples": ["a"], "threshold": 2}, "'threshold' must be"),
        ({"examples": ["a"], "faq": "yes"}, "'faq' must be"),
    ],
)
def test_faults_of_intents(entry: Any, problem: str) -> None:
    with pytest.raises(AssistantError, match=problem):
        parse_intents({"intents": {"repeat": entry}}, "a")


def test_all_faults_are_told_at_once() -> None:
    document = {"intents": {"a": {}, "b": {"examples": ["Да!"]}, "c": {"examples": ["да"]}}}
    with pytest.raises(AssistantError) as caught:
        parse_intents(document, "shop")
    assert len(caught.value.problems) == 2
    assert "example of both 'b' and 'c'" in caught.value.problems[1]


@pytest.mark.parametrize("document", [None, [], {"intents": []}])
def test_intents_of_another_shape(document: Any) -> None:
    with pytest.raises(AssistantError, match="needs an object"):
        parse_intents(document, "a")
