"""Reading words one by one as parts of numbers: the step before they are put together.

An atom is one number word, one digit string, or two pieces of a word that a recogniser tore apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from kamerton.intent_classifier.number_slips import is_hundred_slip, slip
from kamerton.intent_classifier.number_words import NumberWord, number_words
from kamerton.intent_classifier.phrases import phrasebook
from kamerton.intent_classifier.words import Token, listed

_DIGIT_SUFFIXES = frozenset(listed("ти ми х й я ю го му мя ть ой ый ох ьох им"))
"""Endings written after digits: «25-ти», «2-х»."""

_LONGEST_LENIENT_UTTERANCE = 7
_LEAST_JOINED_LETTERS = 5
_MOST_DIGITS = 15
_NOT_ORDINAL_AFTER = frozenset({"во", "по"})
_LEAST_TORN_LETTERS = 3
_LEAST_TORN_VALUE = 11
_TEAR_GAPS = frozenset({"", "-"})
_MORE_SLIPS_IN_SHORT = 2
_SHORT_WORD_LETTERS = 4


@dataclass(frozen=True, slots=True)
class Atom:
    """A part of a number: its value and the tokens it covers."""

    value: float
    first: int
    last: int
    exact: bool = True
    digits: bool = False
    multiplies: bool = False
    ordinal: bool = False
    needs_next: bool = False
    """True for a slip of «сто» that only counts when a smaller number follows."""


def read_atoms(tokens: tuple[Token, ...], language: str, *, expected: bool) -> list[Atom]:
    """The atoms of an utterance in order. `expected` lets recogniser's slips and ordinals count."""
    atoms: list[Atom] = []
    place = 0
    while place < len(tokens):
        atom = _digits(tokens, place) if tokens[place].is_digits else _word(tokens, place, language, expected)
        if atom is None:
            place += 1
            continue
        atoms.append(atom)
        place = atom.last + 1
    return atoms


def _digits(tokens: tuple[Token, ...], place: int) -> Atom | None:
    """A digit string with its thousands («1 500») and its written ending («25-ти»); None for endless ones."""
    text, last = tokens[place].text, place
    whole, _, fraction = text.replace(",", ".").partition(".")
    if len(fraction) == 3 and whole != "0":
        whole, fraction = whole + fraction, ""
    while not fraction and last + 1 < len(tokens) and _is_thousands_group(whole, tokens[last + 1]):
        last += 1
        whole += tokens[last].text
    if len(whole) > _MOST_DIGITS:
        return None
    value = float(f"{whole}.{fraction}") if fraction else float(whole)
    if last + 1 < len(tokens) and tokens[last + 1].gap == "-" and tokens[last + 1].text in _DIGIT_SUFFIXES:
        last += 1
    return Atom(value, place, last, digits=True)


def _is_thousands_group(so_far: str, token: Token) -> bool:
    if not token.is_digits or token.gap or not token.spaced or len(token.text) != 3 or so_far.startswith("0"):
        return False
    return len(so_far) != 3 or token.text.endswith("00")


def _word(tokens: tuple[Token, ...], place: int, language: str, expected: bool) -> Atom | None:
    token = tokens[place]
    table = number_words(language)
    joined = _joined(tokens, place, language, expected)
    if joined is not None:
        return joined
    known = table.get(token.text)
    if known is not None:
        if known.ordinal and (not expected or _is_adverb(tokens, place)):
            return None
        return _atom(known, place, place, exact=True)
    if expected and place + 1 < len(tokens) and is_hundred_slip(token.text, tokens[place + 1].gap):
        return Atom(100, place, place, exact=False, needs_next=True)
    if not _may_be_slip(tokens, token.text, expected):
        return None
    guessed = slip(token.text, language, expected=expected)
    return None if guessed is None else _atom(guessed, place, place, exact=False)


def _may_be_slip(tokens: tuple[Token, ...], word: str, expected: bool) -> bool:
    if not expected:
        return True
    if len(word) <= _SHORT_WORD_LETTERS:
        return len(tokens) <= _MORE_SLIPS_IN_SHORT
    return len(tokens) <= _LONGEST_LENIENT_UTTERANCE


def _is_adverb(tokens: tuple[Token, ...], place: int) -> bool:
    """«во-первых» is no answer."""
    return tokens[place].gap == "-" and place > 0 and tokens[place - 1].text in _NOT_ORDINAL_AFTER


def _joined(tokens: tuple[Token, ...], place: int, language: str, expected: bool) -> Atom | None:
    """Two neighbours that make one number word together, unless both are number words already."""
    if place + 1 >= len(tokens) or tokens[place + 1].is_digits or tokens[place + 1].gap not in _TEAR_GAPS:
        return None
    table = number_words(language)
    left, right = tokens[place].text, tokens[place + 1].text
    whole = left + right
    if len(whole) < _LEAST_JOINED_LETTERS or (left in table and right in table):
        return None
    found = table.get(whole)
    if found is not None and not found.ordinal:
        return _atom(found, place, place + 1, exact=len(left) > 1 and len(right) > 1)
    if not expected or left not in table or len(tokens) > _LONGEST_LENIENT_UTTERANCE or _stands_alone(right, language):
        return None
    guessed = slip(whole, language, expected=True)
    if guessed is None or guessed.value < _LEAST_TORN_VALUE:
        return None
    return _atom(guessed, place, place + 1, exact=False)


@lru_cache(maxsize=1024)
def _stands_alone(word: str, language: str) -> bool:
    """Whether a word has its own place beside a number, and so is no torn-off piece of one."""
    book = phrasebook(language)
    if len(word) < _LEAST_TORN_LETTERS or word in book.fillers or word in book.open_words or word in book.not_counted:
        return True
    return any(word in unit.split() for family in book.units for unit in family)


def _atom(word: NumberWord, first: int, last: int, *, exact: bool) -> Atom:
    return Atom(word.value, first, last, exact=exact, multiplies=word.multiplies, ordinal=word.ordinal)
