"""The caller's side of an exchange: the turn that is being heard, its words, its keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kamerton.domain.dialogue import Completeness, EntityKind, Expectation
from kamerton.domain.notices import MindState, MindStateChanged, Notice, TranscriptUpdated
from kamerton.domain.recognition import Final, Partial, SttFailed
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.conversation import Conversation
from kamerton.orchestrator.exchange import Exchange
from kamerton.orchestrator.services import CallServices

_GRADES = (Completeness.OPEN, Completeness.COMPLETE, Completeness.PLAUSIBLE)
"""Several readings of one sound: caution first, then confidence."""

_PLAIN_WORDS = Expectation(EntityKind.YES_NO)

_CHARACTERS_PER_S = 25.0
_CHARACTERS_AT_ONCE = 4
"""Nobody speaks faster than that: more text than this was not said. Recognisers make sentences of a cough or «угу»."""


class Hearing:
    """Follows the caller's turns of one call. Plain calls from the turn loop only.

    `ahead` is called with the readings of a stable partial, so that the answer may be prepared on the pause, and with
    whether they sound like a whole turn.
    """

    def __init__(
        self,
        services: CallServices,
        conversation: Conversation,
        publish: Callable[[Notice], None],
        ahead: Callable[[tuple[str, ...], bool], None],
    ) -> None:
        self._services = services
        self._conversation = conversation
        self._publish = publish
        self._ahead = ahead
        self._keys = ""
        self.exchange: Exchange | None = None
        """The exchange whose turn is being heard, or waits for its answer."""

    def open(self, turn: int, onset_s: float, continues: bool) -> None:
        """A turn begins. When it continues the one before, the words of that one are kept."""
        if continues and self.exchange is not None and self.exchange.readings:
            self._conversation.carry(self.exchange.readings)
        self._keys = ""
        self.exchange = Exchange(turn, "scenario", self._conversation.session.current_state_id)
        self.exchange.timeline.mark("t1", onset_s)

    def ended(self, because: str, ended_s: float) -> None:
        """The turn is over; its transcript will follow."""
        if self.exchange is not None:
            self.exchange.ended_because = because
            self.exchange.timeline.mark("t_eos", ended_s)
        self._publish(MindStateChanged(MindState.ANALYZING_SPEECH, because))

    def abandon(self) -> None:
        """It was no turn."""
        self.exchange = None

    def answered(self) -> None:
        """The answer sounds: whatever is said from now on does not go on with the turn before."""
        self.exchange = None

    def partial(self, event: Partial, contested: bool, sound_ms: float) -> ev.WordsHeard:
        """Words of the open turn: how finished they sound, and whether they are more than «угу».

        Args:
            event: the words.
            contested: the caller said them while the bot could be heard.
            sound_ms: length of the sound in which they were found.
        """
        readings = self._conversation.readings(event.text, event.alternatives)
        completeness = self._grade(readings)
        backchannel = not readings or (contested and not self._claims_floor(readings[0], completeness, sound_ms))
        if readings and not backchannel:
            self._publish(TranscriptUpdated("user", readings[0], final=False, turn=event.turn))
            if event.stable:
                self._ahead(readings, completeness is not Completeness.OPEN)
        return ev.WordsHeard(event.turn, completeness, backchannel)

    def final(self, event: Final | SttFailed, current: bool, now_s: float) -> ev.FinalHeard | None:
        """The transcript of an ended turn; one of an earlier turn that the caller continued is kept for later."""
        if isinstance(event, SttFailed):
            return ev.FinalHeard(event.turn, words=False, failed=True) if current else None
        readings = self._conversation.readings(event.text, event.alternatives)
        if not current or self.exchange is None:
            if self.exchange is not None and event.turn == self.exchange.index - 1 and readings:
                self._conversation.carry(readings)
            return None
        self.exchange.readings = readings
        self.exchange.timeline.mark("t2", now_s)
        if readings:
            self._publish(TranscriptUpdated("user", readings[0], final=True, turn=event.turn))
        return ev.FinalHeard(event.turn, words=bool(readings))

    @property
    def typing(self) -> bool:
        """True while a number is being typed on the keys."""
        return bool(self._keys)

    def key(self, digit: str, now_s: float, turn: int) -> bool:
        """Take a key; returns True when it ends the number («#»)."""
        if not self._keys:
            self.exchange = Exchange(turn, "scenario", self._conversation.session.current_state_id)
            self.exchange.timeline.mark("t1", now_s)
            self.exchange.ended_because = "dtmf"
        if digit == "#":
            return True
        self._keys += digit
        return False

    def keys_finished(self, turn: int, now_s: float) -> ev.FinalHeard:
        """The typed number stands as the turn's words."""
        typed, self._keys = self._keys, ""
        if self.exchange is not None:
            self.exchange.readings = (typed,) if typed else ()
            self.exchange.timeline.mark("t_eos", now_s)
            self.exchange.timeline.mark("t2", now_s)
        self._publish(TranscriptUpdated("user", typed, final=True, turn=turn))
        return ev.FinalHeard(turn, words=bool(typed))

    def _grade(self, readings: Sequence[str]) -> Completeness:
        expectation = self._conversation.expectation
        grades = [self._services.completeness(reading, expectation) for reading in readings]
        if not grades:
            return Completeness.UNKNOWN
        if expectation.entity is None:
            return grades[0]
        return next((grade for grade in _GRADES if grade in grades), grades[0])

    def _claims_floor(self, text: str, completeness: Completeness, sound_ms: float) -> bool:
        """Whether words said into the bot's speech are believed, and are more than a sign of listening."""
        possible = len(text) <= _CHARACTERS_AT_ONCE + sound_ms / 1000 * _CHARACTERS_PER_S
        # Recognisers make words of an «угу», most of all words they were told to expect: from so short a sound only
        # a plain «нет», «стоп», «алло» is believed.
        brief = sound_ms < self._services.call.barge_in.real_speech_ms
        plain = self._services.completeness(text, _PLAIN_WORDS) is Completeness.COMPLETE
        return possible and (plain or not brief) and not self._is_backchannel(text, completeness)

    def _is_backchannel(self, text: str, completeness: Completeness) -> bool:
        answers = self._conversation.expectation.entity is EntityKind.YES_NO and completeness is Completeness.COMPLETE
        return not answers and self._services.is_backchannel(text, self._services.language)
