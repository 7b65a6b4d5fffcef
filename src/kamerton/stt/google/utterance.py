"""One turn in Google's streams: its audio until it is final, and what was made of it. Pure: no clock, no I/O.

A stream carries one turn, or a part of one: half-closing it is what forces the final. When a stream is replaced, the
next one begins where the last final ended, so that no word is cut or lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final as Constant

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.recognition import Final, Partial, SttEvent, SttFailed, UtteranceEnded
from kamerton.stt.google.answers import Heard, Result
from kamerton.stt.google.options import MESSAGE_BYTES, STREAM_LIMIT_S, GoogleSttOptions

KEEP_MS: Constant = 60_000.0
"""Audio of a turn that is kept until it is final."""
LAST_S: Constant = STREAM_LIMIT_S - 15.0
"""A stream of this age is replaced wherever the caller is in his words: the audio without a final is sent anew."""
SLACK_MS: Constant = 60.0
"""A pause is told 80 ms after the last sound, so what covers all but this covers all words."""
_NEWS_MS: Constant = 100.0
"""The same words are told again when they cover so much more: there were no others in it."""
_CLOCK_MS: Constant = 60.0
"""The service rounds its offsets."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A final of the service within the turn."""

    result: Result
    firm: bool
    """Its end is known: its audio is not sent anew, and it stays."""


@dataclass(slots=True)
class _Stream:
    """The turn in the stream that carries it now."""

    opened_s: float
    start_ms: float
    """Where in the turn its audio begins."""
    sent_ms: float = 0.0
    heard: bool = False
    unheard_s: float = math.inf
    """When audio was first sent, while nothing was answered."""
    closed_s: float | None = None
    """When it was half-closed."""
    active_s: float = 0.0
    """When audio was last sent or an answer came."""


