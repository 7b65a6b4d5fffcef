"""One AudioSocket call as its handler sees it."""

from __future__ import annotations

import asyncio
import math

import anyio

from kamerton.domain.audio import FRAME_MS, SAMPLE_BYTES
from kamerton.domain.media import CallInfo, MediaCapabilities, MediaSink, PlayoutPosition
from kamerton.domain.notices import Notice
from kamerton.transports.audiosocket.codec import HEADER_BYTES, audio_header
from kamerton.transports.audiosocket.connection import AudioSocketConnection
from kamerton.transports.audiosocket.settings import AudioSocketSettings
from kamerton.transports.intake import Intake
from kamerton.transports.position import DelayedPosition


class AudioSocketMedia:
    """`CallMedia` over a connection. Each frame leaves in one write; what was sent cannot be recalled."""

    def __init__(
        self, info: CallInfo, connection: AudioSocketConnection, intake: Intake, settings: AudioSocketSettings
    ) -> None:
        self._info = info
        self._connection = connection
        self._intake = intake
        self._write = connection.write
        self._now_s = asyncio.get_running_loop().time
        self._frame_bytes = info.format.frame_bytes
        self._frame_samples = info.format.frame_samples
        self._header = audio_header(info.format.rate_hz, self._frame_bytes)
        self._position = DelayedPosition(info.format, settings.far_buffer_ms)
        self._capabilities = MediaCapabilities(far_buffer_ms=settings.far_buffer_ms, can_clear=False, dtmf=True)
        self._silence = info.format.silence()
        self._tail_frames = math.ceil(settings.hang_up_tail_ms / FRAME_MS)
        self._sent_any = False
        self._dropped_frames = 0

    @property
    def info(self) -> CallInfo:
        """Who calls."""
        return self._info

    @property
    def capabilities(self) -> MediaCapabilities:
        """No recall; keys are reported."""
        return self._capabilities

    @property
    def dropped_frames(self) -> int:
        """Frames not sent because the far end read too slowly."""
        return self._dropped_frames

    def start(self, sink: MediaSink) -> None:
        """Deliver what arrives from now on to the sink (what waited first)."""
        self._intake.start(sink)

    def send(self, pcm: bytes) -> None:
        """Send one frame. Dropped and counted while the far end leaves too much unread.

        Raises:
            ValueError: not exactly 20 ms of the call's format.
        """
        if len(pcm) != self._frame_bytes:
            raise ValueError(f"a frame of this call has {self._frame_bytes} bytes, not {len(pcm)}")
        connection = self._connection
        if connection.end_reason is not None:
            return
        if connection.paused:
            self._dropped_frames += 1
            return
        self._write(self._header + pcm)
        self._sent_any = True
        self._position.sent(self._frame_samples, self._now_s())

    def clear(self) -> None:
        """Nothing can be recalled over AudioSocket; playout keeps its send-ahead short instead."""

    def position(self) -> PlayoutPosition:
        """What was sent, and the estimate of what of it is not heard yet."""
        messages = self._connection.unsent_bytes // (HEADER_BYTES + self._frame_samples * SAMPLE_BYTES)
        return self._position.position(self._now_s(), messages * self._frame_samples)

    def notify(self, notice: Notice) -> None:
        """A telephone shows nothing."""

    async def hang_up(self, reason: str) -> None:
        """Let the far end play out what it holds, end the call with a terminate message and wait until it closes.

        Takes the tail and the close deadline at most. Shielded: a cancelled call ends in the same good order.
        """
        with anyio.CancelScope(shield=True):
            await self._play_out()
            self._connection.finish(reason)
            # The connection's own close timer bounds this wait.
            await self._connection.closed.wait()

    async def _play_out(self) -> None:
        """Send silence while the last word is on its way through the far end's buffers, if it is there at all."""
        due_s = self._now_s()
        for _ in range(self._tail_frames if self._sent_any else 0):
            if self._connection.end_reason is not None:
                return
            self.send(self._silence)
            due_s += FRAME_MS / 1000
            await anyio.sleep_until(due_s)
