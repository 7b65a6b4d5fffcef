"""Instant answers of one assistant over different embedders, each with vectors and a calibration of its own."""

from __future__ import annotations

from collections.abc import Callable

from kamerton.answers.instant import AnswerSearch, InstantAnswers
from kamerton.answers.race import NOT_ASKED, NOT_NEEDED


class AnswersChain:
    """Asks the first instant answers whose embedder works.

    Where the search by meaning fails or is late, the next ones search anew, so a turn waits the budget of one search
    more, once: an embedder that failed is left alone afterwards.

    Args:
        last: whom to ask when no other works.
    """

    def __init__(self, last: InstantAnswers) -> None:
        self._places: tuple[tuple[int, InstantAnswers, Callable[[], bool]], ...] = ()
        self._last = last

    @property
    def is_calibrated(self) -> bool:
        """Whether the last ones are calibrated."""
        return self._last.is_calibrated

    def install(self, place: int, answers: InstantAnswers, ready: Callable[[], bool]) -> None:
        """Add instant answers that can be asked now, after those of lower places and before the last ones.

        Args:
            place: in the chain.
            answers: with vectors of their own.
            ready: whether their embedder would be asked now.
        """
        others = [entry for entry in self._places if entry[0] != place]
        self._places = tuple(sorted([*others, (place, answers, ready)], key=lambda entry: entry[0]))

    async def find(self, text: str) -> AnswerSearch:
        """See `InstantAnswers.find`."""
        for _, answers, ready in self._places:
            if not ready():
                continue
            search = await answers.find(text)
            if search.meaning.ranking is not None or search.meaning.failure in (NOT_NEEDED, NOT_ASKED):
                return search
        return await self._last.find(text)
