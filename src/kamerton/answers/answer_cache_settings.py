"""What the cache of model answers can be told, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from kamerton.domain.errors import ConfigurationError

_LEAST_LIKENESS: Final = 0.5
_MOST_LIKENESS: Final = 0.99
_NEAR: Final = 0.03


@dataclass(frozen=True, slots=True)
class AnswerCacheSettings:
    """What is kept, for how long, and how alike questions must be."""

    ttl_s: float = 7 * 86_400.0
    """Life of an answer in the store."""
    likeness: float = 0.95
    """Least cosine of two questions with the same words. Suits multilingual-e5-small: the same question said in another
    way reaches 0.975 and more, unrelated ones stay below 0.85. Another embedder needs its own: see `suited`."""
    near: float = 0.92
    """From this cosine on, a question that was not the same is logged for review."""
    askings: int = 2
    """How many times a question is asked before its answer is kept; counted in each process by itself."""
    least_words: int = 3
    """Shorter questions («сколько стоит») live on what was said before."""
    most_answers: int = 2000
    """Answers in the index; beyond it the least recently used goes."""
    most_candidates: int = 500
    """Questions asked once that are remembered."""
    refresh_every_s: float = 60.0
    """How soon answers and invalidations of other processes are seen."""

    def suited(self, strangers: float | None) -> AnswerCacheSettings:
        """The same with the likeness that suits an embedder.

        Args:
            strangers: cosine that two questions of different answers hardly ever exceed under it
                (`QuestionVectors.strangers`); with None the settings stay, which are strict for most embedders.
        """
        if strangers is None:
            return self
        likeness = min(max(strangers, _LEAST_LIKENESS), _MOST_LIKENESS)
        return replace(self, likeness=likeness, near=max(likeness - _NEAR, _LEAST_LIKENESS / 2))

    def __post_init__(self) -> None:
        """Check everything at once.

        Raises:
            ConfigurationError: a value cannot work.
        """
        if not (0 < self.near <= self.likeness <= 1):
            raise ConfigurationError("answer cache: set 0 < near <= likeness <= 1")
        for name in ("ttl_s", "askings", "least_words", "most_answers", "most_candidates", "refresh_every_s"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"answer cache: {name} is {getattr(self, name)}; set more than 0")


@dataclass(frozen=True, slots=True)
class AnswerScope:
    """Whose answers these are. Another prompt version never sees them."""

    assistant: str
    language: str
    prompt_version: str
    """Changes with everything that shapes an answer: the instructions, the model."""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An earlier answer to the same question."""

    question: str
    """As it was asked then."""
    answer: str
    likeness: float


class OfferOutcome(StrEnum):
    """What became of an offered answer."""

    KEPT = "kept"
    COUNTED = "counted"
    """The question was not asked often enough yet."""
    KNOWN = "known"
    """An answer is kept already."""
    USED_TOOLS = "used_tools"
    PERSONAL = "personal"
    LEANS_ON_CONTEXT = "leans_on_context"
    TOO_SHORT = "too_short"
    AGES = "ages"
    UNSUITABLE = "unsuitable"
    """Nothing was answered, or too much."""
    FAILED = "failed"
    """The embedder failed."""
