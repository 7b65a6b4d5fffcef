"""What of a text a dialogue would act on: numbers, tyre sizes, phones, as they were said and as heard. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from kamerton.domain.dialogue import Expectation
from kamerton.intent_classifier import extract_entities, find_phone
from kamerton.testing.comparison.words import normalised_words

EntityName = Literal["numbers", "sizes", "phones"]
ENTITY_NAMES: Final[tuple[EntityName, ...]] = ("numbers", "sizes", "phones")

_SIZE: Final = re.compile(r"\b([1-3]\d5) (?:на |дробь |дріб )?([2-8][05]) (?:на |радиус |радіус )?(?:r )?([12]\d)\b")
"""Width 125 to 395 mm, profile 20 to 85 %, rim 10 to 29 inches: «205 55 r 16»."""


@dataclass(frozen=True, slots=True)
class EntityScore:
    """How many entities of a kind were right."""

    wanted: int = 0
    """In the references."""
    found: int = 0
    """Of them, heard with the right value."""
    invented: int = 0
    """Heard without having been said."""

    def __add__(self, other: EntityScore) -> EntityScore:
        return EntityScore(self.wanted + other.wanted, self.found + other.found, self.invented + other.invented)


@dataclass(frozen=True, slots=True)
class FoundEntities:
    """The entities of one text."""

    numbers: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    phones: Counter[str] = field(default_factory=Counter)

    def of(self, name: EntityName) -> Counter[str]:
        """Those of one kind, each with how often it occurs."""
        found: Counter[str] = getattr(self, name)
        return found


def entities_of(text: str, language: str) -> FoundEntities:
    """The entities that `intent_classifier` finds in a text; the numbers of a size are no numbers of their own."""
    sizes = Counter("{}/{} R{}".format(*size) for size in _SIZE.findall(" ".join(normalised_words(text, language))))
    phone = find_phone(text, language)
    found = extract_entities(text, Expectation(), language)
    numbers = Counter(f"{number:.10g}" for number in (*found.numbers, *found.negated_numbers))
    for size, times in sizes.items():
        for part in re.findall(r"\d+", size):
            numbers[part] -= times
    return FoundEntities(+numbers, sizes, Counter([phone] if phone is not None else []))


def entity_scores(reference: str, heard: str, language: str) -> Mapping[EntityName, EntityScore]:
    """How a heard text does by the entities of what was said."""
    wanted, got = entities_of(reference, language), entities_of(heard, language)
    return {name: _score(wanted.of(name), got.of(name)) for name in ENTITY_NAMES}


def _score(wanted: Counter[str], got: Counter[str]) -> EntityScore:
    both = (wanted & got).total()
    return EntityScore(wanted.total(), both, got.total() - both)
