"""Where a piece of speech begins to be heard, and what comes before it cut off."""

from __future__ import annotations

from typing import Final

import numpy as np

from kamerton.audio.levels import fade_in
from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat

AUDIBLE_DBFS: Final = -50.0
"""30 dB below the common level of clips: weak consonants («с», «ф») begin above it, the hiss of recordings is below."""
KEPT_LEAD_MS: Final = 8.0
"""Left before the first audible window, so that no consonant begins with a click."""
_FADE_MS: Final = 4.0
_WINDOW_MS: Final = 2.0
_STEP_MS: Final = 500.0
_FULL_SCALE: Final = 32768.0


def audible_from(pcm: bytes, audio_format: AudioFormat, threshold_dbfs: float = AUDIBLE_DBFS) -> int | None:
    """The first sample of the first 2 ms whose RMS reaches the threshold; None when nothing does."""
    samples = np.frombuffer(pcm, "<i2", count=len(pcm) // SAMPLE_BYTES).astype(np.float64)
    window = max(1, audio_format.samples(_WINDOW_MS))
    padded = np.zeros(-(-samples.size // window) * window)
    padded[: samples.size] = samples
    powers = np.square(padded).reshape(-1, window).mean(axis=1)
    loud = np.flatnonzero(powers >= _FULL_SCALE**2 * 10.0 ** (threshold_dbfs / 10.0))
    return int(loud[0]) * window if loud.size else None


def is_audible(pcm: bytes, audio_format: AudioFormat) -> bool:
    """Whether anything in it is heard; looks no further than the first half second in which something is."""
    step = audio_format.samples(_STEP_MS) * SAMPLE_BYTES
    pieces = (pcm[start : start + step] for start in range(0, len(pcm), step))
    return any(audible_from(piece, audio_format) is not None for piece in pieces)


def without_lead(pcm: bytes, audio_format: AudioFormat) -> bytes:
    """The piece from 8 ms before its first audible sample on, faded in over 4 ms; unchanged if it has no longer lead.

    A piece in which nothing is audible is left as it is.
    """
    start = audible_from(pcm, audio_format)
    cut = (start or 0) - audio_format.samples(KEPT_LEAD_MS)
    if cut <= 0:
        return pcm
    return fade_in(pcm[cut * SAMPLE_BYTES :], audio_format.samples(_FADE_MS))
