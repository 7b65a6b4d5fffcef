"""What the rules of `spoken_text` need to know of a language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kamerton.tts.spoken.grammar import Case, Gender, Noun


class Numerals(Protocol):
    """The numerals of a language: the module `numbers_ru` or `numbers_uk`."""

    LARGEST: int

    @property
    def cardinal(self) -> Callable[[int, Case, Gender], str]:
        """Number in words."""
        ...

    @property
    def ordinal(self) -> Callable[[int, Case, Gender], str]:
        """Place in words."""
        ...

    @property
    def plural_ordinal(self) -> Callable[[int, Case], str]:
        """Place in the plural."""
        ...

    @property
    def decimal(self) -> Callable[[int, str, Case], str]:
        """Decimal fraction in words."""
        ...


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as it is written (a regular expression) and as it is said; `hundredth` is its coin."""

    written: str
    said: Noun
    hundredth: Noun | None = None


@dataclass(frozen=True, slots=True)
class SmallWords:
    """Single words that rules insert."""

    zero: str
    minus: str
    plus: str
    point: str
    number: str
    number_from: str
    number_to: str
    onto: str
    radius: str
    year: Noun
    hour: Noun


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """One language's words for the rules; compared and hashed by identity."""

    numerals: Numerals
    words: SmallWords
    units: tuple[Unit, ...]
    multipliers: tuple[tuple[str, int], ...]
    governors: Mapping[str, Case]
    """Word before a number → case that it asks for."""
    joints: frozenset[str]
    """Words that carry a number's case over to the next number («между пятью и десятью»)."""
    plain_prepositions: frozenset[str]
    """Prepositions after which a range stands bare («на пять, десять минут»), without "from … to"."""
    months: tuple[str, ...]
    date_governors: Mapping[str, Case]
    year_words: Mapping[str, Case]
    ordinal_endings: Mapping[str, tuple[Case, Gender]]
    cardinal_endings: frozenset[str]
    """Endings after a hyphen that mean a number in the genitive («5-ти»)."""
    compound_stems: tuple[str, ...]
    """Stems that grow together with a number («25-летний»)."""
    compound_exceptions: Mapping[str, str]
    abbreviations: tuple[tuple[str, str], ...]
    acronyms: Mapping[str, str]
    letters: Mapping[str, str]
    """Names of the letters, for acronyms without vowels."""
    vowels: str
    symbols: Mapping[str, str]
    hour_is_ordinal: bool
    gender_of: Callable[[int, Case, str, str], Gender]
    """Gender that a number in a case takes from the one or two words after it."""
    case_of: Callable[[str, str], Case | None]
    """Case shown by the word after a number, given the word before it; None when it shows none."""
