"""The energy gate before the network: how loud windows are, many at once, and where silence ends on each line."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from kamerton.listening.silero import Floats

SILENCE_DBFS: Final = -100.0
QUARTERS: Final = 4
"""Stretches of a window that are measured each by itself."""

_FULL_SCALE_DB: Final = 20 * math.log10(32768.0)
_SILENT_POWER: Final = 0.1
_STILL_POWER: Final = 0.3
"""Mean square below which a quarter of a window did not move: less than one step of 16 bits."""
_QUARTER_MEAN: Final = np.full(QUARTERS, 1 / QUARTERS, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class VadSettings:
    """Batching and gating."""

    interval_s: float = 0.010
    """Least time between two looks at what has arrived; the batch grows with the load meanwhile."""
    busy_windows: int = 8
    busy_interval_s: float = 0.025
    """After a batch of that many windows the next one waits longer: fewer thread switches for 8 ms more delay."""
    at_once_windows: int = 2
    """So few windows are judged on the loop: that takes 0.15 ms, and the way to the thread and back costs as much."""
    gate_floor_dbfs: float = -58.0
    """Nothing quieter than this is speech of a caller who speaks up."""
    gate_below_speech_db: float = 34.0
    """How far below the caller's own loudness the floor is for one who whispers."""
    gate_lowest_floor_dbfs: float = -80.0
    """Nothing quieter than this is ever speech."""
    gate_first_floor_dbfs: float = -78.0
    """The floor of a caller who has not spoken yet."""
    gate_above_noise_db: float = 8.0
    """How far above the line's own noise a window must be to be judged at all."""
    gate_above_loud_noise_db: float = 3.0
    """The same where the noise comes near the caller's loudness; in between it is two fifths of the distance."""
    clear_db: float = 38.0
    """A caller who is that much louder than the line's noise is heard clearly. With less, level does not say where
    speech ends, and the network is asked about every window until it has heard none for `hold_windows`."""
    hold_windows: int = 10
    sound_floor_dbfs: float = -50.0
    sound_above_noise_db: float = 15.0
    """From these levels on a window is plainly a sound, whatever the network makes of it."""
    queue_windows: int = 64
    """Windows of one call that may wait (2 s); beyond it the oldest is dropped and counted."""


_FIRST_NOISE_DBFS: Final = -90.0
_FIRST_SPEECH_DBFS: Final = -25.0
_FIRST_WINDOWS: Final = 16
"""Windows without speech (half a second) before anything is believed of a line's noise."""
_RUN: Final = 3
"""Windows before a level that it is compared with: the loudest of four says how loud a stretch of 128 ms is."""
_BUCKET_WINDOWS: Final = 24
_BUCKETS: Final = 4
"""Noise is the quietest stretch within this many spans of 0.77 s, and the one that goes on."""


