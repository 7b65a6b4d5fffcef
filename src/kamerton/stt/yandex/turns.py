"""The turns of one call in SpeechKit's sessions: what to send next, and what the answers mean. Pure: no clock, no I/O.

A session knows one long audio, in which we say where utterances end. Turns are told apart by order: what comes before
the end of an utterance is confirmed belongs to that one. The service's times are used to give answers that come twice,
or too late, to nobody; where they make no sense, order decides alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final as FinalValue

from kamerton.domain.audio import AudioFormat, AudioFrame
from kamerton.domain.recognition import Final, Partial, SttEvent, SttFailed, UtteranceEnded
from kamerton.stt.yandex.answers import (
    Answer,
    Audio,
    Cursors,
    EndUtterance,
    FinalPart,
    Hypothesis,
    Refinement,
    Request,
    Silence,
    UtteranceOver,
)
from kamerton.stt.yandex.options import SESSION_LIMIT_S, YandexSttOptions, language_code
from kamerton.stt.yandex.utterance import SLACK_MS, Utterance

KEEP_MS: FinalValue = 40_000.0
"""Audio of a turn that is kept until it is final; turns are at most 30 s long."""
LAST_S: FinalValue = SESSION_LIMIT_S - 12.0
"""A session with so much audio is replaced in mid-turn: the audio without a final is sent anew."""
LAST_BYTES: FinalValue = 9_700_000
RENEW_BYTES: FinalValue = 9_000_000
"""Of 10 MB that a session may have; in mid-turn and between turns."""
REFINEMENT_S: FinalValue = 0.6
"""Longest wait for normalised words once the utterance is over; then the raw ones are the final."""
_SAME_END_MS: FinalValue = 150.0
"""An end of an utterance is confirmed for where we set it, within the audio that was under way."""
_PASSED_MS: FinalValue = 200.0
_AHEAD_MS: FinalValue = 100.0
"""A place so far beyond what was sent is none: the service's times make no sense then."""
_SEEN: FinalValue = 64


@dataclass(slots=True)
class _Session:
    language: str
    opened_s: float
    last_sent_s: float
    sent_ms: float = 0.0
    sent_bytes: int = 0
    unanswered_s: float | None = None
    """Since when audio is sent without any answer."""
    worked: bool = False
    seen: deque[tuple[int, int, str]] = field(default_factory=lambda: deque(maxlen=_SEEN))
    last_over_ms: int | None = None
    passed_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_SEEN))
    """Ends that were not confirmed in time, of turns that were none."""


