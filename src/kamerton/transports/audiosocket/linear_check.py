"""Is the audio linear? Asterisk's `Dial(AudioSocket/…)` without a codec sends the caller's own under the same label.

The bytes of µ-law or A-law, read as 16-bit samples, are loud all the time, and half as many come per second.
Either alone may be a call: somebody who shouts, a line that pauses. Both together are not.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from kamerton.domain.audio import SAMPLE_BYTES

JUDGED_BYTES: Final = 8000
"""Judged together: a second of sound in a compressed form, half of one in linear."""
WINDOWS: Final = 4
"""So many times; a stream that passed all of them is not looked at any more. Compressed audio fails the first."""
GAP_S: Final = 0.1
"""A longer pause between two messages begins the count anew: pauses must not pass for a slow pace."""
LOUD_SAMPLE: Final = 8192
LOUD_SHARE: Final = 0.4
"""Share of loud samples. Measured over the recorded callers, second by second: as µ-law or A-law 0.53 at least, also
30 dB softer; linear 0.07 at most, though 0.48 when 12 dB too loud: hence the pace."""
SLOW_PACE: Final = 0.75
"""Of real time, in bytes: the compressed forms have 0.5."""


class LinearCheck:
    """Takes a call's messages as they come. Pure; `suspicious` answers for the messages since the last answer."""

    def __init__(self, rate_hz: int) -> None:
        self._bytes_per_s = rate_hz * SAMPLE_BYTES
        self._windows_left = WINDOWS
        self._sound = bytearray()
        self._began_s = 0.0
        self._last_s = -math.inf
        self._bytes = 0

    @property
    def done(self) -> bool:
        """True when the stream has passed often enough."""
        return self._windows_left <= 0

    def suspicious(self, pcm: bytes, now_s: float) -> bool:
        """Take one message; True when the audio so far is not linear."""
        if now_s - self._last_s > GAP_S:
            self._begin(now_s)
            return False
        self._last_s = now_s
        self._bytes += len(pcm)
        if pcm.count(pcm[:1]) != len(pcm):
            # Digital silence says nothing, in either form.
            self._sound += pcm
        if len(self._sound) < JUDGED_BYTES:
            return False
        self._windows_left -= 1
        slow = self._bytes < (now_s - self._began_s) * self._bytes_per_s * SLOW_PACE
        loud = slow and _loud_share(bytes(self._sound)) > LOUD_SHARE
        self._begin(now_s)
        return loud

    def _begin(self, now_s: float) -> None:
        self._sound.clear()
        self._began_s = self._last_s = now_s
        self._bytes = 0


def _loud_share(pcm: bytes) -> float:
    """Among the samples that are not silence, which is 0 in linear audio and -1 in µ-law."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int32)
    sound = samples[(samples > 0) | (samples < -1)]
    return float(np.mean(np.abs(sound) > LOUD_SAMPLE)) if len(sound) else 0.0
