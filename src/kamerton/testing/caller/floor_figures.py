"""What a bot did to its own replies while its caller kept silent: ducks, silences and cuts that nobody caused.

For the steady voice of the stand-ins, whose own dips are shorter than what is looked for here; natural speech has
pauses of its own and is no subject for these figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kamerton.testing.caller.wire_measure import (
    DUCK_DB,
    DUCK_HOLD_S,
    BotSegment,
    ReceivedAudio,
    Sound,
    bot_segments,
    low_runs,
)

REPLY_GAP_S: Final = 0.7
"""A longer silence ends a reply: after an interruption that was none, the bot goes on sooner."""
CUT_SHORT_S: Final = 0.1
LOUD_PERCENTILE: Final = 90.0
"""Level of the bot's vowels when it is not ducked; holds while it is ducked for less than nine tenths of the time."""


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

    def add_call(self, received: ReceivedAudio, sounds: Sequence[Sound], ended_s: float, reply_s: float | None) -> None:
        """Judge one call.

        Args:
            received: what the caller heard.
            sounds: when the caller made sounds, with the time in which the bot may still react to them.
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
            faults = self._faults(received.between(part.start_s, part.end_s), part, sounds, threshold_dbfs)
            silent = over and not any(sound.onset_s < part.end_s and sound.end_s > part.start_s for sound in sounds)
            cut = silent and reply_s is not None and part.end_s - part.start_s < reply_s - CUT_SHORT_S
            self.false_intrusions += faults + cut
            self.spoken_s += (part.end_s - part.start_s) - _covered_s(part, sounds)
            self.replies += silent
            self.whole_replies += silent and not faults and not cut

    @staticmethod
    def _faults(received: ReceivedAudio, part: BotSegment, sounds: Sequence[Sound], threshold_dbfs: float) -> int:
        runs = low_runs(received, received.levels_dbfs <= threshold_dbfs, DUCK_HOLD_S, part.end_s)
        return sum(not any(sound.onset_s <= begin_s <= sound.end_s for sound in sounds) for begin_s in runs)


def _covered_s(part: BotSegment, sounds: Sequence[Sound]) -> float:
    """Time of a stretch in which the caller made sounds; sounds do not overlap."""
    return sum(max(0.0, min(part.end_s, each.end_s) - max(part.start_s, each.onset_s)) for each in sounds)
