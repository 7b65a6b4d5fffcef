"""What a search over an assistant's prepared answers gives, whatever engine does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ranked:
    """One answer in a ranking."""

    answer_id: str
    score: float
    """The search's own measure: BM25 or the like for words (0 and up), a cosine for meaning. Higher is closer."""
    lead: float = 0.0
    """By meaning only: see `QuestionClassifier.leads`."""


class AnswerSearcher(Protocol):
    """One half of the race: finds prepared answers by words or by meaning. Shared by all calls.

    A search by meaning scores by the cosine in the space of `QuestionVectors`: the calibration was fitted there.
    """

    @property
    def name(self) -> str:
        """What searches, for logs: `bm25`, `vectors`, `elastic-…`."""
        ...

    async def search(self, text: str, limit: int) -> tuple[Ranked, ...]:
        """The best answers to a text, best first, each at most once; cancelling it drops the work.

        Raises:
            EngineError: the search failed.
        """
        ...
