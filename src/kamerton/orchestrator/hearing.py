"""The caller's side of a turn: its words, and the keys that were typed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kamerton.domain.dialogue import Completeness, EntityKind, Expectation
from kamerton.domain.notices import MindState, MindStateChanged, Notice, TranscriptUpdated
from kamerton.domain.recognition import Final, Partial, SttFailed
from kamerton.listening.own_words import repeats_own_words
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.conversation import Conversation
from kamerton.orchestrator.floor import Bot, Caller, Floor
from kamerton.orchestrator.ledger import Ledger
from kamerton.orchestrator.services import CallServices
from kamerton.tts.spoken.text import spoken

log = logging.getLogger(__name__)

_GRADES = (Completeness.OPEN, Completeness.COMPLETE, Completeness.PLAUSIBLE)
"""Several readings of one sound: caution first, then confidence."""

_PLAIN_WORDS = Expectation(EntityKind.YES_NO)

_CHARACTERS_PER_S = 25.0
_CHARACTERS_AT_ONCE = 4
"""Nobody speaks faster than that: more text than this was not said. Recognisers make sentences of a cough or «угу»."""
_LONGEST_NUMBER = 64
"""Keys beyond it are not taken: no number is so long."""


@dataclass(frozen=True, slots=True)
class OwnVoice:
    """What the assistant is saying, or has said within an echo's reach."""

    text: str = ""
    echo_known: bool = False
    """The line is known to return it."""


