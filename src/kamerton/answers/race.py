"""Both searches at once, within one budget; the first sure one ends the race."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from kamerton.answers.catalogue_search import AnswerSearcher, Ranked
from kamerton.domain.errors import KamertonError

_log = logging.getLogger(__name__)

LATE = "late"
NOT_NEEDED = "not needed"
NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Half:
    """How one search did. `ranking` is None when it did not come back; `failure` says why."""

    ranking: tuple[Ranked, ...] | None = None
    failure: str = LATE
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class RaceResult:
    """Both halves, and whether the words decided before meaning was in."""

    words: Half
    meaning: Half
    strong: bool = False


IsStrong = Callable[[tuple[Ranked, ...]], Awaitable[bool]]
"""Whether a ranking by words is so sure that meaning need not be waited for."""


class Race:
    """The searches of one assistant and their budget.

    Args:
        words: search by words.
        meaning: search by meaning.
        budget_s: after this, what is not back is late.
        limit: answers asked of each search.
    """

    def __init__(self, words: AnswerSearcher, meaning: AnswerSearcher, budget_s: float, limit: int) -> None:
        self._words = words
        self._meaning = meaning
        self._budget_s = budget_s
        self._limit = limit

    async def run(self, text: str, is_strong: IsStrong) -> RaceResult:
        """Search; does not raise for a search that fails or is late. Cancelling it cancels both searches."""
        begun = anyio.current_time()
        words, meaning, strong = Half(), Half(), False

        async def by_meaning() -> None:
            nonlocal meaning
            meaning = await self._ran(self._meaning, text, begun)

        with anyio.move_on_after(self._budget_s):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(by_meaning)
                words = await self._ran(self._words, text, begun)
                if words.ranking and await is_strong(words.ranking):
                    strong = True
                    tasks.cancel_scope.cancel()
        if strong and meaning.ranking is None and meaning.failure == LATE:
            meaning = Half(None, NOT_NEEDED)
        for search, half in ((self._words, words), (self._meaning, meaning)):
            if half.failure == LATE and half.ranking is None:
                _log.warning(
                    "a search for prepared answers was late; the other one decides alone",
                    extra={"search": search.name, "budget_s": self._budget_s},
                )
        return RaceResult(words, meaning, strong)

    async def _ran(self, search: AnswerSearcher, text: str, begun: float) -> Half:
        """One search. The border at which any error of a search becomes a half that did not come back."""
        try:
            ranking = await search.search(text, self._limit)
        except KamertonError as error:
            _log.warning(
                "a search for prepared answers failed; the other one decides alone",
                extra={"search": search.name, "reason": str(error)},
            )
            return Half(None, str(error), _since_ms(begun))
        except Exception as error:
            _log.exception("a search for prepared answers broke", extra={"search": search.name})
            return Half(None, repr(error), _since_ms(begun))
        return Half(ranking, "", _since_ms(begun))


def _since_ms(begun: float) -> float:
    return (anyio.current_time() - begun) * 1000
