"""The way of arriving audio and controls to a call's sink, the same for every transport.

Pieces of any length become frames of exactly 20 ms; what arrives before the call is ready waits (bounded, oldest
dropped); a caller that sends faster than real time is held to a bounded advance; the hang-up is told once and last.
Plain function calls on the loop, no queue and no task. A sink that raises ends its own call.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from kamerton.audio.framing import FrameAssembler
from kamerton.domain.audio import FRAME_MS, AudioFormat, AudioFrame
from kamerton.domain.media import MediaSink
from kamerton.transports.boundary import CallBoundary

logger = logging.getLogger(__name__)

_INTERRUPT: Final = object()
_FRAMES_PER_S: Final = 1000 / FRAME_MS

CATCH_UP_MS: Final = 5000.0
"""How much audio may arrive at once after a stall of the network or of this process, on top of the allowed advance."""


class Intake:
    """One call's arrivals, in order. Frames are numbered as they are delivered, so their samples have no gaps.

    `now_s` is the loop's instant at which the call came up: from then on the caller has real time to speak. What the
    sink raises goes to the `boundary`; without one, to whoever feeds the intake.
    """

    __slots__ = (
        "_assembler",
        "_backlog",
        "_boundary",
        "_call_id",
        "_credit_frames",
        "_dropped_frames",
        "_end_reason",
        "_format",
        "_frame_bytes",
        "_frame_samples",
        "_most_credit_frames",
        "_next_sample",
        "_seen_s",
        "_sink",
    )

    def __init__(
        self,
        call_id: str,
        audio_format: AudioFormat,
        *,
        now_s: float,
        max_ahead_ms: float = 1000.0,
        backlog_ms: float = 1000.0,
        boundary: CallBoundary | None = None,
    ) -> None:
        self._call_id = call_id
        self._boundary = boundary
        self._format = audio_format
        self._assembler = FrameAssembler(audio_format)
        self._frame_bytes = audio_format.frame_bytes
        self._frame_samples = audio_format.frame_samples
        self._sink: MediaSink | None = None
        self._backlog: deque[bytes | str | object] = deque(maxlen=max(1, int(backlog_ms / FRAME_MS)))
        self._credit_frames = max(1.0, max_ahead_ms / FRAME_MS)
        self._most_credit_frames = self._credit_frames + CATCH_UP_MS / FRAME_MS
        self._seen_s = now_s
        self._next_sample = 0
        self._dropped_frames = 0
        self._end_reason: str | None = None

    @property
    def dropped_ms(self) -> float:
        """Audio dropped so far because it came too fast or before the call was ready."""
        return self._dropped_frames * float(FRAME_MS)

    def start(self, sink: MediaSink) -> None:
        """Deliver to `sink` from now on, what waited first. Only the first sink counts."""
        if self._sink is not None:
            return
        over = self._end_reason
        self._sink = sink
        while self._backlog and self._end_reason == over:
            item = self._backlog.popleft()
            if isinstance(item, bytes):
                self._deliver(sink, item)
            elif isinstance(item, str):
                self._tell(sink.on_dtmf, item)
            else:
                self._tell(sink.on_interrupt)
        if over is not None:
            self._tell(sink.on_hang_up, over)

    def audio(self, pcm: bytes, now_s: float) -> None:
        """Take a piece of audio of any length (whole samples) that arrived at the loop's instant `now_s`."""
        if len(pcm) == self._frame_bytes and not self._assembler.pending_bytes:
            self._frame(pcm, now_s)
            return
        for frame in self._assembler.push(pcm):
            self._frame(frame, now_s)

    def dtmf(self, digit: str) -> None:
        """A key was pressed."""
        if self._end_reason is not None:
            return
        if self._sink is None:
            self._wait(digit)
        else:
            self._tell(self._sink.on_dtmf, digit)

    def interrupt(self) -> None:
        """The caller pressed «stop talking»."""
        if self._end_reason is not None:
            return
        if self._sink is None:
            self._wait(_INTERRUPT)
        else:
            self._tell(self._sink.on_interrupt)

    def hold(self, held: bool) -> None:
        """The far end put the call on hold, or took it back. Before the call is ready it changes nothing."""
        if self._end_reason is None and self._sink is not None:
            self._tell(self._sink.on_hold, held)

    def hang_up(self, reason: str) -> None:
        """The call is over; nothing is delivered after this, and an incomplete frame is dropped. Safe to repeat."""
        if self._end_reason is not None:
            return
        self._end_reason = reason
        if self._boundary is not None:
            self._boundary.line_down()
        if self._sink is not None:
            self._tell(self._sink.on_hang_up, reason)

    def _frame(self, pcm: bytes, now_s: float) -> None:
        if self._end_reason is not None:
            return
        credit = self._credit_frames + (now_s - self._seen_s) * _FRAMES_PER_S
        if credit > self._most_credit_frames:
            credit = self._most_credit_frames
        self._seen_s = now_s
        if credit < 1.0:
            self._credit_frames = credit
            self._drop("the caller sends faster than real time; audio beyond the allowed advance is dropped")
            return
        self._credit_frames = credit - 1.0
        sink = self._sink
        if sink is None:
            self._wait(pcm)
            return
        self._deliver(sink, pcm)

    def _deliver(self, sink: MediaSink, pcm: bytes) -> None:
        frame = AudioFrame(pcm, self._format, self._next_sample)
        self._next_sample += self._frame_samples
        try:
            sink.on_audio(frame)
        except Exception as error:  # the boundary between a call and what feeds all calls
            self._failed(error)

    def _tell(self, listener: Callable[..., None], *news: object) -> None:
        try:
            listener(*news)
        except Exception as error:  # the boundary between a call and what feeds all calls
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if self._boundary is None:
            raise error
        self._boundary.sink_failed(error)

    def _wait(self, item: bytes | str | object) -> None:
        backlog = self._backlog
        if len(backlog) == backlog.maxlen and isinstance(backlog[0], bytes):
            self._drop("the call was not ready in time; its oldest waiting audio is dropped")
        backlog.append(item)

    def _drop(self, message: str) -> None:
        self._dropped_frames += 1
        if self._dropped_frames == 1:
            logger.warning(message, extra={"call_id": self._call_id})
