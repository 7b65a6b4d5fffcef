"""A call's frames on the call's clock: what the line lost or never sent becomes silence of the same length.

Neither AudioSocket nor a page numbers its frames, so the clock alone tells. A frame that comes later than the best
ones did may be late or may follow a lost one; the frames after it show which: if none of them catches up within
`PATIENCE_S`, something is missing before it. Frames in question are held back until then (nobody waits for them but
the recogniser, and only on a line that loses or delays frames); silence goes in where it belongs, not after it.

Pure: instants are given, nothing is awaited.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from kamerton.domain.audio import FRAME_MS, AudioFormat, AudioFrame

FRAME_S: Final = FRAME_MS / 1000
PATIENCE_S: Final = 0.080
"""How late a frame may be before it counts as missing. Three frames late is ordinary jitter of a mobile or home
network, more is rare; and with 80 ms of patience and 90 ms of silence a pause is still noticed before the shortest end
of a turn (200 ms after the true end of speech)."""
BURST_S: Final = 0.400
"""How long a line may bring nothing before silence is written in for good. A lost TCP segment comes 200 to 300 ms late
together with all that followed it: then nothing was missing at all."""

_LATE_FRAMES: Final = 0.9
_IN_TIME_S: Final = _LATE_FRAMES * FRAME_S
_DRIFT_S: Final = 0.0005 * FRAME_S
"""How much the expectation gives way per frame: a sender's clock may be slow by 500 millionths."""


class HeardFrame(NamedTuple):
    """A frame and the instant at which it arrived, or at which it would have."""

    at_s: float
    frame: AudioFrame


class LineClock:
    """One call's frames in their order, with the missing ones in their places.

    Holds at most the frames of `PATIENCE_S`; of one gap it fills `longest_fill_ms` at most, since nobody looks further
    back.
    """

    __slots__ = ("_base_s", "_count", "_early", "_format", "_gap", "_held", "_longest", "_silence", "filled_frames")

    def __init__(self, audio_format: AudioFormat, longest_fill_ms: float) -> None:
        self._format = audio_format
        self._silence = audio_format.silence()
        self._longest = int(longest_fill_ms / FRAME_MS)
        self._held: list[tuple[HeardFrame, float]] = []
        self._base_s = math.nan
        self._count = 0
        self._early = 0
        self._gap = False
        self.filled_frames = 0
        """Silence written in so far, in frames."""

    def in_time(self, now_s: float) -> bool:
        """Whether a frame that arrives now raises no question, as nearly all do; then it is counted, and settled."""
        late_s = now_s - self._count * FRAME_S - self._base_s
        if self._early or self._held or not late_s < _IN_TIME_S:
            return False
        self._gap = False
        self._base_s += _DRIFT_S if late_s >= 0.0 else late_s
        self._count += 1
        return True

    def arrived(self, frame: AudioFrame, now_s: float) -> Sequence[HeardFrame]:
        """Take a frame; returns what is settled now, in order (often just this frame, sometimes nothing yet)."""
        late_s = now_s - self._count * FRAME_S - self._base_s
        self._gap = False
        if late_s >= 0.0:
            self._base_s += _DRIFT_S
            if self._early:
                self._early -= 1
        elif self._early and late_s < -FRAME_S / 2:
            # It comes after all, though silence stands in its place: it does not count again.
            self._early -= 1
            self._count -= 1
        elif late_s < 0.0:
            self._base_s += late_s
        else:  # the first of the call
            self._base_s, late_s = now_s, 0.0
        self._count += 1
        heard = HeardFrame(now_s, frame)
        if not self._held and late_s < _LATE_FRAMES * FRAME_S:
            return (heard,)
        self._held.append((heard, late_s))
        return self.settle(now_s - PATIENCE_S)

    def settle(self, before_s: float = math.inf) -> list[HeardFrame]:
        """Give up doubt on the frames that arrived up to `before_s`: what did not catch up by now was lost."""
        settled: list[HeardFrame] = []
        while self._held:
            heard, _ = self._held[0]
            least_s = min(late_s for _, late_s in self._held)
            missing = int(least_s / FRAME_S + 1 - _LATE_FRAMES)
            if missing > 0:
                # A millionth, since sums of frame times are not exact.
                if heard.at_s > before_s + 1e-6:
                    break
                settled += self._filled(heard.at_s, missing)
                self._held = [(held, late_s - missing * FRAME_S) for held, late_s in self._held]
            settled.append(heard)
            del self._held[0]
        return settled

    def nothing_came(self, now_s: float) -> list[HeardFrame]:
        """The line has brought nothing for a while: what is settled by that, with the silence that is due by now."""
        settled = self.settle(now_s - PATIENCE_S)
        due_s = self._base_s + self._count * FRAME_S
        missing = int((now_s - due_s) / FRAME_S) if now_s >= due_s else 0
        if not self._held and missing * FRAME_S >= (FRAME_S if self._gap else BURST_S):
            settled += self._filled(due_s + missing * FRAME_S, missing)
            self._early = min(self._early + missing, self._longest)
            self._gap = True
        return settled

    def _filled(self, until_s: float, missing: int) -> list[HeardFrame]:
        """Silence for that many frames up to an instant."""
        start = self._count * self._format.frame_samples
        self._count += missing
        missing = min(missing, self._longest)
        self.filled_frames += missing
        return [
            HeardFrame(until_s - (missing - number) * FRAME_S, AudioFrame(self._silence, self._format, start))
            for number in range(missing)
        ]
