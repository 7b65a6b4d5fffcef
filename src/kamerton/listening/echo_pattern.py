"""Is it our own voice? Patterns of loudness, sent and heard, compared at every delay. Pure; many calls at once.

A pattern is where and when it is loud: 320 ms in twelve bands. An echo follows it with one gain and one tilt of the
spectrum, in its pauses too. Measured on onsets of speech, 30 s of two voices with six lines: what remains unexplained
of an echo after 64 ms is 0.1 to 0.5 of it, of a caller who speaks into our voice 0.6 to 1.0 (1 of 100 below 0.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kamerton.listening.echo_bands import BANDS
from kamerton.listening.echo_memory import CONTEXT, HOPS, HOPS_PER_WINDOW
from kamerton.listening.silero import Floats

DELAYS: Final = 39
"""Delays that are tried, in hops: 0 to 608 ms."""
FRESH: Final = 2
"""Windows that must be explained by themselves as well, so that an echo before it does not cover a caller."""

_CAP_DB: Final = 15.0
"""No cell of the pattern counts for more."""
_CLEAR_DB: Final = 3.0
"""Cells that far above the line's noise show the gain."""
_DYNAMICS_DB: Final = 30.0
_LOWEST_GAIN_DB: Final = -50.0
_HIGHEST_GAIN_DB: Final = 2.0
_STEEPEST_DB: Final = 1.5
"""Largest tilt, per band."""
_FEWEST_CELLS: Final = 6
_LITTLE_DB: Final = 150.0
"""A pattern of that much sound (ten cells) says half of what a rich one says."""
_TOGETHER: Final = 32
"""Calls in one pass; more would not stay in the processor's cache."""

_ROWS: Final = HOPS - 1 - HOPS_PER_WINDOW * np.arange(CONTEXT - 1, -1, -1)
"""Row of the sent block for each window of the context, without delay."""
_TILT: Final[Floats] = (np.arange(BANDS) - (BANDS - 1) / 2).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Patterns:
    """What is compared, one row per call.

    Attributes:
        heard: bands of the last windows [calls, CONTEXT, BANDS].
        known: which of these windows are known [calls, CONTEXT].
        fresh: which of them must be explained by themselves too [calls, CONTEXT].
        sent: bands of our own voice up to the end of the newest window [calls, HOPS, BANDS].
        floor: what the line's noise alone reaches [calls, BANDS].
    """

    heard: Floats
    known: Floats
    fresh: Floats
    sent: Floats
    floor: Floats

    def part(self, start: int, end: int) -> Patterns:
        """Some of the calls."""
        return Patterns(
            self.heard[start:end],
            self.known[start:end],
            self.fresh[start:end],
            self.sent[start:end],
            self.floor[start:end],
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What of the heard pattern each delay leaves unexplained [calls, delays].

    Attributes:
        delays: the delays, in hops.
        left: of the whole pattern: 0 nothing, 1 as much as silence would. Large where too little was sent to say.
        left_fresh: of the newest windows.
        left_loose: of the whole when each window may choose its delay (an echo whose frames are shifted), and small
            where there is little pattern to judge by [calls].
        gain_db: the gain that fits best.
        tilt_db: the tilt that does, per band.
    """

    delays: npt.NDArray[np.int64]
    left: Floats
    left_fresh: Floats
    left_loose: Floats
    gain_db: Floats
    tilt_db: Floats

    def best(self, call: int) -> Fit:
        """The delay at which the least is left."""
        place = int(np.argmin(self.left[call]))
        gains: Floats = self.gain_db[call, place] + self.tilt_db[call, place] * _TILT
        return Fit(
            int(self.delays[call, place]), float(self.left[call, place]), float(self.left_fresh[call, place]), gains
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """One call's best delay.

    Attributes:
        delay: in hops.
        left: what it leaves of the whole pattern.
        left_fresh: what it leaves of the newest windows.
        gains_db: gain per band [BANDS].
    """

    delay: int
    left: float
    left_fresh: float
    gains_db: Floats

    @property
    def return_loss_db(self) -> float:
        """How much softer the echo is than what was sent, mean over the bands."""
        return -float(self.gains_db.mean())


def every_delay(calls: int) -> npt.NDArray[np.int64]:
    """All delays, for each of some calls."""
    return np.broadcast_to(np.arange(DELAYS), (calls, DELAYS))


def compare(patterns: Patterns, delays: npt.NDArray[np.int64]) -> Comparison:
    """Compare at some delays (in hops) of each call [calls, delays]."""
    calls = len(patterns.heard)
    parts = [
        _compare(patterns.part(at, at + _TOGETHER), delays[at : at + _TOGETHER]) for at in range(0, calls, _TOGETHER)
    ]
    if len(parts) == 1:
        return parts[0]
    return Comparison(
        delays,
        np.concatenate([part.left for part in parts]),
        np.concatenate([part.left_fresh for part in parts]),
        np.concatenate([part.left_loose for part in parts]),
        np.concatenate([part.gain_db for part in parts]),
        np.concatenate([part.tilt_db for part in parts]),
    )


def _compare(patterns: Patterns, delays: npt.NDArray[np.int64]) -> Comparison:
    floor = patterns.floor[:, None, :]
    heard = np.maximum(patterns.heard, floor)
    sent = patterns.sent[np.arange(len(delays))[:, None, None], _ROWS - delays[:, :, None]]
    loudest = sent.max(axis=(2, 3), keepdims=True)
    shows = (heard > floor + np.float32(_CLEAR_DB)) & (patterns.known[:, :, None] > 0)
    weight = ((sent > loudest - np.float32(_DYNAMICS_DB)) & shows[:, None]).astype(np.float32)
    apart = heard[:, None] - sent
    weight_by_band = weight.sum(axis=2)
    apart_by_band = (weight * apart).sum(axis=2)
    cells = weight_by_band.sum(axis=2)
    gain = np.clip(apart_by_band.sum(axis=2) / np.maximum(cells, 1), _LOWEST_GAIN_DB, _HIGHEST_GAIN_DB)
    leaning = ((apart_by_band - weight_by_band * gain[:, :, None]) * _TILT).sum(axis=2)
    tilt = np.clip(leaning / np.maximum((weight_by_band * _TILT**2).sum(axis=2), 1), -_STEEPEST_DB, _STEEPEST_DB)
    expected = np.maximum(sent + (gain[:, :, None] + tilt[:, :, None] * _TILT)[:, :, None, :], floor[:, None])
    cap = np.float32(_CAP_DB)
    unexplained = np.minimum(np.abs(heard[:, None] - expected), cap).sum(axis=3)
    sound = np.minimum(heard - floor, cap).sum(axis=2)
    whole = np.einsum("cdw,cw->cd", unexplained, patterns.known)
    whole_sound = (sound * patterns.known).sum(axis=1)[:, None]
    loose = (unexplained.min(axis=1) * patterns.known).sum(axis=1)
    newest = np.einsum("cdw,cw->cd", unexplained, patterns.fresh)
    newest_sound = (sound * patterns.fresh).sum(axis=1)[:, None]
    return Comparison(
        delays,
        np.where(cells >= _FEWEST_CELLS, whole / np.maximum(whole_sound, 1), np.float32(9)),
        newest / np.maximum(newest_sound, 1),
        loose / (whole_sound[:, 0] + np.float32(_LITTLE_DB)),
        gain,
        tilt,
    )