class SpeechKitTurns:
    """Keeps the turns that have no final yet, in order.

    Args:
        options: of the recogniser.
        audio_format: of the call.
    """

    def __init__(self, options: YandexSttOptions, audio_format: AudioFormat) -> None:
        self._options = options
        self._format = audio_format
        self._message_bytes = 2 * audio_format.samples(options.chunk_ms)
        self._waiting: deque[Utterance] = deque()
        self._open: Utterance | None = None
        self._refused: tuple[int, str] | None = None
        self._refining: list[tuple[float, Utterance]] = []
        self._session: _Session | None = None
        self._unrecorded_ms = 0.0
        self.dropped_ms = 0.0
        """Audio that the service never got because too much waited."""
        self.turn = 0
        """The turn that is open, or the last one."""

    @property
    def worked(self) -> bool:
        """Whether the session has recognised anything, words or not."""
        return self._session is not None and self._session.worked

    @property
    def language(self) -> str | None:
        """Code in which the next session should recognise; None: as the last one."""
        return self._waiting[0].language if self._waiting else None

    def take_sent_s(self) -> float:
        """Audio and silence that was sent since this was last asked."""
        sent_ms, self._unrecorded_ms = self._unrecorded_ms, 0.0
        return sent_ms / 1000

    # What the caller does.

    def begin(self, turn: int, language: str, look_back: Sequence[AudioFrame]) -> None:
        """A turn begins; one that was not ended is dropped."""
        self.abandon()
        self.turn = turn
        code = language_code(language)
        if code is None:
            self._refused = (turn, language)
            return
        self._open = Utterance(turn, code, self._format, KEEP_MS)
        self._waiting.append(self._open)
        for frame in look_back:
            self.push(frame.pcm)

    def push(self, pcm: bytes) -> bool:
        """Add audio to the open turn; returns whether there is a message to be sent now."""
        if self._open is None:
            return False
        self.dropped_ms += self._open.push(pcm)
        return self._open.unsent_bytes >= self._message_bytes

    def pause(self) -> list[SttEvent]:
        """The caller pauses: what was pushed is sent without waiting for more."""
        if self._open is None or not self._open.pushed_ms or self._open.paused_ms is not None:
            return []
        self._open.paused_ms = self._open.pushed_ms
        self._open.flush, self._open.stable_told = True, False
        return self._stable(self._open)

    def resume(self) -> None:
        """The caller goes on."""
        if self._open is not None:
            self._open.paused_ms = None

    def end(self, now_s: float) -> list[SttEvent]:
        """The open turn is over."""
        if self._refused is not None:
            (turn, language), self._refused = self._refused, None
            reason = f"Yandex SpeechKit does not recognise '{language}'; choose another recogniser for it"
            return [SttFailed(turn, reason, retryable=False)]
        ended, self._open = self._open, None
        if ended is None:
            return []
        if not ended.pushed_ms:
            self._waiting.remove(ended)
            return [Final(ended.turn, "")]
        ended.ended_s = now_s
        return []

    def abandon(self) -> None:
        """The open turn was none. The service is told that it ends here, and its words go to nobody."""
        self._refused = None
        dropped, self._open = self._open, None
        if dropped is None:
            return
        if dropped.begun_ms is None:
            self._waiting.remove(dropped)
        else:
            dropped.drop()

    # What becomes of the session.

    def opened(self, language: str, now_s: float) -> None:
        """A session stands, in which nothing was sent yet."""
        self._session = _Session(language, now_s, now_s)

    def lost(self) -> float:
        """The session is gone, or is left: what is not final will be sent anew.

        Returns:
            Audio without a final that is not kept any more, in ms.
        """
        self._session = None
        # No normalised words follow from a session that is gone: the raw ones are due at once.
        self._refining = [(0.0, utterance.settle_raw()) for _, utterance in self._refining]
        self._waiting = deque(utterance for utterance in self._waiting if not utterance.dropped)
        return sum(utterance.start_over() for utterance in self._waiting)

    def renewal(self, now_s: float) -> str:
        """Why the session should be replaced now; empty when it should not."""
        session = self._session
        if session is None:
            return ""
        idle = not self._refining and not any(utterance.begun_ms is not None for utterance in self._waiting)
        if idle and self.language not in (None, session.language):
            return "another language is spoken"
        age_s = max(now_s - session.opened_s, session.sent_ms / 1000)
        old = age_s >= self._options.renew_after_s or session.sent_bytes >= RENEW_BYTES
        if (idle and old) or age_s >= LAST_S or session.sent_bytes >= LAST_BYTES:
            return "the session is near its limit"
        return ""

    def next_request(self, now_s: float) -> Request | None:
        """What to send now; None when nothing is due. It counts as sent."""
        session = self._session
        if session is None:
            return None
        quiet = now_s >= session.last_sent_s + self._options.keep_alive_s
        if quiet and self._open is not None:
            # What waits for a full message comes before the silence, which would tear it.
            self._open.flush = bool(self._open.unsent_bytes)
        request = self._utterance_request(session, now_s)
        if request is None and quiet:
            request = Silence(self._options.keep_alive_ms)
            self._count(session, request.duration_ms)
            if self._open is not None and self._open.begun_ms is not None:
                self._open.interposed(request.duration_ms)
        if request is not None:
            session.last_sent_s = now_s
        return request

    def due_s(self) -> float:
        """The instant at which something must be done, whatever happens before."""
        instants = [until_s for until_s, _ in self._refining]
        session = self._session
        if session is not None:
            instants.append(session.last_sent_s + self._options.keep_alive_s)
            if session.unanswered_s is not None:
                instants.append(session.unanswered_s + self._options.first_answer_s)
        for utterance in self._waiting:
            if utterance.ended_s is not None:
                instants.append(utterance.ended_s + self._options.turn_s)
            if utterance.end_sent_ms is not None:
                instants.append(utterance.end_sent_s + self._options.final_s)
        return min(instants, default=float("inf"))

    def overdue(self, now_s: float) -> tuple[list[SttEvent], str]:
        """What did not come in time: the outcomes that this makes, and why the session is to be left, if it is."""
        events: list[SttEvent] = [_final(utterance) for until_s, utterance in self._refining if until_s <= now_s]
        self._refining = [(until_s, utterance) for until_s, utterance in self._refining if until_s > now_s]
        options, session, trouble = self._options, self._session, ""
        for utterance in tuple(self._waiting):
            late = utterance.end_sent_ms is not None and now_s >= utterance.end_sent_s + options.final_s
            if late and utterance.dropped and utterance.covered and session is not None:
                # Nobody waits for its words; whether ends of mere noise are confirmed is not documented.
                self._waiting.remove(utterance)
                session.passed_ms.append(utterance.end_sent_ms or 0.0)
                continue
            given_up = utterance.ended_s is not None and now_s >= utterance.ended_s + options.turn_s
            if late or given_up:
                trouble = f"gave no final within {options.final_s if late else options.turn_s:g} s"
            if (late and utterance.covered and not utterance.dropped) or given_up:
                self._waiting.remove(utterance)
                events.append(_final(utterance) if utterance.covered else _failed(utterance, options.turn_s))
        since_s = session.unanswered_s if session is not None else None
        if not trouble and since_s is not None and now_s >= since_s + options.first_answer_s:
            trouble = f"answered nothing for {options.first_answer_s:g} s"
        return events, trouble

    def answer(self, answer: Answer, now_s: float) -> list[SttEvent]:
        """The service answered."""
        session = self._session
        if session is None:
            return []
        session.unanswered_s = None
        current = self._current(session, answer.cursors)
        partial_ms = answer.cursors.partial_ms
        reach_ms = float(partial_ms) if partial_ms <= session.sent_ms + _AHEAD_MS else None
        match answer:
            case Hypothesis(_, text):
                session.worked = True
                return self._hypothesis(current, reach_ms, text)
            case FinalPart(cursors, text):
                session.worked = True
                return self._final_part(session, current, cursors, text)
            case Refinement(_, index, text):
                return self._refinement(index, text)
            case UtteranceOver(_, time_ms):
                session.worked = True
                return self._over(session, current, time_ms, now_s)
            case _:
                if current is None or reach_ms is None or not current.cover(reach_ms) or current.stable_told:
                    return []
                return self._stable(current)

    def _utterance_request(self, session: _Session, now_s: float) -> Request | None:
        for utterance in self._waiting:
            if utterance.language != session.language:
                return None
            pcm = utterance.take(self._message_bytes, session.sent_ms)
            if pcm:
                session.sent_bytes += len(pcm)
                self._count(session, self._format.duration_ms(len(pcm) // 2))
                if session.unanswered_s is None:
                    session.unanswered_s = now_s
                return Audio(pcm)
            if not utterance.ended and not utterance.dropped:
                return None
            if utterance.end_sent_ms is None:
                utterance.end_sent_ms, utterance.end_sent_s = session.sent_ms, now_s
                return EndUtterance()
        return None

    def _count(self, session: _Session, sent_ms: float) -> None:
        session.sent_ms += sent_ms
        self._unrecorded_ms += sent_ms

    def _current(self, session: _Session, cursors: Cursors) -> Utterance | None:
        """The utterance that answers are about."""
        begun = [utterance for utterance in self._waiting if utterance.begun_ms is not None]
        # A service that does not confirm an end without words goes on to what follows.
        while len(begun) > 1 and begun[0].dropped and begun[0].end_sent_ms is not None:
            if not begun[0].end_sent_ms + _PASSED_MS <= cursors.partial_ms <= session.sent_ms:
                break
            self._waiting.remove(begun.pop(0))
        return begun[0] if begun else None

    def _hypothesis(self, current: Utterance | None, reach_ms: float | None, text: str) -> list[SttEvent]:
        if current is None or not current.hypothesis(text, reach_ms):
            return []
        if current.ended or current.dropped:
            return []
        return self._stable(current) or [Partial(current.turn, current.text, covers_ms=current.covers_ms)]

    def _stable(self, current: Utterance) -> list[SttEvent]:
        """The hypothesis that a pause asked for, if it covers all up to there."""
        paused_ms = current.paused_ms
        if paused_ms is None or current.ended or current.dropped or current.covers_ms < paused_ms - SLACK_MS:
            return []
        current.stable_told = True
        covers_ms = max(current.covers_ms, paused_ms)
        return [Partial(current.turn, current.text, stable=True, covers_ms=covers_ms)]

    def _final_part(self, session: _Session, current: Utterance | None, cursors: Cursors, text: str) -> list[SttEvent]:
        key = (cursors.final_index, cursors.final_ms, text)
        if key in session.seen or current is None or current.begun_ms is None:
            return []
        session.seen.append(key)
        trusted = 0 < cursors.final_ms <= session.sent_ms
        if trusted and text and cursors.final_ms <= current.begun_ms:
            return []
        current.final(cursors.final_index, text, cursors.final_ms, trusted=trusted)
        return []

    def _refinement(self, index: int, text: str) -> list[SttEvent]:
        for entry in self._refining:
            if entry[1].refine(index, text):
                if not entry[1].refined:
                    return []
                self._refining.remove(entry)
                return [_final(entry[1])]
        for utterance in self._waiting:
            if utterance.refine(index, text):
                break
        return []

    def _over(self, session: _Session, current: Utterance | None, time_ms: int, now_s: float) -> list[SttEvent]:
        pending = [utterance for utterance in self._waiting if utterance.end_sent_ms is not None]
        ends = [abs((utterance.end_sent_ms or 0.0) - time_ms) <= _SAME_END_MS for utterance in pending]
        passed = any(abs(end_ms - time_ms) <= _SAME_END_MS for end_ms in session.passed_ms)
        if not any(ends) and (passed or time_ms == session.last_over_ms):
            return []
        session.last_over_ms = time_ms
        if not pending:
            if current is None or current.dropped:
                return []
            return [UtteranceEnded(current.turn, covers_ms=current.covers_ms)]
        # An end that was never confirmed is passed by with the next one that is.
        confirmed = pending[: ends.index(True) + 1] if any(ends) else pending[:1]
        return [event for utterance in confirmed for event in self._settled(utterance, now_s)]

    def _settled(self, utterance: Utterance, now_s: float) -> list[SttEvent]:
        self._waiting.remove(utterance)
        if utterance.dropped:
            return []
        if self._options.normalization and not utterance.refined:
            self._refining.append((now_s + REFINEMENT_S, utterance))
            return []
        return [_final(utterance)]


def _final(utterance: Utterance) -> Final:
    return Final(utterance.turn, utterance.text)


def _failed(utterance: Utterance, turn_s: float) -> SttFailed:
    return SttFailed(utterance.turn, f"Yandex SpeechKit gave no final within {turn_s:g} s of the turn's end")
