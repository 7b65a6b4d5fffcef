"""Any recogniser with faults by script: each opening of a stream may fail in its own way, at exact instants."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.errors import EngineError
from kamerton.domain.recognition import (
    RecognitionHint,
    SpeechToText,
    SttCapabilities,
    SttEvent,
    SttReconnected,
    SttStream,
)


@dataclass(frozen=True, slots=True)
class Reconnection:
    """A connection that breaks and comes back."""

    after_s: float
    lasts_s: float = 0.0
    """No event comes in the meantime; what was due comes afterwards."""
    lost_ms: float = 0.0
    """What the stream then tells as lost."""


@dataclass(frozen=True, slots=True)
class StreamFaults:
    """What goes wrong with one opened stream. Instants count from the moment it stands; None: never."""

    opens_after_s: float = 0.0
    refuses: str | None = None
    """Opening raises an `EngineError` with this reason, after `opens_after_s`."""
    ends_after_s: float | None = None
    """The iteration ends although the stream was not closed."""
    breaks_after_s: float | None = None
    """The iteration raises an `EngineError`."""
    push_breaks_after_s: float | None = None
    """Every `push` raises an `EngineError`, which the contract forbids."""
    silent_after_s: float | None = None
    """Nothing is told any more; 0: it never answers."""
    reconnections: Sequence[Reconnection] = ()
    """In order of time."""


class FaultyStream:
    """A stream with its faults around it."""

    def __init__(self, inner: SttStream, faults: StreamFaults) -> None:
        self._inner = inner
        self._events = aiter(inner)
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._opened_s = self._loop.time()
        self._turn = 0
        self._waiting: anyio.CancelScope | None = None
        self._own: deque[SttEvent] = deque()
        self._back_s = 0.0
        self._closed = False
        self._timers = [
            self._loop.call_later(after_s, self._interrupt)
            for after_s in (faults.ends_after_s, faults.breaks_after_s, faults.silent_after_s)
            if after_s is not None
        ]
        self._timers += [self._loop.call_later(again.after_s, self._lose, again) for again in faults.reconnections]

    @property
    def dropped_ms(self) -> float:
        """What the stream itself dropped."""
        return self._inner.dropped_ms

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        """Passed on."""
        self._turn = turn
        self._inner.begin_turn(turn, hint, look_back)

    def push(self, frame: AudioFrame) -> None:
        """Passed on until it is to raise.

        Raises:
            EngineError: as scripted.
        """
        if self._past(self._faults.push_breaks_after_s):
            raise EngineError("the recogniser was told to refuse audio")
        self._inner.push(frame)

    def pause(self) -> None:
        """Passed on."""
        self._inner.pause()

    def resume(self) -> None:
        """Passed on."""
        self._inner.resume()

    def end_of_turn(self) -> None:
        """Passed on."""
        self._inner.end_of_turn()

    def abandon_turn(self) -> None:
        """Passed on."""
        self._inner.abandon_turn()

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self

    async def __anext__(self) -> SttEvent:
        while True:
            if self._closed or self._past(self._faults.ends_after_s):
                raise StopAsyncIteration
            if self._past(self._faults.breaks_after_s):
                raise EngineError("the recogniser was told to break")
            if self._own:
                return self._own.popleft()
            with anyio.CancelScope() as self._waiting:
                if self._past(self._faults.silent_after_s):
                    await anyio.sleep_forever()
                await anyio.sleep_until(self._back_s)
                return await anext(self._events)

    def interrupt(self, lost_ms: float) -> None:
        """Break the connection now and have it stand again at once."""
        self._lose(Reconnection(0.0, lost_ms=lost_ms))

    def close(self) -> None:
        """Cancel all timers and end the iteration."""
        for timer in self._timers:
            timer.cancel()
        self._closed = True
        self._interrupt()

    def _past(self, after_s: float | None) -> bool:
        return after_s is not None and self._loop.time() >= self._opened_s + after_s

    def _lose(self, broken: Reconnection) -> None:
        self._back_s = self._loop.time() + broken.lasts_s
        self._timers.append(self._loop.call_at(self._back_s, self._return, broken.lost_ms))
        self._interrupt()

    def _return(self, lost_ms: float) -> None:
        self._own.append(SttReconnected(self._turn, lost_ms, "the connection was told to break"))
        self._interrupt()

    def _interrupt(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()


class FaultySpeechToText:
    """A recogniser whose first, second, … opened stream has the first, second, … faults; further ones have none."""

    def __init__(self, inner: SpeechToText, *faults: StreamFaults) -> None:
        self._inner = inner
        self._faults = deque(faults)
        self._open: list[FaultyStream] = []
        self.openings = 0
        """Streams that were asked for."""

    @property
    def name(self) -> str:
        """The inner one's."""
        return self._inner.name

    @property
    def capabilities(self) -> SttCapabilities:
        """The inner one's."""
        return self._inner.capabilities

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        """Open one call's stream with the next faults.

        Raises:
            EngineError: as scripted.
        """
        faults = self._faults.popleft() if self._faults else StreamFaults()
        self.openings += 1
        await anyio.sleep(faults.opens_after_s)
        if faults.refuses is not None:
            raise EngineError(faults.refuses)
        async with self._inner.open(audio_format) as inner:
            stream = FaultyStream(inner, faults)
            self._open.append(stream)
            try:
                yield stream
            finally:
                self._open.remove(stream)
                stream.close()

    def interrupt(self, lost_ms: float = 0.0) -> None:
        """Break the connection of every open stream now; it stands again at once."""
        for stream in self._open:
            stream.interrupt(lost_ms)

    async def aclose(self) -> None:
        """Close the inner one."""
        await self._inner.aclose()
