"""Where a sentence ends: not after an abbreviation or an initial, nor where a small letter goes on."""

from __future__ import annotations

import re
from typing import Final

_BEFORE_A_NAME: Final = frozenset(
    {
        *("г", "ул", "д", "кв", "корп", "стр", "вул", "буд", "м", "им", "просп", "рис", "ст", "п", "пп", "абз", "гл"),
        *("т.е", "т.к", "т.н", "т.о", "т.ч", "т.зв", "напр", "тел"),
    }
)
"""Abbreviations that never end a sentence: a name, a number or an explanation follows them."""
_AFTER_AN_AMOUNT: Final = frozenset(
    {
        *("т.д", "т.п", "и.о", "обл", "доб", "руб", "коп", "тыс", "млн", "млрд", "мин", "сек", "ч", "чел", "шт", "л.с"),
        *("л", "с", "др", "пр", "р", "см", "грн", "тис", "хв", "год", "к.с", "к", "ін", "дол", "долл", "мес", "міс"),
        *("дн", "ос", "н.э"),
    }
)
"""Abbreviations that end a sentence when a capital letter follows."""
_MARKS_AT_END: Final = re.compile(r"[.!?…]+[»\"”')\]]*$")
_WORD_AT_END: Final = re.compile(r"([^\W\d_]+(?:\.\s?[^\W\d_]+)*)\.$")
_LONGEST_WORD: Final = 24
"""Characters before a full stop that can tell an abbreviation."""


def ends_sentence(before: str, following: str) -> bool:
    """Whether a sentence ends between two stretches of text.

    Args:
        before: the text up to the place, without white space at its end.
        following: the first character after the place that is not white space; "" at the end of the text.
    """
    marks = _MARKS_AT_END.search(before)
    if marks is None or following.islower():
        return False
    if marks[0] != "." or not following:
        return True
    word = _WORD_AT_END.search(before[-_LONGEST_WORD:])
    if word is None:
        return True
    said = word[1].replace(" ", "")
    initial = said.rpartition(".")[2]
    if len(initial) == 1 and initial.isupper():
        return False
    if said.lower() in _BEFORE_A_NAME:
        return False
    return said.lower() not in _AFTER_AN_AMOUNT or following.isupper()
