"""The audio of the caller's current turn, bounded."""

from __future__ import annotations

from typing import Final

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat

LONGEST_TURN_MS: Final = 28_000
"""Whisper's window is 30 s; two seconds are left for its padding. At 16 kHz this is 0.9 MB at the very most."""


class TurnBuffer:
    """Collects one turn's PCM; when it is full the oldest audio goes, and is counted in `dropped_ms`.

    The count runs on over the turns of a call; the audio does not.
    """

    def __init__(self, audio_format: AudioFormat, longest_ms: float = LONGEST_TURN_MS) -> None:
        self._format = audio_format
        self._capacity_bytes = audio_format.samples(longest_ms) * SAMPLE_BYTES
        self._pcm = bytearray()
        self._dropped_bytes = 0

    @property
    def dropped_ms(self) -> float:
        """Audio dropped so far, over all turns."""
        return self._format.duration_ms(self._dropped_bytes // SAMPLE_BYTES)

    def push(self, pcm: bytes) -> None:
        """Add audio."""
        self._pcm += pcm
        excess = len(self._pcm) - self._capacity_bytes
        if excess > 0:
            del self._pcm[:excess]
            self._dropped_bytes += excess

    def snapshot(self) -> bytes:
        """The turn's audio so far, safe to hand to another thread."""
        return bytes(self._pcm)

    def clear(self) -> None:
        """Start over for a new turn; what is let go this way does not count as dropped."""
        self._pcm = bytearray()