class NoiseGate:
    """Follows the noise of one line and the loudness of its caller, in the speech band.

    The noise is the quietest stretch of 128 ms among the last 3 to 4 s without speech. It falls at once and rises
    within 4 s, however loud. Speech does not count, so that it never becomes noise by going on; nor do windows in
    which the line stood still (digital silence), which say nothing of its noise.
    """

    __slots__ = (
        "_bucket",
        "_bucket_dbfs",
        "_buckets",
        "_held",
        "_new",
        "_recent",
        "_settings",
        "_sound_dbfs",
        "_speech_dbfs",
        "clear",
        "noise_dbfs",
        "quiet_dbfs",
        "threshold_dbfs",
    )

    def __init__(self, settings: VadSettings) -> None:
        self._settings = settings
        self._recent: deque[float] = deque(maxlen=_RUN)
        self._buckets: deque[float] = deque(maxlen=_BUCKETS)
        self._bucket = 0
        self._bucket_dbfs = math.inf
        self._speech_dbfs: float | None = None
        self._held = 0
        self._new = _FIRST_WINDOWS
        self.noise_dbfs = _FIRST_NOISE_DBFS
        self.clear = False
        """The caller is known to be much louder than the line's noise."""
        self.threshold_dbfs = 0.0
        """Level below which a window counts as silence without asking the network."""
        self.quiet_dbfs = 0.0
        """Level below which a sound is over. Of a caller who is not heard clearly, level does not tell."""
        self._set()

    def is_sound(self, level_dbfs: float) -> bool:
        """True when a level is well above the line's noise, as soon as something is known of it."""
        return level_dbfs >= self._sound_dbfs and not self._new

    def is_silence(self, level_dbfs: float) -> bool:
        """True when the network need not be asked about a window of that level."""
        return level_dbfs < self.threshold_dbfs and (self._held == 0 or self.clear or level_dbfs <= SILENCE_DBFS)

    def learn_silence(self, level_dbfs: float, still: bool) -> None:
        """Take a window without speech into account; `still` when the line stood still in it."""
        if self._held:
            self._held -= 1
        if self._new:
            self._new -= 1
        if still:
            return
        recent = self._recent
        if len(recent) == _RUN:
            self._measure(max(level_dbfs, *recent))
        recent.append(level_dbfs)

    def learn_speech(self, level_dbfs: float) -> None:
        """Take a window into account in which the network hears speech."""
        self._held = self._settings.hold_windows
        self._recent.clear()
        known = self._speech_dbfs
        if known is None:
            self._speech_dbfs = level_dbfs
        else:
            self._speech_dbfs = known + (0.3 if level_dbfs > known else 0.02) * (level_dbfs - known)
        self._set()

    def _measure(self, stretch_dbfs: float) -> None:
        self._bucket += 1
        quieter = stretch_dbfs < self._bucket_dbfs
        if quieter:
            self._bucket_dbfs = stretch_dbfs
        if self._bucket >= _BUCKET_WINDOWS:
            self._buckets.append(self._bucket_dbfs)
            self._bucket, self._bucket_dbfs = 0, math.inf
            self._follow()
        elif (quieter and self._buckets) or (not self._buckets and self._bucket >= _FIRST_WINDOWS):
            self._follow()

    def _follow(self) -> None:
        self.noise_dbfs = min((*self._buckets, self._bucket_dbfs))
        self._set()

    def _set(self) -> None:
        settings = self._settings
        speech_dbfs = self._speech_dbfs
        if speech_dbfs is None:
            floor_dbfs, distance_db = settings.gate_first_floor_dbfs, _FIRST_SPEECH_DBFS - self.noise_dbfs
        else:
            floor_dbfs = speech_dbfs - settings.gate_below_speech_db
            floor_dbfs = min(max(floor_dbfs, settings.gate_lowest_floor_dbfs), settings.gate_floor_dbfs)
            distance_db = speech_dbfs - self.noise_dbfs
        heard_dbfs = min(distance_db, (speech_dbfs or 0.0) - settings.gate_lowest_floor_dbfs)
        self.clear = speech_dbfs is not None and heard_dbfs >= settings.clear_db
        margin_db = min(max(0.4 * distance_db, settings.gate_above_loud_noise_db), settings.gate_above_noise_db)
        self.threshold_dbfs = max(floor_dbfs, self.noise_dbfs + margin_db)
        if speech_dbfs is None:
            self.quiet_dbfs = max(settings.gate_floor_dbfs, self.threshold_dbfs)
        else:
            self.quiet_dbfs = self.threshold_dbfs if self.clear else -math.inf
        self._sound_dbfs = max(settings.sound_floor_dbfs, self.noise_dbfs + settings.sound_above_noise_db)


def power_of(level_dbfs: float) -> float:
    """Mean square of 16-bit samples at a level."""
    power: float = 10.0 ** ((level_dbfs + _FULL_SCALE_DB) / 10)
    return power


def window_levels(windows: Floats) -> tuple[list[float], Floats]:
    """Levels in dBFS of windows [windows, samples], and the mean squares of the quarters of each [windows, 4].

    All of them in one pass of vector arithmetic, at a fraction of what they cost one by one between other work.
    """
    samples = windows.reshape(len(windows), QUARTERS, -1)
    quarters: Floats = np.einsum("wqs,wqs->wq", samples, samples) / np.float32(samples.shape[2])
    powers = quarters @ _QUARTER_MEAN
    levels = 10 * np.log10(np.maximum(powers, _SILENT_POWER)) - _FULL_SCALE_DB
    levels[powers <= _SILENT_POWER] = SILENCE_DBFS
    return levels.tolist(), quarters


def stood_still(quarters: Floats) -> list[bool]:
    """In which windows the line did not move at all for a quarter: digital silence."""
    still: list[bool] = (quarters.min(axis=1) < _STILL_POWER).tolist()
    return still
