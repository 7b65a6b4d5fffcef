"""Calls without a network, on whatever clock the loop has: a far end that plays, records and can be made to act.

For simulated calls on the virtual loop: every frame sent is recorded with its instant, and `heard` gives what the
caller's ear got and when, as the far end's buffer and clearing leave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup, TaskStatus

from kamerton.domain.audio import FRAME_MS, PHONE, SAMPLE_BYTES, AudioFormat
from kamerton.domain.media import CallHandler, CallInfo, MediaCapabilities, MediaSink, PlayoutPosition
from kamerton.domain.notices import Notice
from kamerton.transports.intake import Intake

_FRAME_S = FRAME_MS / 1000


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """20 ms of audio and the instant on the loop's clock at which it left, or at which it began to be heard."""

    at_s: float
    pcm: bytes


@dataclass(frozen=True, slots=True)
class FarBuffer:
    """What holds audio at the far end: it begins to play `delay_ms` after its buffer ran dry."""

    delay_ms: float = 0.0
    can_clear: bool = True
    tells: bool = True
    """False: by its own account nothing of what was sent is ever heard."""


class LoopbackMedia:
    """`CallMedia` whose far end is in the same process.

    The caller's side of it is `speak`, `press`, `interrupt` and `leave`, and the records in `sent`, `heard` and so on.
    """

    def __init__(self, info: CallInfo | None = None, far_buffer: FarBuffer | None = None, *, dtmf: bool = True) -> None:
        self._info = info or CallInfo(call_id="loopback", transport="loopback", format=PHONE)
        self._far_buffer = far_buffer or FarBuffer()
        self._dtmf = dtmf
        self._intake = Intake(self._info.call_id, self._info.format, now_s=anyio.current_time(), max_ahead_ms=60_000.0)
        self._play_end_at_s = 0.0
        self.sent: list[TimedFrame] = []
        """Every frame sent, with the instant of sending."""
        self.heard: list[TimedFrame] = []
        """Every frame that is or will be heard, with the instant at which it begins to sound."""
        self.cleared_at_s: list[float] = []
        """Instants of `clear`."""
        self.notices: list[tuple[float, Notice]] = []
        """Every notice, with its instant."""
        self.end_reason: str | None = None
        """Why the call is over, or None."""
        self.ended_at_s: float | None = None
        self.goodbye = False
        """True when our side ended the call, so that the far end was told."""
        self.ended = anyio.Event()

    @property
    def info(self) -> CallInfo:
        """Who calls."""
        return self._info

    @property
    def capabilities(self) -> MediaCapabilities:
        """As configured."""
        return MediaCapabilities(self._far_buffer.delay_ms, self._far_buffer.can_clear, self._dtmf)

    def start(self, sink: MediaSink) -> None:
        """Deliver what arrives from now on to the sink (what waited first)."""
        self._intake.start(sink)

    def send(self, pcm: bytes) -> None:
        """Send one frame.

        Raises:
            ValueError: not exactly 20 ms of the call's format.
        """
        if len(pcm) != self._info.format.frame_bytes:
            raise ValueError(f"a frame of this call has {self._info.format.frame_bytes} bytes, not {len(pcm)}")
        if self.end_reason is not None:
            return
        now_s = anyio.current_time()
        self.sent.append(TimedFrame(now_s, pcm))
        begins_at_s = self._play_end_at_s
        if begins_at_s < now_s:
            begins_at_s = now_s + self._far_buffer.delay_ms / 1000
        self.heard.append(TimedFrame(begins_at_s, pcm))
        self._play_end_at_s = begins_at_s + _FRAME_S

    def clear(self) -> None:
        """Silence the far end at once, in the middle of a frame if need be, where it can be cleared."""
        if self.end_reason is not None or not self._far_buffer.can_clear:
            return
        now_s = anyio.current_time()
        self.cleared_at_s.append(now_s)
        while self.heard and self.heard[-1].at_s >= now_s:
            self.heard.pop()
        if self.heard and self._ends_at_s(self.heard[-1]) > now_s:
            sounding = self.heard.pop()
            samples = round((now_s - sounding.at_s) * self._info.format.rate_hz)
            self.heard.append(TimedFrame(sounding.at_s, sounding.pcm[: samples * SAMPLE_BYTES]))
        self._play_end_at_s = min(self._play_end_at_s, now_s)

    def position(self) -> PlayoutPosition:
        """Exact: the far end's buffer is known."""
        audio_format = self._info.format
        if not self._far_buffer.tells:
            return PlayoutPosition(*[len(self.sent) * audio_format.frame_samples] * 2)
        now_s = anyio.current_time()
        queued = 0
        for frame in reversed(self.heard):
            if self._ends_at_s(frame) <= now_s:
                break
            unheard_s = self._ends_at_s(frame) - max(now_s, frame.at_s)
            queued += round(unheard_s * audio_format.rate_hz)
        return PlayoutPosition(len(self.sent) * audio_format.frame_samples, queued)

    def _ends_at_s(self, frame: TimedFrame) -> float:
        return frame.at_s + len(frame.pcm) / SAMPLE_BYTES / self._info.format.rate_hz

    def notify(self, notice: Notice) -> None:
        """Record a notice."""
        self.notices.append((anyio.current_time(), notice))

    async def hang_up(self, reason: str) -> None:
        """End the call from our side."""
        if self.end_reason is None:
            self.goodbye = True
        self._end(reason)
        await anyio.lowlevel.checkpoint()

    def speak(self, pcm: bytes) -> None:
        """The caller says something: audio of any length arrives now."""
        self._intake.audio(pcm, anyio.current_time())

    def press(self, digit: str) -> None:
        """The caller presses a key."""
        self._intake.dtmf(digit)

    def interrupt(self) -> None:
        """The caller presses «stop talking»."""
        self._intake.interrupt()

    def hold(self, held: bool) -> None:
        """The caller puts the call on hold, or takes it back."""
        self._intake.hold(held)

    def leave(self, reason: str = "hung_up") -> None:
        """The caller hangs up."""
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self.end_reason is None:
            self.end_reason = reason
            self.ended_at_s = anyio.current_time()
            self._intake.hang_up(reason)
            self.ended.set()


