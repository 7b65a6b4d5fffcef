"""The stage on which the suite of all transports plays: callers, a handler to drive, a sink that records.

A `TransportUnderTest` serves a handler while a scene makes calls to it (`ServedCalls.run` does that for any transport).
Every wait is for an event and has a deadline.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from anyio.abc import TaskStatus

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.media import CallHandler, CallMedia
from kamerton.domain.notices import (
    AudioCleared,
    BargeInDecided,
    CallFinished,
    CallStarted,
    ErrorOccurred,
    MindState,
    MindStateChanged,
    Notice,
    TranscriptUpdated,
    TurnFinished,
)

DEADLINE_S = 10.0

EVERY_NOTICE: tuple[Notice, ...] = (
    CallStarted("id", "insurance", "test"),
    MindStateChanged(MindState.SPEAKING, "greeting"),
    TranscriptUpdated("bot", "Здравствуйте!", final=True, turn=0),
    TurnFinished(0, "scenario", entities={"number": 150.0}, marks={"t1": 1.5}, response_ms=250.0),
    BargeInDecided("yielded", 1.0, 1.1, 1.2, "стоп"),
    AudioCleared(),
    ErrorOccurred("the recogniser failed", "stt"),
    CallFinished("id", "bot", "scenario ended", 12.5, {"final_price": 13200}, "goodbye"),
)
"""One of each notice."""


class Caller(Protocol):
    """The far end of a call, as a test drives it."""

    @property
    def format(self) -> AudioFormat:
        """The call's format."""
        ...

    async def speak(self, pcm: bytes) -> None:
        """Send audio of any length."""

    async def hear(self, size: int) -> bytes:
        """The next `size` bytes of audio that arrive."""
        ...

    async def press(self, digit: str) -> None:
        """Press a key; only where the transport has keys."""

    async def interrupt(self) -> None:
        """Press «stop talking»; only where the transport has that."""

    async def hang_up(self) -> None:
        """End the call from this side."""

    async def goodbye(self) -> bool:
        """Wait for the end of the call; True when the server said good-bye in the protocol's way before closing."""
        ...

    def clearings(self) -> int:
        """How many times the server asked to drop what was not played yet."""
        ...

    async def aclose(self) -> None:
        """Free what this caller holds; the call may be over or not."""


class TransportUnderTest(Protocol):
    """A transport and a way to call it."""

    has_interrupt: bool

    async def run(self, handler: CallHandler, scene: Callable[[CallFactory], Awaitable[None]]) -> None:
        """Serve `handler` while `scene` makes calls; when the scene is over, stop serving and check nothing is left."""


class CallFactory(Protocol):
    """Makes calls to the transport that is being served."""

    async def dial(self) -> Caller:
        """Connect a new caller, up to where audio may flow."""
        ...

    async def stop_serving(self) -> None:
        """Cancel the transport's `serve` and wait until it has returned."""


class ServedCalls:
    """`CallFactory` for the usual transport under test: see `run`."""

    def __init__(self, stop: anyio.CancelScope, stopped: anyio.Event, dial: Callable[[], Awaitable[Caller]]) -> None:
        self._stop = stop
        self._stopped = stopped
        self._dial = dial
        self._callers: list[Caller] = []

    @staticmethod
    async def run(
        serve: Callable[..., Awaitable[None]],
        handler: CallHandler,
        dial: Callable[[object], Awaitable[Caller]],
        scene: Callable[[CallFactory], Awaitable[None]],
    ) -> None:
        """Serve while the scene plays; `dial` gets what `serve` reported when it was up (its port, say)."""
        stop, stopped = anyio.CancelScope(), anyio.Event()

        async def serve_until_stopped(*, task_status: TaskStatus[object]) -> None:
            try:
                with stop:
                    await serve(handler, task_status=task_status)
            finally:
                stopped.set()

        async with anyio.create_task_group() as group:
            place = await group.start(serve_until_stopped)
            calls = ServedCalls(stop, stopped, lambda: dial(place))
            try:
                with anyio.fail_after(DEADLINE_S):
                    await scene(calls)
                    await calls.stop_serving()
            finally:
                stop.cancel()
                with anyio.CancelScope(shield=True):
                    for caller in calls._callers:
                        await caller.aclose()

    async def dial(self) -> Caller:
        """Connect a new caller."""
        caller = await self._dial()
        self._callers.append(caller)
        return caller

    async def stop_serving(self) -> None:
        """Cancel `serve` and wait until it has returned."""
        self._stop.cancel()
        await self._stopped.wait()


@dataclass
class RecordingSink:
    """A sink that keeps everything in order, and lets a test wait for it."""

    events: list[object] = field(default_factory=list)
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def on_audio(self, frame: AudioFrame) -> None:
        """Keep a frame."""
        self._add(frame)

    def on_dtmf(self, digit: str) -> None:
        """Keep a key."""
        self._add(("dtmf", digit))

    def on_interrupt(self) -> None:
        """Keep an interrupt."""
        self._add(("interrupt",))

    def on_hold(self, held: bool) -> None:
        """Keep a hold, or its end."""
        self._add(("hold", held))

    def on_hang_up(self, reason: str) -> None:
        """Keep the hang-up."""
        self._add(("hang_up", reason))

    @property
    def frames(self) -> list[AudioFrame]:
        """The frames that arrived."""
        return [event for event in self.events if isinstance(event, AudioFrame)]

    @property
    def hang_ups(self) -> list[object]:
        """The hang-ups that were told; there must never be two."""
        return [event for event in self.events if isinstance(event, tuple) and event[0] == "hang_up"]

    async def until(self, holds: Callable[[RecordingSink], bool]) -> None:
        """Wait until something holds."""
        with anyio.fail_after(DEADLINE_S):
            while not holds(self):
                await self._changed.wait()

    def _add(self, event: object) -> None:
        self.events.append(event)
        self._changed.set()
        self._changed = anyio.Event()


class Operator:
    """A call handler whose medium the test drives from outside; it stays on the line until released."""

    def __init__(self, *, start_at_once: bool = True) -> None:
        self.sink = RecordingSink()
        self.media: CallMedia | None = None
        self.released = anyio.Event()
        self.cancelled = False
        self._start_at_once = start_at_once
        self._up = anyio.Event()

    async def __call__(self, media: CallMedia) -> None:
        """Run one call."""
        self.media = media
        if self._start_at_once:
            media.start(self.sink)
        self._up.set()
        try:
            await self.released.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise

    async def answer(self) -> CallMedia:
        """Wait for the call."""
        with anyio.fail_after(DEADLINE_S):
            await self._up.wait()
        assert self.media is not None
        return self.media


def numbered_frames(audio_format: AudioFormat, how_many: int, first: int = 1) -> list[bytes]:
    """Frames that tell their number: every sample of frame n is n."""
    return [number.to_bytes(2, "little") * audio_format.frame_samples for number in range(first, first + how_many)]
