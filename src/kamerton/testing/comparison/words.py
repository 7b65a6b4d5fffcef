"""Words compared as a person would: case, punctuation, «ё» and the way a number is written make no difference.

Pure. Numbers are read by the project's own parser, but only from right words: what a forgiving reader would take for a
number («сток двадцать пять») is an error here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kamerton.intent_classifier.number_words import number_words
from kamerton.intent_classifier.numbers import NumberSpan, find_numbers
from kamerton.intent_classifier.words import Token, tokenize

CODE_DIGITS: Final = 7
"""Numbers in a row with so many digits are one code (a phone, a card): «8 912» and «8912» are the same."""

RADIUS_LETTERS: Final = frozenset({"r", "р", "эр", "ер"})
"""How the letter of a tyre's size («R16») is written or said."""

_DIGITS: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class WordErrors:
    """What it takes to turn one text into another."""

    words: int
    """In the reference."""
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        """All of them."""
        return self.substitutions + self.deletions + self.insertions

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def normalised_words(text: str, language: str) -> tuple[str, ...]:
    """The words of a text in the one form in which texts are compared; numbers in digits."""
    tokens = tokenize(text)
    starts = {span.first: span for span in find_numbers(text, language) if _is_plain(span, tokens, language)}
    words: list[str] = []
    place = 0
    while place < len(tokens):
        span = starts.get(place)
        if span is not None:
            words.append(_number(span, tokens))
            place = span.last + 1
        else:
            words.append(tokens[place].text)
            place += 1
    return tuple(_joined_codes(_one_radius_letter(words)))


def word_errors(reference: Sequence[str], heard: Sequence[str]) -> WordErrors:
    """The fewest errors by which `heard` differs from `reference` (Levenshtein over words)."""
    row = [WordErrors(len(reference), insertions=count) for count in range(len(heard) + 1)]
    for wanted in reference:
        before, row = row, [_more(row[0], deletions=1)]
        for place, word in enumerate(heard):
            diagonal = before[place] if word == wanted else _more(before[place], substitutions=1)
            options = (diagonal, _more(before[place + 1], deletions=1), _more(row[place], insertions=1))
            row.append(min(options, key=lambda option: option.errors))
    return row[-1]


def _more(errors: WordErrors, substitutions: int = 0, deletions: int = 0, insertions: int = 0) -> WordErrors:
    return errors + WordErrors(0, substitutions, deletions, insertions)


def _is_plain(span: NumberSpan, tokens: Sequence[Token], language: str) -> bool:
    """Whether every word of a number is a right one."""
    table = number_words(language)
    covered = tokens[span.first : span.last + 1]
    return all(token.is_digits or token.text in table for token in covered)


def _number(span: NumberSpan, tokens: Sequence[Token]) -> str:
    covered = tokens[span.first : span.last + 1]
    if len(covered) == 1 and covered[0].is_digits:
        return covered[0].text.replace(",", ".")
    return f"{span.value:.10g}"


def _one_radius_letter(words: Sequence[str]) -> list[str]:
    """«эр» before a number is the letter of a size."""
    return [
        "r" if word in RADIUS_LETTERS and place + 1 < len(words) and _DIGITS.fullmatch(words[place + 1]) else word
        for place, word in enumerate(words)
    ]


def _joined_codes(words: Sequence[str]) -> list[str]:
    joined: list[str] = []
    run: list[str] = []
    for word in (*words, ""):
        if _DIGITS.fullmatch(word):
            run.append(word)
            continue
        joined += ["".join(run)] if len("".join(run)) >= CODE_DIGITS else run
        run = []
        if word:
            joined.append(word)
    return joined
