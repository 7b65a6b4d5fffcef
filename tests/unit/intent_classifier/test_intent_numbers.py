"""Numbers in words, digits, and what a recogniser makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from kamerton.domain.errors import ConfigurationError
from kamerton.intent_classifier import find_numbers

EXACT = {
    "сто двадцать пять": [125],
    "двадцати пяти": [25],
    "двумястами лошадиными силами": [200],
    "миллион двести тысяч триста сорок пять": [1_200_345],
    "полтора": [1.5],
    "полторы тысячи": [1500],
    "два с половиной миллиона": [2_500_000],
    "пара": [2],
    "двое": [2],
    "трое": [3],
    "четверо": [4],
    "один водитель": [1],
    "ноль": [0],
    "ни одного": [0],
    "1 500": [1500],
    "15 тыс": [15_000],
    "15 тысяч пятьсот": [15_500],
    "100-25": [125],
    "20-5": [25],
    "в 100 50": [150],
    "12,5": [12.5],
    "25-ти": [25],
    "двадцать сто": [20, 100],
    "сто-сто двадцать": [100, 120],
    "две сотни пятьдесят": [250],
    "девя носто": [90],
    "погода в москве": [],
    "м²": [],
    "9" * 400: [],
    "опять": [],
    "": [],
}

SLIPS = {
    "сток двадцать пять": [125],
    "сурок": [40],
    "пидесят": [50],
    "пиддесят": [50],
    "стоп пятьдесят": [150],
    "втон пятьдесят": [150],
    "ВтО, пятьдесят": [150],
    "Два суть пять": [25],
    "20 теч": [20],
    "20 кетч": [20],
    "Сто... пятьдесят.": [150],
    "Сто, двадцать, пять": [125],
    "двадцать первый": [21],
}

REAL_WORDS = ["опять", "срок", "семья", "во-первых", "стоп", "часть", "у меня есть дверь", "стоимость"]

UKRAINIAN = {
    "сто п'ятдесят": [150],
    "сто п’ятдесят": [150],
    "дев'яносто": [90],
    "двадцять п'ять років": [25],
    "троє": [3],
    "півтори тисячі": [1500],
    "шістсот": [600],
    "вісімдесят два": [82],
    "чотириста": [400],
    "сім": [7],
}


def values(text: str, language: str = "ru", *, expected: bool = False) -> list[float]:
    return [span.value for span in find_numbers(text, language, expected=expected)]


@pytest.mark.parametrize(("text", "numbers"), EXACT.items())
def test_exact_readings_count_everywhere(text: str, numbers: list[float]) -> None:
    assert values(text) == numbers
    assert values(text, expected=True) == numbers


@pytest.mark.parametrize(("text", "numbers"), SLIPS.items())
def test_slips_count_where_a_number_is_expected(text: str, numbers: list[float]) -> None:
    assert values(text, expected=True) == numbers


@pytest.mark.parametrize("text", ["сурок", "пидесят", "двадцать первый вопрос", "втон"])
def test_free_talk_is_read_strictly(text: str) -> None:
    assert values(text) == ([20] if text.startswith("двадцать") else [])


@pytest.mark.parametrize("text", REAL_WORDS)
def test_common_words_stay_words_even_when_a_number_is_expected(text: str) -> None:
    assert values(text, expected=True) == []


def test_a_command_before_a_number_is_no_hundred() -> None:
    assert values("стоп, двадцать пять", expected=True) == [25]


def test_a_slip_alone_yields_to_an_exact_number() -> None:
    assert values("сурок и двадцать пять", expected=True) == [25]


@pytest.mark.parametrize(("text", "numbers"), UKRAINIAN.items())
def test_ukrainian(text: str, numbers: list[float]) -> None:
    assert values(text, "uk-UA") == numbers


@pytest.mark.parametrize(("text", "language"), [("не сто, а сто пятьдесят", "ru"), ("не сто, а сто п'ятдесят", "uk")])
def test_a_rejected_number_is_marked(text: str, language: str) -> None:
    spans = find_numbers(text, language, expected=True)
    assert [(span.value, span.negated) for span in spans] == [(100, True), (150, False)]


def test_nothing_is_joined_to_a_rejected_number() -> None:
    assert values("не сто, пятьдесят", expected=True) == [100, 50]


def test_spans_point_at_the_words() -> None:
    text = "там сто двадцать пять лошадиных сил"
    (span,) = find_numbers(text)
    assert text[span.start : span.end] == "сто двадцать пять"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'de'"):
        find_numbers("eins", "de")


@given(st.integers(0, 999_999_999), st.sampled_from(["ru", "uk"]))
def test_every_number_said_in_words_is_read_back(number: int, language: str) -> None:
    words = num2words(number, lang=language)
    assert values(words, language) == [number], words
    assert values(words, language, expected=True) == [number], words


@given(st.text(max_size=60), st.booleans())
def test_no_text_breaks_the_reader(text: str, expected: bool) -> None:
    for span in find_numbers(text, "ru", expected=expected):
        assert 0 <= span.start < span.end <= len(text)
