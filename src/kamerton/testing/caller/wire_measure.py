"""What can be told from the frames a caller received: pure functions of arrival instants and levels.

Conventions: instants are on the caller's loop clock in seconds. A frame counts as heard, and as said, from the moment
it crosses the wire. Levels are per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kamerton.domain.audio import FRAME_MS
from kamerton.testing.caller.speech_span import FULL_SCALE

AUDIBLE_DBFS: Final = -50.0
"""Frames below it are silence to the caller."""
HANGOVER_S: Final = 0.3
"""A shorter silence does not end what the bot is saying."""
DUCK_DB: Final = 6.0
DUCK_HOLD_S: Final = 0.1
"""A level drop counts as ducking when it lasts this long; words have shorter dips."""
RUNNING_LEVEL_S: Final = 0.5
STILL_SPEAKING_S: Final = 0.1
"""A bot that was not audible for longer pauses, or has finished."""
LONGEST_PAUSE_S: Final = 2.0
"""A bot that was not audible for longer has finished, whatever else is known."""
CONFIRM_S: Final = 0.2
CONFIRM_DB: Final = 3.0
LATE_GAP_S: Final = 0.04
"""A frame more than this after the one before it is late."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReceivedAudio:
    """The frames of one call, in order."""

    arrivals_s: Floats
    levels_dbfs: Floats

    @classmethod
    def from_powers(cls, arrivals_s: Sequence[float], powers: Sequence[float]) -> ReceivedAudio:
        """From mean squares of 16-bit samples, as a line records them."""
        power = np.maximum(np.asarray(powers, dtype=np.float64) / FULL_SCALE**2, 1e-12)
        return cls(np.asarray(arrivals_s, dtype=np.float64), 10.0 * np.log10(power))

    def between(self, begin_s: float, end_s: float) -> ReceivedAudio:
        """The frames that arrived in `[begin_s, end_s)`."""
        low, high = np.searchsorted(self.arrivals_s, (begin_s, end_s))
        return ReceivedAudio(self.arrivals_s[low:high], self.levels_dbfs[low:high])


@dataclass(frozen=True, slots=True)
class BotSegment:
    """A stretch in which the bot was audible: first audible frame's arrival, end of the last one."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Sound:
    """A stretch in which the caller made a sound; seconds on the caller's clock."""

    onset_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class BargeInEffect:
    """What the bot's audio did after the caller's onset; None for what did not happen."""

    duck_ms: float | None
    silence_ms: float | None
    in_pause: bool = False
    """The onset fell into a pause of the bot: no ducking can be seen; a pause that just went on is a silence of 0."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """How evenly frames came."""

    frames: int
    jitter_p99_ms: float | None
    jitter_max_ms: float | None
    late_frames: int


def bot_segments(received: ReceivedAudio, hangover_s: float = HANGOVER_S) -> tuple[BotSegment, ...]:
    """Stretches of audible frames, joined over silences shorter than the hang-over."""
    heard = received.arrivals_s[received.levels_dbfs >= AUDIBLE_DBFS]
    if not len(heard):
        return ()
    breaks = np.flatnonzero(np.diff(heard) > hangover_s + FRAME_MS / 1000) + 1
    return tuple(
        BotSegment(float(part[0]), float(part[-1]) + FRAME_MS / 1000) for part in np.split(heard, breaks) if len(part)
    )


def first_audible_after(received: ReceivedAudio, instant_s: float) -> float | None:
    """Arrival of the first audible frame at or after an instant."""
    heard = received.arrivals_s[(received.levels_dbfs >= AUDIBLE_DBFS) & (received.arrivals_s >= instant_s)]
    return float(heard[0]) if len(heard) else None


def barge_in_effect(
    received: ReceivedAudio, onset_s: float, until_s: float, silence_hold_s: float = HANGOVER_S
) -> BargeInEffect:
    """When, after the caller's onset, the bot went quieter by 6 dB or more, and when it fell silent.

    The drop is measured against the mean level of the audible frames of the 500 ms before; silence counts when it
    lasts `silence_hold_s` or until `until_s`. Nothing happened when the bot was not audible within the 2 s before.
    """
    after = received.between(onset_s, until_s)
    silent_s = _first_lasting(after, after.levels_dbfs < AUDIBLE_DBFS, silence_hold_s, until_s)
    if _silent(received.between(onset_s - STILL_SPEAKING_S, onset_s)):
        paused = not _silent(received.between(onset_s - LONGEST_PAUSE_S, onset_s))
        return BargeInEffect(None, _since_ms(onset_s, silent_s) if paused else None, in_pause=paused)
    before = received.between(onset_s - RUNNING_LEVEL_S, onset_s)
    running_dbfs = _mean_dbfs(before.levels_dbfs[before.levels_dbfs >= AUDIBLE_DBFS])
    ducked_s = _first_lasting(after, after.levels_dbfs <= running_dbfs - DUCK_DB, DUCK_HOLD_S, until_s)
    return BargeInEffect(_since_ms(onset_s, ducked_s), _since_ms(onset_s, silent_s))


def confirmed_drop_s(received: ReceivedAudio, onset_s: float, told_s: float) -> float | None:
    """First frame at or after the instant at which the server says it ducked, when the wire bears it out.

    Speech has dips of its own, which `barge_in_effect` may take for ducking; the server's word says where to look. It
    is borne out when the 200 ms from there are 3 dB or more below the level before the onset.
    """
    before = received.between(onset_s - RUNNING_LEVEL_S, onset_s).levels_dbfs
    after = received.between(told_s, told_s + CONFIRM_S)
    if not len(before) or not len(after.levels_dbfs) or _mean_dbfs(after.levels_dbfs) > _mean_dbfs(before) - CONFIRM_DB:
        return None
    return float(after.arrivals_s[0])


def pacing(arrivals: Sequence[Floats]) -> Pacing:
    """Jitter (|gap between frames - 20 ms|) and late frames (gap above 40 ms) over the calls given."""
    gaps = np.concatenate([np.diff(call) for call in arrivals]) if arrivals else np.empty(0)
    frames = sum(len(call) for call in arrivals)
    if not len(gaps):
        return Pacing(frames, None, None, 0)
    jitter_ms = np.abs(gaps * 1000 - FRAME_MS)
    return Pacing(
        frames,
        float(np.percentile(jitter_ms, 99)),
        float(jitter_ms.max()),
        int(np.count_nonzero(gaps > LATE_GAP_S)),
    )


def _first_lasting(frames: ReceivedAudio, low: NDArray[np.bool_], hold_s: float, until_s: float) -> float | None:
    """Arrival of the first frame of the first run of low frames that lasts `hold_s` (or up to the end)."""
    if not len(low):
        return None
    edges = np.flatnonzero(np.diff(np.concatenate(([0], low.astype(np.int8), [0]))))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        over_s = float(frames.arrivals_s[end]) if end < len(low) else until_s
        if over_s - frames.arrivals_s[begin] >= hold_s - 1e-6:
            return float(frames.arrivals_s[begin])
    return None


def _silent(received: ReceivedAudio) -> bool:
    return not len(received.levels_dbfs) or float(received.levels_dbfs.max()) < AUDIBLE_DBFS


def _mean_dbfs(levels: Floats) -> float:
    """Mean power as a level."""
    return float(10.0 * np.log10(np.mean(10.0 ** (levels / 10.0))))


def _since_ms(onset_s: float, instant_s: float | None) -> float | None:
    return None if instant_s is None else (instant_s - onset_s) * 1000
