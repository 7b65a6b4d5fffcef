"""What a bot did to its own replies while its caller kept silent: ducks, silences and cuts that nobody caused.

For the steady voice of the stand-ins, whose own dips are shorter than what is looked for here; natural speech has
pauses of its own and is no subject for these figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kamerton.domain.audio import FRAME_MS
from kamerton.testing.caller.wire_measure import DUCK_DB, DUCK_HOLD_S, BotSegment, ReceivedAudio, bot_segments

REPLY_GAP_S: Final = 0.7
"""A longer silence ends a reply: after an interruption that was none, the bot goes on sooner."""
CUT_SHORT_S: Final = 0.1
LOW_FRAMES: Final = round(DUCK_HOLD_S * 1000 / FRAME_MS)
"""Counted in frames, so that a network or a machine that stalls makes no dip longer than it is."""
LOUD_PERCENTILE: Final = 90.0
"""Level of the bot's vowels when it is not ducked; holds while it is ducked for less than nine tenths of the time."""


@dataclass(frozen=True, slots=True)
class CallerSound:
    """A sound of the caller's, and until when the bot may still react to it; seconds."""

    onset_s: float
    end_s: float
    reaction_s: float

    def explains(self, instant_s: float) -> bool:
        """True when what the bot did then may be a reaction, or a dip just before that goes over into one."""
        return self.onset_s - DUCK_HOLD_S <= instant_s <= self.reaction_s

    def within_s(self, part: BotSegment) -> float:
        """How much of a stretch it covers, with the time for reacting."""
        return max(0.0, min(part.end_s, self.reaction_s) - max(part.start_s, self.onset_s))


@dataclass(slots=True)
class OwnReplies:
    """Sums over calls."""

    spoken_s: float = 0.0
    """Time within replies while the caller made no sound."""
    false_intrusions: int = 0
    """Ducks and silences in it, and replies that ended before their end."""
    replies: int = 0
    """Those that nobody spoke into."""
    whole_replies: int = 0
    """Of them, those spoken to their end without a duck or a gap."""

    def add_call(
        self, received: ReceivedAudio, sounds: Sequence[CallerSound], ended_s: float, reply_s: float | None
    ) -> None:
        """Judge one call.

        Args:
            received: what the caller heard.
            sounds: what the caller said, murmured and coughed.
            ended_s: when the call was over; what the bot was saying then is no reply of known length.
            reply_s: length of a reply that is spoken to its end, where it is known.
        """
        audible = bot_segments(received, REPLY_GAP_S)
        loud = received.levels_dbfs[received.levels_dbfs > -100.0]
        if not audible or not len(loud):
            return
        threshold_dbfs = float(np.percentile(loud, LOUD_PERCENTILE)) - DUCK_DB
        for part in audible:
            over = part.end_s < ended_s - REPLY_GAP_S
            faults = self._faults(received.between(part.start_s, part.end_s), sounds, threshold_dbfs)
            silent = over and not any(sound.onset_s < part.end_s and sound.end_s > part.start_s for sound in sounds)
            cut = silent and reply_s is not None and part.end_s - part.start_s < reply_s - CUT_SHORT_S
            self.false_intrusions += faults + cut
            covered_s = sum(sound.within_s(part) for sound in sounds)
            self.spoken_s += max(0.0, part.end_s - part.start_s - covered_s)
            self.replies += silent
            self.whole_replies += silent and not faults and not cut

    @staticmethod
    def _faults(received: ReceivedAudio, sounds: Sequence[CallerSound], threshold_dbfs: float) -> int:
        low = received.levels_dbfs <= threshold_dbfs
        edges = np.flatnonzero(np.diff(np.concatenate(([0], low.astype(np.int8), [0]))))
        runs = zip(edges[::2], edges[1::2], strict=True)
        begun_s = [float(received.arrivals_s[begin]) for begin, end in runs if end - begin >= LOW_FRAMES]
        return sum(not any(sound.explains(instant_s) for sound in sounds) for instant_s in begun_s)
