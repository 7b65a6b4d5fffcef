"""The audio of the caller's current turn, bounded."""

from __future__ import annotations

from typing import Final

import numpy as np

from kamerton.domain.audio import FRAME_MS, SAMPLE_BYTES, AudioFormat

LONGEST_PART_MS: Final = 28_000
"""Whisper's window is 30 s; two seconds are left for its padding. At 16 kHz this is 0.9 MB at the very most."""

PART_MS: Final = 20_000
"""A turn of this length is cut, so that its first part is decoded while the caller goes on."""

EARLIEST_CUT_MS: Final = 10_000
QUIET_FRAMES: Final = 10
"""A cut is made in the middle of the quietest 200 ms after the earliest place: most likely between two words."""


class TurnBuffer:
    """Collects one turn's PCM; when it is full the oldest audio goes, and is counted in `dropped_ms`.

    The count runs on over the turns of a call; the audio does not.
    """

    def __init__(self, audio_format: AudioFormat, longest_ms: float = LONGEST_PART_MS) -> None:
        self._format = audio_format
        self._capacity_bytes = audio_format.samples(longest_ms) * SAMPLE_BYTES
        self._pcm = bytearray()
        self._dropped_bytes = 0

    @property
    def dropped_ms(self) -> float:
        """Audio dropped so far, over all turns."""
        return self._format.duration_ms(self._dropped_bytes // SAMPLE_BYTES)

    @property
    def held_ms(self) -> float:
        """Audio in the buffer now."""
        return self._format.duration_ms(len(self._pcm) // SAMPLE_BYTES)

    @property
    def full(self) -> bool:
        """Whether the next frame will push the oldest audio out."""
        return len(self._pcm) + self._format.frame_bytes > self._capacity_bytes

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

    def cut(self, earliest_ms: float = EARLIEST_CUT_MS) -> bytes:
        """Take the beginning out, up to a quiet place after `earliest_ms`. Half a millisecond of CPU for 20 s."""
        size = self._format.frame_samples
        first = int(earliest_ms / FRAME_MS)
        samples = np.frombuffer(bytes(self._pcm), "<i2")
        frames = samples[first * size : len(samples) // size * size].astype(np.float32).reshape(-1, size)
        levels = np.abs(frames).mean(axis=1)
        stretches = np.convolve(levels, np.ones(QUIET_FRAMES, np.float32), "valid")
        end = (first + int(stretches.argmin()) + QUIET_FRAMES // 2) * size * SAMPLE_BYTES
        head = bytes(self._pcm[:end])
        del self._pcm[:end]
        return head

    def clear(self) -> None:
        """Start over for a new turn; what is let go this way does not count as dropped."""
        self._pcm = bytearray()