class Hearing:
    """Follows the caller's turns of one call in the ledger. Plain calls from the turn loop only.

    `ahead` is called with a turn, the readings of a stable partial of it, so that the answer may be prepared on the
    pause, and whether they sound like a whole turn. `own_voice` gives what the assistant has been saying.
    """

    def __init__(
        self,
        services: CallServices,
        conversation: Conversation,
        ledger: Ledger,
        publish: Callable[[Notice], None],
        ahead: Callable[[int, tuple[str, ...], bool], None],
        own_voice: Callable[[], OwnVoice],
    ) -> None:
        self._services = services
        self._conversation = conversation
        self._ledger = ledger
        self._publish = publish
        self._ahead = ahead
        self._own_voice = own_voice
        self._over_voice = OwnVoice()
        self._compared = ("", "")
        """What was compared with last: as written, and as it is said aloud."""
        self._keys = ""

    def open(self, number: int, onset_s: float, audio_from_s: float) -> None:
        """A turn begins; the recogniser is given its audio from `audio_from_s` on."""
        turn = self._ledger.open(number, "scenario", self._conversation.session.current_state_id)
        turn.timeline.mark("t1", onset_s)
        turn.audio_from_s = audio_from_s
        self._over_voice = self._own_voice()

    def ended(self, number: int, because: str, ended_s: float) -> None:
        """A turn is over; its transcript will follow."""
        turn = self._ledger.find(number)
        if turn is not None:
            turn.ended_because = because
            turn.timeline.mark("t_eos", ended_s)
        self._publish(MindStateChanged(MindState.ANALYZING_SPEECH, because))

    def partial(self, event: Partial, floor: Floor, now_s: float) -> ev.WordsHeard | None:
        """Words of the open turn: how finished they sound, and whether they are more than «угу»."""
        turn = self._ledger.find(event.turn)
        if turn is None or event.turn != floor.turn or not floor.turn_open:
            return None
        own = _distinct(event.text, event.alternatives)
        if self._is_own(own):
            own = ()
        readings = turn.with_before(own)
        completeness = self._grade(readings)
        backchannel = not readings or (floor.contested and not self._claims_floor(own, completeness, floor, now_s))
        if readings and not backchannel:
            self._publish(TranscriptUpdated("user", readings[0], final=False, turn=event.turn))
            # What is being prepared for an earlier turn is not to be given up for one that may come to nothing.
            if event.stable and not (floor.contested and floor.bot is Bot.THINKING):
                self._ahead(event.turn, readings, completeness is not Completeness.OPEN)
        covers_s = now_s if event.covers_ms is None else turn.audio_from_s + event.covers_ms / 1000
        return ev.WordsHeard(event.turn, completeness, backchannel, covers_s)

    def final(self, event: Final | SttFailed, current: bool, now_s: float) -> ev.FinalHeard:
        """The transcript of an ended turn; that of an earlier one, which the caller went on with, is noted."""
        turn = self._ledger.find(event.turn)
        if isinstance(event, SttFailed):
            log.warning("a turn was not recognised", extra={"turn": event.turn, "reason": event.reason})
        if isinstance(event, SttFailed) or turn is None:
            return ev.FinalHeard(event.turn, words=False, failed=True)
        own = _distinct(event.text, event.alternatives)
        turn.timeline.mark("t2", now_s)
        if self._is_own(own):
            log.info("the assistant's own words came back and were not taken for the caller's")
            return ev.FinalHeard(event.turn, words=False, own_voice=True)
        turn.own = own
        readings = turn.readings
        if readings and current:
            self._publish(TranscriptUpdated("user", readings[0], final=True, turn=event.turn))
        return ev.FinalHeard(event.turn, words=bool(readings))

    def key(self, digit: str) -> ev.KeysPressed:
        """A key was pressed; «#» ends the number."""
        if digit == "#":
            return ev.KeysPressed(finished=True)
        self._keys = (self._keys + digit)[:_LONGEST_NUMBER]
        return ev.KeysPressed()

    def open_keys(self, number: int, now_s: float) -> None:
        """A number begins to be typed."""
        turn = self._ledger.open(number, "scenario", self._conversation.session.current_state_id)
        turn.timeline.mark("t1", now_s)
        turn.ended_because = "dtmf"

    def end_keys(self, number: int, now_s: float) -> None:
        """The typed number stands as the turn's words."""
        typed, self._keys = self._keys, ""
        turn = self._ledger.find(number)
        if turn is not None:
            turn.own = (typed,) if typed else ()
            turn.timeline.mark("t_eos", now_s)
            turn.timeline.mark("t2", now_s)
        self._publish(TranscriptUpdated("user", typed, final=True, turn=number))

    def drop_keys(self) -> None:
        """What was typed does not count."""
        self._keys = ""

    def _is_own(self, own: Sequence[str]) -> bool:
        """Whether the open turn's words are nothing but the assistant's, come back."""
        said = self._own_voice().text or self._over_voice.text
        if not own or not said:
            return False
        if said != self._compared[0]:
            self._compared = (said, spoken(said, self._services.language))
        known = self._over_voice.echo_known
        return all(repeats_own_words(text, self._compared[1], echo_known=known) for text in own)

    def _grade(self, readings: Sequence[str]) -> Completeness:
        expectation = self._conversation.expectation
        grades = [self._services.completeness(reading, expectation) for reading in readings]
        if not grades:
            return Completeness.UNKNOWN
        if expectation.entity is None:
            return grades[0]
        return next((grade for grade in _GRADES if grade in grades), grades[0])

    def _claims_floor(self, own: Sequence[str], completeness: Completeness, floor: Floor, now_s: float) -> bool:
        """Whether words said into the bot's answer are believed, and are more than a sign of listening."""
        if not own:
            return False
        text = own[0]
        since_onset_ms = (now_s - floor.onset_s) * 1000
        sound_ms = floor.spoken_ms if floor.caller is Caller.PAUSED else since_onset_ms
        possible = len(text) <= _CHARACTERS_AT_ONCE + sound_ms / 1000 * _CHARACTERS_PER_S
        # Recognisers make words of an «угу», most of all words they were told to expect: from so short a sound only
        # a plain «нет», «стоп», «алло» is believed, and into typing not even that.
        brief = sound_ms < self._services.call.barge_in.real_speech_ms
        plain = floor.typing is None and self._services.completeness(text, _PLAIN_WORDS) is Completeness.COMPLETE
        return possible and (plain or not brief) and not self._is_backchannel(text, completeness, floor)

    def _is_backchannel(self, text: str, completeness: Completeness, floor: Floor) -> bool:
        """«Угу» answers a yes-or-no question, but not one that has not been asked yet."""
        asked = not (floor.bot is Bot.SPEAKING and floor.protected)
        answers = self._conversation.expectation.entity is EntityKind.YES_NO and completeness is Completeness.COMPLETE
        return not (answers and asked) and self._services.is_backchannel(text, self._services.language)


def _distinct(text: str, alternatives: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reading for reading in (text, *alternatives) if reading.strip()))
