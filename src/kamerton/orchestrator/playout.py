"""The only writer of a call's audio: one frame every 20 ms from connect to hang-up, silence when there is nothing.

It plays utterances in order; each ends in exactly one outcome. A frame of a cut utterance can never be written
afterwards: every utterance carries the generation it was queued in, and a cut begins a new one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from kamerton.audio.levels import ramp_gain
from kamerton.domain.audio import Clip
from kamerton.domain.media import CallMedia
from kamerton.domain.notices import Outcome
from kamerton.orchestrator.utterance import Settled, Source, Utterance

_LONGEST_FAR_S = 5.0
"""Beyond its usual buffer, the longest a far end is waited for to tell that it has played what was sent."""
_SOON_MS = 600.0
"""How much longer a filler of the scenario's own may go on when the answer is ready."""
_RAMP_PER_FRAME = 0.4
"""Gain change per 20 ms: a duck is complete within two frames, without a click."""


class _Sent(NamedTuple):
    """An utterance all of which left, and may not be heard yet."""

    end_samples: int
    utterance: Utterance
    at_s: float


class Playout:
    """Plays one call. All methods are plain calls on the loop; `settled` is called once per utterance."""

    def __init__(self, media: CallMedia, clock: Callable[[], float], settled: Callable[[Settled], None]) -> None:
        self._media = media
        self._format = media.info.format
        self._clock = clock
        self._settled = settled
        self._silence = self._format.silence()
        self._frame_samples = self._format.frame_samples
        self._queue: deque[tuple[int, Utterance]] = deque()
        self._unheard: deque[_Sent] = deque()
        self._generation = 0
        self._next_id = 0
        self._sent_samples = 0
        self._gain = 1.0
        self._target = 1.0
        self._held = False
        self._tail: bytes | None = None
        self.started: Callable[[Utterance], None] | None = None
        self.sent: Callable[[bytes, float], None] | None = None
        """Told each frame of speech as it leaves, and when: it may come back as an echo."""
        self.silenced_s: float | None = None
        """Instant at which the line fell silent for the last hold or cut; None while it has not yet."""

    @property
    def busy(self) -> bool:
        """True while something is queued, playing or not yet heard."""
        return bool(self._queue or self._unheard)

    @property
    def generation(self) -> int:
        """Grows with every cut: whoever prepares speech notes it when asked to, and hands it in with the speech."""
        return self._generation

    def utter(self, source: Source, *clips: Clip, complete: bool = True, generation: int | None = None) -> Utterance:
        """Queue an utterance; with `complete=False` it may grow until `Utterance.complete` is set.

        One that was asked for in an earlier generation is skipped: what asked for it was cut.
        """
        self._next_id += 1
        utterance = Utterance(self._next_id, source, self._format)
        for clip in clips:
            utterance.add(clip)
        utterance.complete = complete
        self._queue.append((self._generation if generation is None else generation, utterance))
        return utterance

    def duck(self, gain: float) -> None:
        """Play softer, from the next frame on."""
        self._target = gain

    def unduck(self) -> None:
        """Play at full level again."""
        self._target = 1.0

    def hold(self) -> None:
        """Fall silent after one faded frame, keeping the place; what the far end has not heard is recalled."""
        if self._held:
            return
        self._held = True
        self.silenced_s = None
        if self._queue and self._media.capabilities.can_clear:
            utterance = self._queue[0][1]
            utterance.taken_samples = self._heard(utterance)
            self._media.clear()

    def resume(self) -> None:
        """Go on from the clause boundary before the place where the bot was silenced."""
        if self._queue:
            utterance = self._queue[0][1]
            utterance.rewind(self._heard(utterance))
        self._held = False
        self._gain = self._target = 1.0

    def cut(self) -> None:
        """Drop everything: new generation, read the position, clear the far end, settle what was heard."""
        self._generation += 1
        self._settle_heard()
        dropped = [*(sent.utterance for sent in self._unheard), *(utterance for _, utterance in self._queue)]
        heard = [self._heard(utterance) for utterance in dropped]
        self._queue.clear()
        self._unheard.clear()
        self._tail = None
        if not self._held or self.silenced_s is None:
            self.silenced_s = self._clock() + self._uncleared_s()
        self._held = False
        self._gain = self._target = 1.0
        if dropped:
            self._media.clear()
        for utterance, samples in zip(dropped, heard, strict=True):
            self._settle(utterance, "cut" if utterance.first_sent_s is not None else "skipped", samples)

    def cut_filler(self, *, at_once: bool = False) -> None:
        """Fade a playing filler out in the next frame and drop queued ones, because the real answer has audio.

        One that plays out is finished once it has begun: up to the end of its clause if that is near, else up to a
        quiet place soon. `at_once` spares none.
        """
        stays = [item for item in self._queue if not self._is_over(item[1], at_once)]
        fillers = [item[1] for item in self._queue if item not in stays]
        self._queue = deque(stays)
        for utterance in fillers:
            if utterance.first_sent_s is not None:
                frame = utterance.take_frame()
                if frame is not None:
                    self._tail = ramp_gain(frame, self._gain, 0.0)
            self._settle(utterance, "cut" if utterance.first_sent_s is not None else "skipped", self._heard(utterance))

    def _is_over(self, utterance: Utterance, at_once: bool) -> bool:
        """Whether a filler that is not wanted any more ends now."""
        if utterance.source != "filler":
            return False
        if at_once or not utterance.plays_out or utterance.first_sent_s is None:
            return True
        utterance.end_soon(_SOON_MS)
        return False

    def finish_clause(self) -> None:
        """Say no more than the clause that is being said; what waits behind it is skipped."""
        waiting = [item[1] for item in list(self._queue)[1:]]
        if self._queue:
            self._queue = deque([self._queue[0]])
            self._queue[0][1].end_with_clause()
        for utterance in waiting:
            self._settle(utterance, "skipped", 0)

    def drop(self, utterance: Utterance) -> None:
        """An utterance whose audio failed: settle it as failed with what was heard, and go on with the next.

        One that is complete lacks nothing and is played.
        """
        if not utterance.complete and any(item[1] is utterance for item in self._queue):
            self._queue = deque(item for item in self._queue if item[1] is not utterance)
            self._settle(utterance, "failed", self._heard(utterance))

    def tick(self, frames: int) -> None:
        """Write the frames that are due."""
        for _ in range(frames):
            if self._queue or self._tail is not None or self.silenced_s is None:
                self._write_frame()
            else:
                self._send(self._silence)
        if self._unheard:
            self._settle_heard()

    def _write_frame(self) -> None:
        if self._tail is not None:
            tail, self._tail = self._tail, None
            self._send(tail)
            return
        while self._queue:
            generation, utterance = self._queue[0]
            if generation != self._generation:
                self._queue.popleft()
                self._settle(utterance, "skipped", 0)
                continue
            if self._held:
                break
            frame = utterance.take_frame()
            if frame is not None:
                self._play(utterance, frame)
                return
            if not utterance.exhausted:
                break
            self._queue.popleft()
            self._unheard.append(_Sent(self._sent_samples, utterance, self._clock()))
        if self._held and self._gain > 0:
            self._fade_to_hold()
            return
        if self.silenced_s is None:
            self.silenced_s = self._clock()
        self._send(self._silence)

    def _play(self, utterance: Utterance, frame: bytes) -> None:
        if utterance.first_sent_s is None:
            utterance.first_sent_s = self._clock()
            if self.started is not None:
                self.started(utterance)
        if self._gain != 1.0 or self._target != 1.0:
            before = self._gain
            change = max(-_RAMP_PER_FRAME, min(_RAMP_PER_FRAME, self._target - before))
            self._gain = before + change
            frame = ramp_gain(frame, before, self._gain)
        self._send(frame)

    def _fade_to_hold(self) -> None:
        """The frame in which a held utterance fades out, without moving its place."""
        frame: bytes | None = None
        if self._queue:
            utterance = self._queue[0][1]
            place = utterance.taken_samples
            frame = utterance.take_frame() if utterance.first_sent_s is not None else None
            utterance.taken_samples = place
        self._send(ramp_gain(frame, self._gain, 0.0) if frame is not None else self._silence)
        self._gain = 0.0

    def _send(self, pcm: bytes) -> None:
        self._media.send(pcm)
        if pcm is not self._silence and self.sent is not None:
            self.sent(pcm, self._clock())
        self._sent_samples += self._frame_samples

    def _uncleared_s(self) -> float:
        """How long the far end goes on with what it has."""
        if self._media.capabilities.can_clear:
            return 0.0
        return self._format.duration_ms(self._media.position().far_queued_samples) / 1000

    def _heard(self, utterance: Utterance) -> int:
        """Samples of an utterance that the caller has heard by now."""
        if utterance.first_sent_s is None:
            return 0
        queued = self._media.position().far_queued_samples
        after = 0
        for sent in self._unheard:
            if sent.utterance is utterance:
                after = self._sent_samples - sent.end_samples
        silent = self._held and self._gain == 0.0
        return utterance.taken_samples if silent else max(0, utterance.taken_samples - max(0, queued - after))

    def _settle_heard(self) -> None:
        heard = self._sent_samples - self._media.position().far_queued_samples
        overdue_s = self._clock() - _LONGEST_FAR_S - self._media.capabilities.far_buffer_ms / 1000
        while self._unheard and (self._unheard[0].end_samples <= heard or self._unheard[0].at_s < overdue_s):
            utterance = self._unheard.popleft().utterance
            self._settle(utterance, "played", utterance.samples)

    def _settle(self, utterance: Utterance, outcome: Outcome, heard_samples: int) -> None:
        heard_text = utterance.text if outcome == "played" else utterance.heard_text(heard_samples)
        last = not self.busy
        self._settled(
            Settled(
                utterance.id,
                utterance.source,
                outcome,
                utterance.text,
                heard_text,
                utterance.first_sent_s,
                self._clock(),
                last,
            )
        )
