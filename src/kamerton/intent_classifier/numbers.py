"""Numbers said in words or digits, Russian and Ukrainian, as a recogniser writes them.

Parts are put together only as grammar allows (hundreds, then tens, then units): «двадцать сто» is two numbers,
«100-25» is 125, «сто-сто двадцать» is 100 and 120. Where a number is expected, punctuation between parts and
recogniser's slips are forgiven; a slip on its own counts only when the exact reading holds no number at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from kamerton.intent_classifier.number_atoms import Atom, read_atoms
from kamerton.intent_classifier.words import Token, language_code, listed, tokenize

_HYPHENS = frozenset({"", "-", "–", "—"})
_FORGIVEN_GAPS = frozenset({",", ".", "...", "…", "-,", "..", ",…", "....", "…,"})
_NEGATIONS = frozenset({"не"})
_BEFORE_NUMBER = frozenset(listed("на в у с около за по"))
_NONE = "ни"
_WITH = frozenset({"с", "со", "з", "із"})
_HALF = frozenset({"половиной", "половиною", "половинкой"})


@dataclass(frozen=True, slots=True)
class NumberSpan:
    """A number and where it was said."""

    value: float
    start: int
    end: int
    """Characters of the text it covers."""
    first: int
    last: int
    """Tokens it covers, as `words.tokenize` counts them."""
    room: float
    """What could still be appended must be less than this: 100 after «сто», 10 after «двадцать», 1 when nothing
    fits."""
    exact: bool = True
    digits: bool = False
    """True when its last part was written in digits."""
    negated: bool = False
    ordinal: bool = False


class _Sum:
    """Adds parts from the largest down; knows what may follow."""

    def __init__(self, atom: Atom) -> None:
        self._total = 0.0
        self._group = 0.0
        self._least_multiplier = float("inf")
        self.room = float("inf")
        self.atoms: list[Atom] = []
        self.add(atom)

    @property
    def value(self) -> float:
        return self._total + self._group

    def fits(self, atom: Atom) -> bool:
        if self.atoms[-1].ordinal:
            return False
        if atom.multiplies:
            return atom.value < self._least_multiplier and 0 < self._group < 1000 and self._multiplies_now(atom)
        if atom.needs_next:
            return False
        return 0 < atom.value < self.room and atom.value == int(atom.value)

    def _multiplies_now(self, atom: Atom) -> bool:
        return atom.value >= 1000 or self._group < 10

    def add(self, atom: Atom) -> None:
        self.atoms.append(atom)
        if not atom.multiplies:
            self._group += atom.value
            self.room = _room_after(atom)
            return
        product = (self._group or 1.0) * atom.value
        if atom.value >= 1000:
            self._total, self._group = self._total + product, 0.0
            self._least_multiplier = atom.value
        else:
            self._group = product
        self.room = atom.value

    def add_half(self) -> None:
        self._group += 0.5


def _room_after(atom: Atom) -> float:
    value = atom.value
    if value != int(value) or value == 0 or atom.ordinal:
        return 1
    if value >= 1000:
        return 1
    if value % 100 == 0:
        return 100
    return 10 if value % 10 == 0 and value != 10 else 1


@lru_cache(maxsize=1024)
def find_numbers(text: str, language: str = "ru", *, expected: bool = False) -> tuple[NumberSpan, ...]:
    """Every number of a text in order of mention, the rejected ones («не сто») marked.

    Args:
        text: what was said.
        language: `ru` or `uk`; a region may follow («uk-UA»).
        expected: a number is what the caller was asked for: ordinals and recogniser's slips count.

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    tokens = tokenize(text)
    atoms = read_atoms(tokens, language_code(language), expected=expected)
    spans = [_span(numbered, tokens) for numbered in _sums(atoms, tokens, expected)]
    if any(span.exact for span in spans):
        spans = [span for span in spans if span.exact]
    return tuple(spans)


def _sums(atoms: list[Atom], tokens: tuple[Token, ...], expected: bool) -> list[_Sum]:
    sums: list[_Sum] = []
    current: _Sum | None = None
    for atom in atoms:
        if current is not None and _adjoins(current, atom, tokens, expected) and current.fits(atom):
            current.add(atom)
            continue
        current = _Sum(atom)
        if _half_follows(atom.last, tokens):
            current.add_half()
        sums.append(current)
    return [one for one in sums if not (len(one.atoms) == 1 and one.atoms[0].needs_next)]


def _adjoins(current: _Sum, atom: Atom, tokens: tuple[Token, ...], expected: bool) -> bool:
    before = current.atoms[-1].last
    if _half_follows(before, tokens):
        before += 2
    if atom.first != before + 1:
        return False
    gap = tokens[atom.first].gap
    if gap in _HYPHENS:
        return True
    return expected and gap in _FORGIVEN_GAPS and not _is_negated(current.atoms[0].first, tokens)


def _half_follows(place: int, tokens: tuple[Token, ...]) -> bool:
    return place + 2 < len(tokens) and tokens[place + 1].text in _WITH and tokens[place + 2].text in _HALF


def _is_negated(first: int, tokens: tuple[Token, ...]) -> bool:
    before = first - 1
    if before >= 1 and tokens[before].text in _BEFORE_NUMBER:
        before -= 1
    return before >= 0 and tokens[before].text in _NEGATIONS and tokens[first].gap in _HYPHENS


def _span(numbered: _Sum, tokens: tuple[Token, ...]) -> NumberSpan:
    first, last = numbered.atoms[0].first, numbered.atoms[-1].last
    value = numbered.value
    if _half_follows(last, tokens):
        last += 2
    if value == 1 and first > 0 and tokens[first - 1].text == _NONE:
        value = 0.0
    return NumberSpan(
        value=value,
        start=tokens[first].start,
        end=tokens[last].end,
        first=first,
        last=last,
        room=numbered.room,
        exact=any(atom.exact for atom in numbered.atoms),
        digits=numbered.atoms[-1].digits,
        negated=_is_negated(first, tokens),
        ordinal=numbered.atoms[-1].ordinal,
    )
