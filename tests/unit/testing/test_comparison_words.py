"""Words and entities compared: hand-made cases, and what holds for all texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.testing.comparison.entities import EntityScore, entities_of, entity_scores
from kamerton.testing.comparison.words import WordErrors, normalised_words, word_errors

SAME = [
    ("Здравствуйте!", "здравствуйте", "ru"),
    ("ещё раз", "еще раз", "ru"),
    ("сто пятьдесят", "150", "ru"),
    ("Сто двадцать пять лошадиных сил.", "125 лошадиных сил", "ru"),
    ("полтора", "1,5", "ru"),
    ("двести пять пятьдесят пять эр шестнадцать", "205/55 R16", "ru"),
    ("двести пять пятьдесят пять эр шестнадцать", "205 55 р16", "ru"),
    ("двісті п'ять п'ятдесят п'ять ер шістнадцять", "205/55 R16", "uk"),
    ("восемь девятьсот двенадцать триста сорок пять шестьдесят семь восемьдесят девять", "8 912 345-67-89", "ru"),
    ("восемь девятьсот двенадцать триста сорок пять шестьдесят семь восемьдесят девять", "89123456789", "ru"),
    ("П’ятнадцять", "15", "uk"),
    ("ноль", "0", "ru"),
]

DIFFERENT = [
    ("сто двадцать пять", "сток двадцать пять", "a slip that a dialogue forgives"),
    ("девяносто", "девя носто", "a broken word"),
    ("сто пятьдесят", "сто шестьдесят", "another number"),
    ("205 55 R16", "205 55 R17", "another size"),
    ("сорок", "срок", "another word"),
]


@pytest.mark.parametrize(("one", "other", "language"), SAME)
def test_ways_of_writing_make_no_difference(one: str, other: str, language: str) -> None:
    assert normalised_words(one, language) == normalised_words(other, language)


@pytest.mark.parametrize(("one", "other", "why"), DIFFERENT, ids=[why for _, _, why in DIFFERENT])
def test_errors_stay_errors(one: str, other: str, why: str) -> None:
    assert normalised_words(one, "ru") != normalised_words(other, "ru")


@pytest.mark.parametrize(
    ("reference", "heard", "errors"),
    [
        ("а б в", "а б в", WordErrors(3)),
        ("а б в", "а г в", WordErrors(3, substitutions=1)),
        ("а б в", "а в", WordErrors(3, deletions=1)),
        ("а б в", "а б г в", WordErrors(3, insertions=1)),
        ("а б в", "", WordErrors(3, deletions=3)),
        ("", "а б", WordErrors(0, insertions=2)),
        ("", "", WordErrors(0)),
        ("а б в г", "б в г д", WordErrors(4, deletions=1, insertions=1)),
    ],
)
def test_the_fewest_errors_are_counted(reference: str, heard: str, errors: WordErrors) -> None:
    assert word_errors(reference.split(), heard.split()) == errors


WORDS = st.lists(st.sampled_from("абвг"), max_size=8)


@given(WORDS, WORDS)
def test_counts_fit_the_lengths_and_are_bounded(reference: list[str], heard: list[str]) -> None:
    errors = word_errors(reference, heard)
    assert errors.words == len(reference)
    assert len(reference) - errors.deletions + errors.insertions == len(heard)
    assert abs(len(reference) - len(heard)) <= errors.errors <= max(len(reference), len(heard))
    assert (errors.errors == 0) == (reference == heard)
    assert word_errors(heard, reference).errors == errors.errors


@pytest.mark.parametrize(
    ("text", "numbers", "sizes", "phones"),
    [
        ("сто пятьдесят лошадиных сил", ["150"], [], []),
        ("не сто, а сто двадцать", ["100", "120"], [], []),
        ("размер двести пять пятьдесят пять эр шестнадцать, четыре штуки", ["4"], ["205/55 R16"], []),
        ("205/55 R16", [], ["205/55 R16"], []),
        ("195 на 65 радиус 15", [], ["195/65 R15"], []),
        ("мой телефон +7 912 345-67-89", [], [], ["+79123456789"]),
        ("восемь девятьсот двенадцать триста сорок пять шестьдесят семь восемьдесят девять", [], [], ["+79123456789"]),
        ("здравствуйте", [], [], []),
    ],
)
def test_the_entities_of_a_text(text: str, numbers: list[str], sizes: list[str], phones: list[str]) -> None:
    found = entities_of(text, "ru")
    assert (sorted(found.numbers.elements()), list(found.sizes), list(found.phones)) == (numbers, sizes, phones)


def test_a_ukrainian_size_and_phone_are_found() -> None:
    found = entities_of("двісті п'ять на п'ятдесят п'ять ер шістнадцять", "uk")
    assert list(found.sizes) == ["205/55 R16"]
    assert list(entities_of("нуль шістдесят сім 123 45 67", "uk").phones) == ["+380671234567"]


def test_entities_are_right_wrong_or_invented() -> None:
    scores = entity_scores("четыре шины 205/55 R16", "пять шин 205/55 R16", "ru")
    assert scores["numbers"] == EntityScore(wanted=1, found=0, invented=1)
    assert scores["sizes"] == EntityScore(wanted=1, found=1)
    assert scores["phones"] == EntityScore()
    assert scores["numbers"] + scores["sizes"] == EntityScore(2, 1, 1)


def test_a_number_said_twice_has_to_be_heard_twice() -> None:
    assert entity_scores("два и ещё два", "два", "ru")["numbers"] == EntityScore(wanted=2, found=1)
