"""What a caller hears when all lines are taken: one short clip, then the line is closed."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from kamerton.domain.audio import FRAME_MS, AudioFrame
from kamerton.domain.media import CallMedia
from kamerton.domain.notices import ErrorOccurred

_FRAME_S = FRAME_MS / 1000


class BusyLine:
    """A call handler that says «all lines are busy» and hangs up. Costs one task per refused call, for one clip.

    `clips` maps a rate in Hz to 16-bit mono PCM; a call whose rate has no clip is closed without words.
    """

    def __init__(self, clips: Mapping[int, bytes], message: str) -> None:
        self._clips = clips
        self._message = message

    async def __call__(self, media: CallMedia) -> None:
        """Tell the caller, then hang up. Safe to cancel."""
        caller = _HungUp()
        media.start(caller)
        media.notify(ErrorOccurred(self._message, "admission"))
        audio_format = media.info.format
        pcm = self._clips.get(audio_format.rate_hz, b"")
        due_s = anyio.current_time()
        for offset in range(0, len(pcm), audio_format.frame_bytes):
            if caller.gone:
                break
            media.send(pcm[offset : offset + audio_format.frame_bytes].ljust(audio_format.frame_bytes, b"\0"))
            due_s += _FRAME_S
            await anyio.sleep_until(due_s)
        if not caller.gone and pcm:
            await anyio.sleep(media.capabilities.far_buffer_ms / 1000)
        await media.hang_up("busy")


class _HungUp:
    """A sink that only watches for the caller's hang-up."""

    def __init__(self) -> None:
        self.gone = False

    def on_audio(self, frame: AudioFrame) -> None:
        """A refused caller is not listened to."""

    def on_dtmf(self, digit: str) -> None:
        """Nor are the keys."""

    def on_interrupt(self) -> None:
        """Nor is the button."""

    def on_hold(self, held: bool) -> None:
        """Nor what becomes of the line."""

    def on_hang_up(self, reason: str) -> None:
        """No need to go on talking."""
        self.gone = True
