"""Russian numerals in words, in any case and gender."""

from __future__ import annotations

from num2words import num2words

from kamerton.tts.spoken.grammar import Case, Gender, Noun, noun

LARGEST = 10**15 - 1
"""The largest whole number said as a number."""

_WHOLE = noun("f", "целая, целой, целой, целую, целой, целой", "целых, целых, целым, целых, целыми, целых", "целых")
_FRACTIONS: dict[int, Noun] = {
    places: noun(
        "f",
        f"{stem}ая, {stem}ой, {stem}ой, {stem}ую, {stem}ой, {stem}ой",
        f"{stem}ых, {stem}ых, {stem}ым, {stem}ых, {stem}ыми, {stem}ых",
        f"{stem}ых",
    )
    for places, stem in ((1, "десят"), (2, "сот"), (3, "тысячн"))
}


def cardinal(number: int, case: Case = "n", gender: Gender = "m") -> str:
    """The number in words: 21, genitive, feminine → «двадцати одной»."""
    return str(num2words(number, lang="ru", case=case, gender=gender, animate=False))


def ordinal(number: int, case: Case = "n", gender: Gender = "m") -> str:
    """The place in words: 2024, genitive → «две тысячи двадцать четвёртого»."""
    return str(num2words(number, lang="ru", to="ordinal", case=case, gender=gender, animate=False))


def plural_ordinal(number: int, case: Case = "n") -> str:
    """The place in the plural: 90 → «девяностые»."""
    return str(num2words(number, lang="ru", to="ordinal", case=case, plural=True, animate=False))


def decimal(whole: int, fraction: str, case: Case = "n") -> str:
    """A decimal fraction of up to three places: (1, "5") → «одна целая пять десятых»."""
    part = int(fraction)
    return " ".join(
        (
            cardinal(whole, case, "f"),
            _WHOLE.agreeing(whole, case),
            cardinal(part, case, "f"),
            _FRACTIONS[len(fraction)].agreeing(part, case),
        )
    )
