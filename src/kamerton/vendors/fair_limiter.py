"""A bound on what a vendor serves at once, shared fairly: calls take turns, however much each of them wants."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from kamerton.domain.call_scope import current_call


class FairLimiter:
    """So many places; who finds none waits, and of the calls that wait each gets one place before any gets a second.

    Belongs to one event loop. Waiting is safe to cancel: the place goes to the next one.

    Args:
        places: requests at once, below the vendor's own limit.
        waiting: requests that may wait; a further one is refused.
    """

    def __init__(self, places: int, *, waiting: int = 256) -> None:
        self.places = places
        self._room = waiting
        self._held = 0
        self._waiting: OrderedDict[str | None, deque[anyio.Event]] = OrderedDict()

    @property
    def held(self) -> int:
        """Places that are taken."""
        return self._held

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return sum(len(queue) for queue in self._waiting.values())

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            WouldBlock: too many wait already.
        """
        await self._take()
        try:
            yield
        finally:
            self._release()

    async def _take(self) -> None:
        if self._held < self.places:
            self._held += 1
            return
        if self.waiting >= self._room:
            raise anyio.WouldBlock
        call, given = current_call(), anyio.Event()
        self._waiting.setdefault(call, deque()).append(given)
        try:
            await given.wait()
        except BaseException:
            if given.is_set():
                self._release()
            else:
                self._leave(call, given)
            raise

    def _release(self) -> None:
        """Give the place to the call whose turn it is, or back."""
        if not self._waiting:
            self._held -= 1
            return
        call, queue = self._waiting.popitem(last=False)
        given = queue.popleft()
        if queue:
            self._waiting[call] = queue
        given.set()

    def _leave(self, call: str | None, given: anyio.Event) -> None:
        queue = self._waiting[call]
        queue.remove(given)
        if not queue:
            del self._waiting[call]
