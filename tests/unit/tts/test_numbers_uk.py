import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from kamerton.tts.spoken import numbers_uk
from kamerton.tts.spoken.grammar import CASES, Case, Gender, noun
from kamerton.tts.spoken.lexicon_ru import RUSSIAN
from kamerton.tts.spoken.lexicon_uk import UKRAINIAN


@given(st.integers(0, numbers_uk.LARGEST))
def test_nominatives_agree_with_another_library(number: int) -> None:
    assert numbers_uk.cardinal(number) == num2words(number, lang="uk")


@pytest.mark.parametrize(
    ("number", "case", "gender", "words"),
    [
        (0, "g", "m", "нуля"),
        (21, "g", "f", "двадцяти однієї"),
        (2, "n", "f", "дві"),
        (7, "i", "m", "сьома"),
        (340, "d", "m", "трьомстам сорока"),
        (16500, "g", "m", "шістнадцяти тисяч п'ятисот"),
        (-3, "n", "m", "мінус три"),
        (2_000_002, "i", "f", "двома мільйонами двома"),
    ],
)
def test_numerals_decline(number: int, case: Case, gender: Gender, words: str) -> None:
    assert numbers_uk.cardinal(number, case, gender) == words


@pytest.mark.parametrize(
    ("number", "case", "gender", "words"),
    [
        (3, "g", "f", "третьої"),
        (1990, "p", "m", "тисяча дев'ятсот дев'яностому"),
        (2024, "n", "m", "дві тисячі двадцять четвертий"),
        (2000, "g", "m", "двохтисячного"),
        (1000, "n", "m", "тисячний"),
        (300, "n", "m", "трьохсотий"),
        (13, "n", "f", "тринадцята"),
        (0, "n", "m", "нульовий"),
    ],
)
def test_ordinals_decline(number: int, case: Case, gender: Gender, words: str) -> None:
    assert numbers_uk.ordinal(number, case, gender) == words


@pytest.mark.parametrize("lexicon", [RUSSIAN, UKRAINIAN])
def test_every_unit_has_a_form_for_every_number_and_case(lexicon: object) -> None:
    units = (RUSSIAN if lexicon is RUSSIAN else UKRAINIAN).units
    for unit in units:
        for case in CASES:
            assert all(unit.said.agreeing(number, case) for number in (0, 1, 2, 5, 11, 14, 21, 111))


def test_a_row_with_a_missing_form_is_refused() -> None:
    with pytest.raises(ValueError, match="six forms"):
        noun("m", "рубль, рубля", "рубли")
