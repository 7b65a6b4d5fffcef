"""What one call can learn, and the bounded queue on which it learns it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from kamerton.domain.recognition import SttEvent
from kamerton.listening.segmenter import SegmentEvent
from kamerton.orchestrator.turn_events import (
    FillerStarted,
    HoldChanged,
    RecogniserGone,
    ReplyReady,
    ServiceStopping,
    StopPressed,
)
from kamerton.orchestrator.utterance import Settled

ToldToTheMachine = StopPressed | ReplyReady | FillerStarted | HoldChanged | ServiceStopping | RecogniserGone
"""What the turn machine is told as it is."""


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """The answer to a turn could not be given; nothing of it, or only a part, was queued."""

    turn: int
    reason: str


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The recogniser's stream was lost; another one is being opened."""

    reason: str


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """A key of the phone."""

    digit: str


@dataclass(frozen=True, slots=True)
class FarEndGone:
    """The caller hung up or the connection broke."""

    reason: str


CallEvent = SegmentEvent | SttEvent | Settled | AnswerFailed | StreamLost | KeyPressed | FarEndGone | ToldToTheMachine


class EventQueue:
    """The one bounded queue of a call. Overflow means that the turn loop is stuck: it ends the call."""

    def __init__(self, capacity: int, overflowed: Callable[[], None]) -> None:
        self._events: deque[CallEvent] = deque()
        self._capacity = capacity
        self._overflowed = overflowed
        self._arrived = anyio.Event()
        self._loop = asyncio.get_running_loop()
        self._open = True

    def post(self, event: CallEvent) -> None:
        """Add an event; never blocks, never raises. Once the call is over, whoever reports late is not heard."""
        if not self._open:
            return
        if len(self._events) >= self._capacity:
            self._overflowed()
            return
        self._events.append(event)
        self._arrived.set()

    async def next_before(self, deadline_s: float) -> CallEvent | None:
        """The next event, or None when the deadline (loop clock) passes first. Safe to cancel."""
        if not self._events:
            self._arrived = anyio.Event()
            # A timer that wakes costs a third of a cancel scope, and a call waits here a dozen times in a turn.
            timer = self._loop.call_at(deadline_s, self._arrived.set)
            try:
                await self._arrived.wait()
            finally:
                timer.cancel()
        return self.take_nowait()

    def take_nowait(self) -> CallEvent | None:
        """The next event that is already there."""
        return self._events.popleft() if self._events else None

    def close(self) -> None:
        """Take no more events; forget those that nobody took."""
        self._open = False
        self._events.clear()
