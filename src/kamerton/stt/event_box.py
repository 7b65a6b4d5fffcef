"""The outgoing side of a recogniser's stream: a bounded box of events that one consumer iterates."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import anyio

from kamerton.domain.errors import EngineError
from kamerton.domain.recognition import Partial, SttEvent

logger = logging.getLogger(__name__)

CAPACITY: Final = 64
"""Events that wait for the consumer. A turn makes one or two, so a full box means a dead consumer."""


class EventBox(AsyncIterator[SttEvent]):
    """Holds events until its one consumer takes them; belongs to the event loop's thread.

    Overflow: the oldest partial goes first, then the oldest event. Closing ends the iteration at once. `__anext__`
    may be cancelled without losing an event.
    """

    def __init__(self) -> None:
        self._events: deque[SttEvent] = deque()
        self._arrived = anyio.Event()
        self._closed = False
        self._error: EngineError | None = None

    def put(self, event: SttEvent) -> None:
        """Add an event; ignored once closed."""
        if self._closed or self._error is not None:
            return
        if len(self._events) >= CAPACITY:
            self._make_room()
        self._events.append(event)
        self._arrived.set()

    def fail(self, error: EngineError) -> None:
        """Nothing more will come: the iteration raises this once what came before was taken."""
        self._error = error
        self._arrived.set()

    def close(self) -> None:
        """Drop what was not taken and end the iteration. Safe to call twice."""
        self._closed = True
        self._events.clear()
        self._arrived.set()

    async def __anext__(self) -> SttEvent:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._events.popleft()

    def _make_room(self) -> None:
        oldest = next((event for event in self._events if isinstance(event, Partial)), self._events[0])
        self._events.remove(oldest)
        logger.warning("nobody takes the recogniser's events; the oldest was dropped", extra={"turn": oldest.turn})
