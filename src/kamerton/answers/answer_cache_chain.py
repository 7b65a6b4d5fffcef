"""Earlier answers of the model under several embedders: kept under all, looked for under the first that works."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from kamerton.answers.answer_cache import AnswerCache
from kamerton.answers.answer_cache_settings import CachedAnswer, OfferOutcome
from kamerton.domain.errors import EngineError

_log = logging.getLogger(__name__)


class AnswerCacheChain:
    """The caches of one assistant over the same store, one for each embedder; their owner runs them.

    Args:
        last: the cache that is asked when no other embedder works.
    """

    def __init__(self, last: AnswerCache) -> None:
        self._places: tuple[tuple[int, AnswerCache], ...] = ()
        self._last = last

    def __len__(self) -> int:
        """Answers that can be found now under the embedder that has most of them."""
        return max(len(cache) for cache in self._caches)

    @property
    def _caches(self) -> tuple[AnswerCache, ...]:
        return (*(cache for _, cache in self._places), self._last)

    def install(self, place: int, cache: AnswerCache) -> None:
        """Add a cache whose embedder can be asked now, after those of lower places and before the last one."""
        others = [entry for entry in self._places if entry[0] != place]
        self._places = tuple(sorted([*others, (place, cache)], key=lambda entry: entry[0]))

    async def find(self, question: str) -> CachedAnswer | None:
        """See `AnswerCache.find`."""
        for _, cache in self._places:
            try:
                return await cache.look_up(question)
            except EngineError as error:
                _log.debug("the next cache is asked", extra={"reason": str(error)})
        return await self._last.find(question)

    async def offer(
        self, question: str, answer: str, *, personal: Iterable[Any] = (), tools_used: bool = False
    ) -> OfferOutcome:
        """See `AnswerCache.offer`; offered to every cache, so that an answer is found whoever embeds the question.

        Returns:
            `KEPT` when one of them keeps it, else what the first one said whose embedder works.
        """
        values = list(personal)
        outcomes = [
            await cache.offer(question, answer, personal=values, tools_used=tools_used) for cache in self._caches
        ]
        if OfferOutcome.KEPT in outcomes:
            return OfferOutcome.KEPT
        return next((outcome for outcome in outcomes if outcome is not OfferOutcome.FAILED), OfferOutcome.FAILED)

    async def invalidate(self, assistant: str) -> int:
        """See `AnswerCache.invalidate`; returns how many entries the store had, one for each embedder.

        Raises:
            EngineError: the store failed; what this process held is gone all the same.
        """
        failures: list[EngineError] = []
        gone = 0
        for cache in self._caches:
            try:
                gone += await cache.invalidate(assistant)
            except EngineError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return gone