class Utterance:
    """One turn until its outcome.

    Args:
        turn: its number.
        language: of the hint, which is one of Google's.
        phrases: that the hint expects.
        audio_format: of the call.
        options: of the recogniser.
    """

    def __init__(
        self, turn: int, language: str, phrases: tuple[str, ...], audio_format: AudioFormat, options: GoogleSttOptions
    ) -> None:
        self.turn = turn
        self.language = language
        self.phrases = phrases
        self._options = options
        self._byte_ms = 1000 / (SAMPLE_BYTES * audio_format.rate_hz)
        self._chunk_bytes = min(SAMPLE_BYTES * audio_format.samples(options.chunk_ms), MESSAGE_BYTES)
        self._audio = bytearray()
        self._from_ms = 0.0
        """Where in the turn the kept audio begins."""
        self._sent_bytes = 0
        self._flush = False
        self._irrecoverable_ms = 0.0
        self._parts: list[_Part] = []
        self._hypothesis = ""
        self._paused_ms: float | None = None
        self._quiet = False
        """The service heard the speech end, and nothing since."""
        self._stable_told: str | None = None
        self._told_ms = 0.0
        """How far the last hypothesis that was told reached."""
        self._ended_told = True
        self._suspected = False
        self._stream: _Stream | None = None
        self.pushed_ms = 0.0
        self.covers_ms = 0.0
        """How much of the turn what is known speaks of."""
        self.ended_s: float | None = None
        self.refusal = ""
        """Why it is not sent at all."""
        self.outcome: Final | SttFailed | None = None

    @property
    def text(self) -> str:
        """All that is known."""
        return " ".join(text for text in (*(part.result.text for part in self._parts), self._hypothesis) if text)

    @property
    def ready(self) -> bool:
        """A message is full, or must not wait until it is."""
        unsent = len(self._audio) - self._sent_bytes
        return unsent >= self._chunk_bytes or (unsent > 0 and (self._flush or self.ended_s is not None))

    @property
    def half_closed(self) -> bool:
        """The service was told that the turn is over."""
        return self._stream is not None and self._stream.closed_s is not None

    def settled(self) -> bool:
        """Whether it has its outcome."""
        return self.outcome is not None

    # What the caller does.

    def push(self, pcm: bytes) -> float:
        """Add audio; returns how much went that the service never got, in ms."""
        self._audio += pcm
        self.pushed_ms += len(pcm) * self._byte_ms
        excess = len(self._audio) - int(KEEP_MS / self._byte_ms)
        if excess <= 0:
            return 0.0
        sent = min(excess, self._sent_bytes)
        self._irrecoverable_ms += sent * self._byte_ms
        self._forget(sent)
        unsent = excess - sent
        del self._audio[:unsent]
        self._from_ms += unsent * self._byte_ms
        return unsent * self._byte_ms

    def pause(self) -> list[SttEvent]:
        """The caller pauses: what was pushed is sent without waiting for more."""
        if not self.pushed_ms or self._paused_ms is not None:
            return []
        self._paused_ms, self._stable_told, self._flush = self.pushed_ms, None, True
        return self._stable()

    def resume(self) -> None:
        """The caller goes on."""
        self._paused_ms = None

    def end(self, now_s: float) -> None:
        """The turn is over."""
        self.ended_s = now_s
        if self.refusal:
            self.outcome = SttFailed(self.turn, self.refusal, retryable=False)
        elif not self.pushed_ms:
            self.outcome = Final(self.turn, "")

    # What becomes of the streams.

    def carried(self, opened_s: float) -> None:
        """A new stream, opened then, carries it from what is not final on."""
        self._stream = _Stream(opened_s, self._from_ms)
        self._sent_bytes = 0
        self._flush = self._paused_ms is not None
        self._quiet = False

    def left(self) -> float:
        """Its stream is gone.

        Returns:
            Audio without a final that is not kept any more, in ms.
        """
        loose = [part.result.text for part in self._parts if not part.firm]
        self._hypothesis = " ".join(text for text in (*loose, self._hypothesis) if text)
        self._parts = [part for part in self._parts if part.firm]
        lost_ms, self._irrecoverable_ms = self._irrecoverable_ms, 0.0
        self._stream, self._sent_bytes = None, 0
        return lost_ms

    def next_audio(self, now_s: float) -> bytes:
        """The audio of the next message; empty when there is none to be sent yet. It counts as sent."""
        stream = self._stream
        if stream is None or not self.ready:
            return b""
        # What was held up by a new stream goes in the largest messages.
        backlog = len(self._audio) - self._sent_bytes > 4 * self._chunk_bytes
        size = MESSAGE_BYTES if backlog else self._chunk_bytes
        pcm = bytes(self._audio[self._sent_bytes : self._sent_bytes + size])
        self._sent_bytes += len(pcm)
        stream.sent_ms += len(pcm) * self._byte_ms
        if self._flush:
            stream.active_s = now_s
        if not stream.heard and math.isinf(stream.unheard_s):
            stream.unheard_s = now_s
        self._flush = self._flush and self._sent_bytes < len(self._audio)
        return pcm

    def to_be_closed(self) -> bool:
        """Whether all is sent of a turn that is over, and the service was not told yet."""
        return self.ended_s is not None and not self.ready and not self.half_closed

    def closed(self, now_s: float) -> None:
        """The service is being told that the turn is over."""
        if self._stream is not None:
            self._stream.closed_s = now_s

    def near_limit(self, now_s: float) -> bool:
        """Whether the stream should be replaced now because of its age: between words if there is time."""
        stream = self._stream
        if stream is None or stream.closed_s is not None:
            return False
        age_s = max(now_s - stream.opened_s, stream.sent_ms / 1000)
        if age_s >= LAST_S:
            return True
        between_words = not self._hypothesis or self._paused_ms is not None
        # What is not final is sent anew, which must not bring the next stream near its limit as well.
        anew_s = (self.pushed_ms - self._from_ms) / 1000
        due = age_s >= self._options.renew_after_s and anew_s < self._options.renew_after_s / 2
        return due and between_words and self.ended_s is None

    def hangs(self, now_s: float) -> bool:
        """Whether nothing was answered for too long: true once in a turn, for there may be no speech in it."""
        stream = self._stream
        if stream is None or stream.closed_s is not None or stream.heard or self._suspected:
            return False
        self._suspected = now_s - stream.unheard_s >= self._options.first_answer_s
        return self._suspected

    def due_s(self, now_s: float) -> float:
        """The next instant at which something must be done, whatever happens before."""
        instants = [self._settles_s()]
        stream = self._stream
        if self.ended_s is not None:
            instants.append(self.ended_s + self._options.turn_s)
        if stream is not None and stream.closed_s is not None:
            instants.append(stream.closed_s + self._options.final_s)
        elif stream is not None:
            ages_s = (self._options.renew_after_s, LAST_S)
            instants += [stream.opened_s + age_s for age_s in ages_s if stream.opened_s + age_s > now_s]
            if not stream.heard and not self._suspected:
                instants.append(stream.unheard_s + self._options.first_answer_s)
        return min(instants)

    def overdue(self, now_s: float) -> str:
        """What did not come in time, or nothing; it may have made the outcome."""
        stream, options = self._stream, self._options
        late = stream is not None and stream.closed_s is not None and now_s >= stream.closed_s + options.final_s
        given_up = self.ended_s is not None and now_s >= self.ended_s + options.turn_s
        if not late and not given_up:
            return ""
        if self._is_covered and self.text:
            self.outcome = self._final()
        elif given_up:
            reason = f"Google Speech gave no transcript within {options.turn_s:g} s of the end of the turn"
            self.outcome = SttFailed(self.turn, reason)
        return f"gave no final within {options.final_s if late else options.turn_s:g} s"

    def over(self) -> None:
        """The service has ended the stream after it was half-closed: what is known is all."""
        self.outcome = self._final()

    def heard(self, heard: Heard, now_s: float) -> list[SttEvent]:
        """The service answered in the stream that carries the turn."""
        stream = self._stream
        if stream is None or self.outcome is not None:
            return []
        stream.heard, stream.active_s = True, now_s
        events: list[SttEvent] = []
        if heard.speech == "began":
            self._quiet, self._ended_told = False, False
        for result in heard.results:
            if result.final:
                events += self._finalised(stream, result)
        hypotheses = [result for result in heard.results if not result.final]
        if hypotheses:
            events += self._supposed(stream, hypotheses)
        if heard.speech == "ended":
            self._quiet = True
            events += self._utterance_ended(self._placed(stream, heard.at_ms))
        return events

    def _finalised(self, stream: _Stream, result: Result) -> list[SttEvent]:
        end_ms = self._placed(stream, result.end_ms)
        if self._is_repeated(result, end_ms):
            return []
        self._ended_told = self._ended_told and bool(self._hypothesis)
        self._hypothesis = ""
        self._parts.append(_Part(result, firm=end_ms is not None))
        if end_ms is not None:
            self._parts = [_Part(part.result, firm=True) for part in self._parts]
            heard_bytes = round((end_ms - self._from_ms) / self._byte_ms) // SAMPLE_BYTES * SAMPLE_BYTES
            self._forget(max(0, min(heard_bytes, self._sent_bytes)))
            self._irrecoverable_ms = 0.0
            self.covers_ms = max(self.covers_ms, end_ms)
        if self.half_closed:
            if end_ms is not None and end_ms >= self.pushed_ms - _CLOCK_MS:
                self.outcome = self._final()
            return []
        return [*self._utterance_ended(end_ms), *self._stable()]

    def _is_repeated(self, result: Result, end_ms: float | None) -> bool:
        """Whether a final comes twice: the next one reaches farther, or says something else if nobody knows how far."""
        if end_ms is not None:
            return bool(self._parts) and end_ms <= self._from_ms + _CLOCK_MS / 4
        last = self._parts[-1].result if self._parts else None
        return last is not None and (last.text, last.end_ms) == (result.text, result.end_ms)

    def _supposed(self, stream: _Stream, results: list[Result]) -> list[SttEvent]:
        text = " ".join(result.text for result in results if result.text)
        end_ms = self._placed(stream, max(result.end_ms for result in results))
        if end_ms is not None:
            if end_ms < self.covers_ms and len(text) < len(self._hypothesis):
                # Of a stream that carries the turn anew and is not as far as the one before it was.
                return []
            self.covers_ms = max(self.covers_ms, end_ms)
        same = text == self._hypothesis
        if not text or (same and self.covers_ms < self._told_ms + _NEWS_MS):
            return self._stable()
        self._ended_told = self._ended_told and same
        self._hypothesis, self._told_ms = text, self.covers_ms
        if self.ended_s is not None:
            return []
        return self._stable() or [Partial(self.turn, self.text, covers_ms=self.covers_ms)]

    def _utterance_ended(self, covers_ms: float | None) -> list[SttEvent]:
        if self._ended_told or self.ended_s is not None:
            return []
        self._ended_told = True
        return [UtteranceEnded(self.turn, self.covers_ms if covers_ms is None else min(covers_ms, self.pushed_ms))]

    def _stable(self) -> list[SttEvent]:
        """What is known, when the caller pauses and it covers all up to there."""
        paused_ms, text = self._paused_ms, self.text
        if paused_ms is None or self.ended_s is not None or not text or text == self._stable_told:
            return []
        if not self._is_covered:
            return []
        self._stable_told, self.covers_ms = text, max(self.covers_ms, paused_ms)
        return [Partial(self.turn, text, stable=True, covers_ms=self.covers_ms)]

    @property
    def _is_covered(self) -> bool:
        """What is known speaks of all that was said."""
        said_ms = self.pushed_ms if self._paused_ms is None else self._paused_ms
        return self.covers_ms >= said_ms - SLACK_MS

    def _settles_s(self) -> float:
        """When a pause is taken to be heard, unless something comes before.

        Of silence behind the last word the service says nothing more; so when it heard the speech end, and has had the
        audio up to the pause for as long as it usually takes, there were no further words.
        """
        stream, paused_ms = self._stream, self._paused_ms
        if stream is None or paused_ms is None or self.ended_s is not None or self.text in ("", self._stable_told):
            return math.inf
        if (self._hypothesis and not self._quiet) or stream.start_ms + stream.sent_ms < paused_ms:
            return math.inf
        return stream.active_s + self._options.lag_ms / 1000

    def settled_pause(self, now_s: float) -> list[SttEvent]:
        """The stable hypothesis of a pause that is taken to be heard by now."""
        if now_s < self._settles_s():
            return []
        self.covers_ms = max(self.covers_ms, self._paused_ms or 0.0)
        return self._stable()

    def _placed(self, stream: _Stream, offset_ms: float) -> float | None:
        """A place of the stream in the turn; None when it makes no sense."""
        if not 0 < offset_ms <= stream.sent_ms + _CLOCK_MS:
            return None
        return stream.start_ms + min(offset_ms, stream.sent_ms)

    def _final(self) -> Final:
        return Final(self.turn, self.text, self._alternatives(), self._confidence())

    def _alternatives(self) -> tuple[str, ...]:
        """Other readings of the whole: in each of them one part is read otherwise."""
        texts = [part.result.text for part in self._parts]
        readings = dict.fromkeys(
            " ".join(text for text in (*texts[:at], other, *texts[at + 1 :], self._hypothesis) if text)
            for at, part in enumerate(self._parts)
            for other in part.result.alternatives
            if other
        )
        readings.pop(self.text, None)
        return tuple(readings)[: self._options.max_alternatives]

    def _confidence(self) -> float:
        """That of the least certain part; 1 where the service says nothing."""
        return min((part.result.confidence for part in self._parts if part.result.confidence > 0), default=1.0)

    def _forget(self, count: int) -> None:
        """Forget the first bytes, which were sent."""
        del self._audio[:count]
        self._sent_bytes -= count
        self._from_ms += count * self._byte_ms
