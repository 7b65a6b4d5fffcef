"""Consent is explicit: `tests/data/agreement/yes_no.tsv` says what agrees, what refuses and what is asked again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import REPO

from kamerton.domain.dialogue import Completeness, EntityKind, Expectation
from kamerton.intent_classifier import completeness, yes_no
from kamerton.intent_classifier.verdicts import verdict

ROWS = [
    tuple(line.split("\t"))
    for line in (REPO / "tests/data/agreement/yes_no.tsv").read_text(encoding="utf-8").splitlines()[1:]
]
RIGHT = {"yes": True, "no": False, "ask": None}
CONFIRM = Expectation(entity=EntityKind.YES_NO, intents=("yes", "no"))
ENDING = Expectation(entity=EntityKind.YES_NO, intents=("yes", "no", "correct"), ending=frozenset({"no"}))
ALSO_WHOLE = {"ладно", "не понял"}
"""Nothing need follow them, whatever they are taken for."""
AGREEMENTS = [(text, language) for text, language, right in ROWS if right == "yes" and text.split()[0] != "нет"]


@pytest.mark.parametrize(("text", "language", "right"), ROWS)
def test_agreement(text: str, language: str, right: str) -> None:
    assert yes_no(text, language) is RIGHT[right]


@pytest.mark.parametrize(("text", "language", "right"), ROWS)
def test_the_verdict_and_the_grade_follow_it(text: str, language: str, right: str) -> None:
    found = verdict(text, CONFIRM, language)
    intent = found.intent if found is not None else None
    assert intent == (None if right == "ask" else right)
    if right == "ask":
        assert completeness(text, CONFIRM, language) is not Completeness.COMPLETE or text in ALSO_WHOLE


@given(agreement=st.sampled_from(AGREEMENTS), limit=st.sampled_from([", но дорого", ", кроме цены", ", если дешевле"]))
def test_no_limited_agreement_is_a_yes(agreement: tuple[str, str], limit: str) -> None:
    text, language = agreement
    uk = {", но дорого": ", але дорого", ", кроме цены": ", крім ціни", ", если дешевле": ", якщо дешевше"}
    limited = text.rstrip(".!") + (uk[limit] if language == "uk" else limit)
    assert yes_no(limited, language) is not True


@given(agreement=st.sampled_from(AGREEMENTS))
def test_no_question_is_a_yes(agreement: tuple[str, str]) -> None:
    text, language = agreement
    assert yes_no(text.rstrip(".!") + "?", language) is not True


@given(st.text(max_size=60), st.sampled_from(["ru", "uk"]))
def test_any_text_is_judged(text: str, language: str) -> None:
    assert yes_no(text, language) in {True, False, None}


@pytest.mark.parametrize("text", ["нет", "нет, спасибо", "Нет, больше ничего.", "ничего не надо, спасибо", "пока нет"])
def test_a_refusal_that_only_declines_may_end_the_call(text: str) -> None:
    found = verdict(text, ENDING, "ru")
    assert found is not None
    assert found.intent == "no"


@pytest.mark.parametrize(
    "text",
    ["не то", "не всё", "нет, не всё", "не так быстро", "не хочу ждать", "не надо перезванивать", "нет, есть вопрос"],
)
def test_a_refusal_of_something_does_not(text: str) -> None:
    found = verdict(text, ENDING, "ru")
    assert found is None or found.intent != "no"


@pytest.mark.parametrize("text", ["неправильно", "ошибка", "исправьте"])
def test_what_is_called_wrong_is_a_correction_where_a_no_would_end_the_call(text: str) -> None:
    found = verdict(text, ENDING, "ru")
    assert found is not None
    assert found.intent == "correct"