class LoopbackTransport:
    """`Transport` whose callers are made with `call`."""

    def __init__(self, audio_format: AudioFormat = PHONE, far_buffer: FarBuffer | None = None) -> None:
        self._format = audio_format
        self._far_buffer = far_buffer
        self._handler: CallHandler | None = None
        self._calls: TaskGroup | None = None
        self._numbers = count(1)
        self.errors: Mapping[str, Exception] = {}
        """Calls whose handler raised, by call id: a test should find none here."""

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        return "loopback"

    async def serve(self, handler: CallHandler, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the calls made with `call` until cancelled."""
        self._handler = handler
        try:
            async with anyio.create_task_group() as calls:
                self._calls = calls
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._calls = None

    def call(self, user_name: str = "") -> LoopbackMedia:
        """Make a call; its handler starts at the next turn of the loop.

        Raises:
            RuntimeError: `serve` is not running.
        """
        if self._calls is None or self._handler is None:
            raise RuntimeError("the loopback transport does not serve yet; start serve() in a task group first")
        info = CallInfo(f"loopback-{next(self._numbers)}", self.name, self._format, user_name=user_name)
        media = LoopbackMedia(info, self._far_buffer)
        self._calls.start_soon(self._run, self._handler, media, name=f"call {info.call_id}")
        return media

    async def _run(self, handler: CallHandler, media: LoopbackMedia) -> None:
        """A boundary, as in the real transports: an error ends that call only; it is kept for the test to see."""
        try:
            await handler(media)
        except Exception as error:
            self.errors = {**self.errors, media.info.call_id: error}
        finally:
            with anyio.CancelScope(shield=True):
                await media.hang_up("call_over")
