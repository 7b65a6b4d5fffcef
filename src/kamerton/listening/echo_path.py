"""The way an echo takes, once found: how late, how much softer in each band, how well that explains what arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kamerton.listening.echo_bands import BANDS
from kamerton.listening.echo_memory import HOPS
from kamerton.listening.silero import Floats

LEEWAY: Final = 2
"""Hops by which an echo may come early or late (32 ms): jitter buffers repeat and skip whole frames of 20 ms."""

_TAIL_HOPS: Final = 12
_TAIL_DB: Final = 1.9
"""How fast a room falls silent, per hop: 60 dB in half a second."""
_MARGIN_DB: Final = 4.0
_CAP_DB: Final = 12.0
_CLEAR_DB: Final = 6.0
_DYNAMICS_DB: Final = 25.0
_LEARN: Final = 0.08
_GONE_DB: Final = -8.0
_HIGHEST_GAIN_DB: Final = 3.0

_PATTERN_WEIGHT: Final = 6.0
_SLACK: Final = 1.1
_SUDDEN: Final = 2.8
"""One window says no more than that: it takes two to believe in a caller."""
_ALARM: Final = 2.1
_ALARM_MOST: Final = 3.2
_FOLLOW: Final = 0.03
_DOUBT: Final = 0.1
_TEACHES_MOST: Final = 2.0
_USUAL_MOST: Final = 4.0
_SPREAD_MOST: Final = 1.2
_LEAST_SPREAD: Final = 0.8
_MOST_TRUST: Final = 30.0

_AROUND: Final = np.arange(-LEEWAY - _TAIL_HOPS, LEEWAY + 1)
_FADED: Final[Floats] = (np.maximum(-LEEWAY - _AROUND, 0) * _TAIL_DB).astype(np.float32)[:, None]


@dataclass(slots=True)
class EchoPath:
    """What is known of one call's echo."""

    delay_hops: float
    return_loss_db: float
    """As it is told; the gains below are of the loudest within the leeway."""
    gains_db: Floats
    """Per band [BANDS]."""
    usual: float = 0.3 * _PATTERN_WEIGHT
    """What is usually left unexplained of this line's echo (its room, its distortion)."""
    spread: float = 0.8
    alarm: float = 0.0
    """Evidence of a caller: what is left above the usual, summed over windows (CUSUM)."""
    off_db: float = 0.0
    """How far what arrives has lately been from what is expected."""
    trust: float = 5.0

    def caller(self, excess_db: float, left: float) -> bool:
        """Whether a caller must be speaking, to leave that much unexplained; the usual is learned on the way."""
        unexplained = excess_db + _PATTERN_WEIGHT * left
        scale = self.spread + _LEAST_SPREAD
        above = (unexplained - self.usual) / scale
        self.alarm = min(max(0.0, self.alarm + min(above, _SUDDEN) - _SLACK), _ALARM_MOST)
        caller = self.alarm >= _ALARM
        # What may be a caller teaches little: many callers must not become usual.
        rate = _FOLLOW * (_DOUBT if self.alarm else 1.0)
        change = min(above, _TEACHES_MOST) * scale
        self.usual = min(self.usual + rate * change, _USUAL_MOST)
        self.spread = min(self.spread + rate * (abs(change) - self.spread), _SPREAD_MOST)
        return caller

    def fits(self, off_db: float) -> bool:
        """Take into account how far a window is from what is expected; False when the echo is gone for good."""
        self.off_db += 0.1 * (off_db - self.off_db)
        if self.off_db < _GONE_DB:
            self.gains_db = self.gains_db - np.float32(1.0)
            self.off_db += 1.0
            self.trust -= 1.0
        return self.trust > 0

    def learn(self, gains_db: Floats) -> None:
        """An echo without a caller: its gains are the newest."""
        self.gains_db = gains_db
        self.trust = min(self.trust + 1.0, _MOST_TRUST)

    def approach(self, delay_hops: int, return_loss_db: float) -> None:
        """What fitted the last windows."""
        self.delay_hops += 0.1 * (delay_hops - self.delay_hops)
        self.return_loss_db += 0.1 * (return_loss_db - self.return_loss_db)

    def silence(self) -> None:
        """Nothing to be heard: no evidence of a caller."""
        self.alarm = max(0.0, self.alarm - 1.0)


@dataclass(frozen=True, slots=True)
class Expectations:
    """How windows compare with the echo that was expected, one row per call.

    Attributes:
        excess_db: how far they are above it, mean over the bands.
        off_db: their mean distance in the bands in which an echo was expected; NaN when none was.
        gains_db: the gains as they would be if all of it was echo [calls, BANDS].
    """

    excess_db: Floats
    off_db: Floats
    gains_db: Floats


def expect(paths: Sequence[EchoPath], sent: Floats, heard: Floats, floor: Floats) -> Expectations:
    """Compare windows with the echo expected in them.

    Args:
        paths: the calls' echo paths.
        sent: bands of our own voice up to the end of the window [calls, HOPS, BANDS].
        heard: bands of the window [calls, BANDS].
        floor: what the line's noise alone reaches [calls, BANDS].
    """
    middle = np.array([HOPS - 1 - round(path.delay_hops) for path in paths])
    gains = np.stack([path.gains_db for path in paths])
    rows = np.clip(middle[:, None] + _AROUND[None, :], 0, HOPS - 1)
    around = sent[np.arange(len(paths))[:, None], rows]
    loudest = (around - _FADED).max(axis=1)
    direct = around[:, _TAIL_HOPS:].max(axis=1)
    above = heard - np.maximum(loudest + gains, floor) - np.float32(_MARGIN_DB)
    excess = np.clip(above, 0, _CAP_DB).sum(axis=1) / BANDS
    shows = (direct + gains > floor + _CLEAR_DB) & (direct > direct.max(axis=1, keepdims=True) - _DYNAMICS_DB)
    off = np.clip(heard - direct - gains, -_CAP_DB, _CAP_DB)
    shown = shows.sum(axis=1)
    mean_off = np.where(shown > 0, (off * shows).sum(axis=1) / np.maximum(shown, 1), np.nan)
    learned = np.minimum(gains + np.where(shows, _LEARN * np.clip(off, -8, 8), 0), _HIGHEST_GAIN_DB)
    return Expectations(excess, mean_off, learned.astype(np.float32))
