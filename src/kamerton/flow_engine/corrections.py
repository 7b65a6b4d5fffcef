"""Which value does a caller mean to correct, and to what? Pure: words, entities and the values known so far.

«нет, не сто, а сто пятьдесят» names the rejected value, «нет, сто пятьдесят лошадиных сил» the unit, «водителей
двое» the thing itself, and «нет, сто пятьдесят» nothing at all, so that only the limits can tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kamerton.domain.dialogue import Entities
from kamerton.flow_engine.dialogue_map import NumberLimits, VariableType

_WORD = re.compile(r"[^\W\d_]+(?:['’ʼ-][^\W\d_]+)*")
_STEM_MINIMUM = 4
"""Shorter words are compared whole: «лет» is not «лето»."""
_ENDING_MAXIMUM = 3
"""Letters of an inflected ending («мощность» / «мощностью»)."""


@dataclass(frozen=True, slots=True)
class Correctable:
    """A variable that callers may correct."""

    name: str
    type: VariableType
    limits: NumberLimits
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Correction:
    """The variable that was meant, and its new value, or None when the caller gave none that fits."""

    variable: str
    value: int | float | str | None


@dataclass(frozen=True, slots=True)
class _Mention:
    """A name of a variable found in the text; longer ones are more specific, then earlier ones."""

    words: int
    letters: int
    position: int

    @property
    def rank(self) -> tuple[int, int, int]:
        return (self.words, self.letters, -self.position)


def resolve_correction(
    candidates: Sequence[Correctable],
    known: Mapping[str, Any],
    text: str,
    entities: Entities,
    asked: str | None,
) -> Correction | None:
    """Resolve a correction, or return None when it could mean several things or nothing.

    Args:
        candidates: the variables that may be meant.
        known: values of the session.
        text: what the caller said.
        entities: what was extracted from it.
        asked: the variable that the current state asks for; a bare number that fits it is its answer.
    """
    words = _words(text)
    unit_words = _words(entities.number_unit or "") + words
    numbers = tuple(value for value in entities.numbers if value not in entities.negated_numbers)
    values = {c.name: _new_value(c, numbers, entities) for c in candidates}
    mentions = {c.name: _best_mention(c.names, words) for c in candidates}

    def fits(candidate: Correctable) -> bool:
        return values[candidate.name] is not None

    def unit_said(candidate: Correctable) -> bool:
        return _best_mention(candidate.units, unit_words) is not None

    def named(candidate: Correctable) -> bool:
        return mentions[candidate.name] is not None

    def rejected(candidate: Correctable) -> bool:
        value = known.get(candidate.name)
        return not isinstance(value, bool) and value in entities.negated_numbers

    meant = [c for c in candidates if unit_said(c) or named(c) or rejected(c)]
    if not meant:
        return _by_value_alone(candidates, values, known, asked)
    tests: tuple[Callable[[Correctable], bool], ...] = (fits, unit_said, named, rejected)
    for test in tests:
        meant = [c for c in meant if test(c)] or meant
    chosen = meant[0] if len(meant) == 1 else _most_specific(meant, mentions)
    return Correction(chosen.name, values[chosen.name]) if chosen is not None else None


def _by_value_alone(
    candidates: Sequence[Correctable],
    values: Mapping[str, int | float | str | None],
    known: Mapping[str, Any],
    asked: str | None,
) -> Correction | None:
    fitting = [c for c in candidates if values[c.name] is not None]
    if any(c.name == asked for c in fitting):
        return Correction(str(asked), values[str(asked)])
    changed = [c for c in fitting if c.name in known and known[c.name] != values[c.name]]
    return Correction(changed[0].name, values[changed[0].name]) if len(changed) == 1 else None


def _most_specific(candidates: Iterable[Correctable], mentions: Mapping[str, _Mention | None]) -> Correctable | None:
    ranked = [(mention.rank, c) for c in candidates if (mention := mentions[c.name]) is not None]
    if not ranked:
        return None
    best = max(rank for rank, _ in ranked)
    winners = [c for rank, c in ranked if rank == best]
    return winners[0] if len(winners) == 1 else None


def _new_value(candidate: Correctable, numbers: Sequence[float], entities: Entities) -> int | float | str | None:
    if candidate.type == "text":
        return entities.phone
    if candidate.type == "boolean":
        return None
    fitting = [value for number in numbers if (value := candidate.limits.fit(number)) is not None]
    return fitting[-1] if fitting else None


def _best_mention(phrases: Iterable[str], words: Sequence[str]) -> _Mention | None:
    found = [mention for phrase in phrases if (mention := _mention(_words(phrase), words)) is not None]
    return max(found, key=lambda mention: mention.rank, default=None)


def _mention(phrase: Sequence[str], words: Sequence[str]) -> _Mention | None:
    size = len(phrase)
    if not size:
        return None
    for start in range(len(words) - size + 1):
        if all(_same_word(a, b) for a, b in zip(phrase, words[start:], strict=False)):
            return _Mention(size, sum(map(len, phrase)), start)
    return None


def _same_word(known: str, said: str) -> bool:
    if known == said:
        return True
    shared = 0
    for a, b in zip(known, said, strict=False):
        if a != b:
            break
        shared += 1
    return shared >= _STEM_MINIMUM and max(len(known), len(said)) - shared <= _ENDING_MAXIMUM


def _words(text: str) -> list[str]:
    return [word.replace("ё", "е") for word in _WORD.findall(text.casefold())]
