"""Cases, genders and the agreement of a noun with its number, shared by Russian and Ukrainian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Case = Literal["n", "g", "d", "a", "i", "p"]
"""Nominative, genitive, dative, accusative, instrumental, prepositional (Ukrainian: locative)."""

Gender = Literal["m", "f", "n"]

CASES: tuple[Case, ...] = ("n", "g", "d", "a", "i", "p")


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun or a fixed noun phrase in all its forms, each tuple in the order of `CASES`."""

    gender: Gender
    singular: tuple[str, ...]
    plural: tuple[str, ...]
    paucal: str = ""
    """Form after 2, 3, 4 in the nominative where it is neither the genitive singular nor regular."""

    def agreeing(self, number: int, case: Case) -> str:
        """The form that follows a whole number governed by a case: 21 рубль, 2 рубля, 5 рублей, до 2 рублей."""
        at = CASES.index(case)
        if number % 10 == 1 and number % 100 != 11:
            return self.singular[at]
        if case not in ("n", "a"):
            return self.plural[at]
        if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14):
            return self.paucal or self.singular[CASES.index("g")]
        return self.plural[CASES.index("g")]

    @property
    def of_fraction(self) -> str:
        """The form after a decimal fraction: полтора километра, одна целая пять десятых километра."""
        return self.singular[CASES.index("g")]


def noun(gender: Gender, singular: str, plural: str, paucal: str = "") -> Noun:
    """A noun from two comma-separated rows of six forms; a row of one form does not decline."""
    return Noun(gender, _row(singular), _row(plural), paucal)


def words(row: str) -> tuple[str, ...]:
    """A table row written as one string."""
    return tuple(row.split())


def _row(forms: str) -> tuple[str, ...]:
    row = tuple(form.strip() for form in forms.split(","))
    if len(row) == 1:
        return row * len(CASES)
    if len(row) != len(CASES):
        raise ValueError(f"six forms expected: {forms}")
    return row
