"""What a call has agreed on so far: the session, and the decisions that move it. Speculation lives here.

A decision has no side effect until it is committed, so it may be made on a pause, before the turn has ended, and
dropped when the caller goes on. The same holds for an answer of the language model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import anyio

from kamerton.domain.audio import AudioFormat
from kamerton.domain.dialogue import END_CALL, Expectation, SessionState
from kamerton.domain.errors import EngineError
from kamerton.domain.notices import SpeculationRecord
from kamerton.domain.recognition import RecognitionHint
from kamerton.orchestrator.decision import Decision
from kamerton.orchestrator.ledger import Turn
from kamerton.orchestrator.model_reply import FreeTalk, ModelReply
from kamerton.orchestrator.services import CallServices
from kamerton.orchestrator.speculation import SpeculationLedger, meaning_of

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Ahead:
    """A decision made ahead of the end of a turn, with the model's answer if it was asked for."""

    turn: int
    readings: tuple[str, ...]
    started_s: float
    whole: bool
    """The readings sound like a whole turn."""
    done: anyio.Event
    decision: Decision | None = None
    reply: ModelReply | None = None
    taken: bool = False
    """The model's answer was handed out, and is in vain unless it comes to be heard."""


class Conversation:
    """The dialogue of one call. Only its orchestrator's tasks use it."""

    def __init__(self, services: CallServices, call_id: str, free_talk: FreeTalk | None = None) -> None:
        self._services = services
        self._free_talk = free_talk
        left = services.recent.take(call_id)
        self.opening = services.router.begin(call_id) if left is None else services.router.resume(left)
        self.session: SessionState = self.opening.session
        self.over = False
        """The scenario has come to its end: what is being said, or was, is its good-bye."""
        self._ahead: _Ahead | None = None
        self._ledger = SpeculationLedger(services.call.speculation)
        self.speculated = SpeculationRecord()
        """What working ahead of the turn decided last came to."""

    @property
    def expectation(self) -> Expectation:
        """What the current state expects of the caller."""
        return self._services.router.expectation(self.session)

    @property
    def hint(self) -> RecognitionHint:
        """What the recogniser may expect."""
        return RecognitionHint(self._services.language, self.expectation.phrases)

    def commit(self, turn: Turn) -> None:
        """The answer starts to sound: the session moves on."""
        if turn.decision is None:
            return
        turn.session_before, turn.taken_back = self.session, False
        self.session = turn.decision.session
        self.over = turn.decision.action == END_CALL
        if self._ahead is not None:
            self._ahead.taken = False
        self._ledger.answered()
        self.drop_ahead()
        if self._services.sessions is not None:
            try:
                self._services.sessions.keep(self.session)
            except EngineError as error:
                log.warning("session not kept", extra={"error": str(error)})

    def take_back(self, turn: Turn) -> None:
        """The turn had not been over after all: undo its decision."""
        if turn.session_before is not None:
            self.session = replace(turn.session_before)
        turn.taken_back, self.over = True, False
        self.drop_ahead()

    def prepares(self, readings: tuple[str, ...], *, whole: bool) -> bool:
        """Whether the answer to just these words is being prepared, or is prepared."""
        ahead = self._ahead
        if ahead is None or ahead.readings != meaning_of(readings) or (whole and not ahead.whole):
            return False
        return ahead.decision is not None or not ahead.done.is_set()

    def drop_ahead(self, turn: int | None = None) -> None:
        """What was prepared ahead, of this turn or of any, is not wanted: nobody will ask for it any more."""
        ahead = self._ahead
        if ahead is None or turn not in (None, ahead.turn):
            return
        self._ahead = None
        if ahead.reply is not None:
            ahead.reply.drop()
        if ahead.reply is not None or ahead.taken:
            self._ledger.wasted_model()

    async def speculate(
        self, turn: int, readings: tuple[str, ...], audio_format: AudioFormat, *, whole: bool = True
    ) -> None:
        """Decide ahead and have the first words made. Safe to cancel; a newer speculation replaces this one.

        Args:
            turn: the number of the turn.
            readings: what was heard so far.
            audio_format: of the call.
            whole: the words sound like a whole turn; only then is the language model asked.
        """
        if not self._services.call.speculation.enabled or self.prepares(readings, whole=whole):
            return
        self.drop_ahead()
        self._ledger.began()
        ahead = self._ahead = _Ahead(turn, meaning_of(readings), anyio.current_time(), whole, anyio.Event())
        try:
            session = self.session
            decision = await self._services.router.decide(session, readings)
            if self.session is session and self._ahead is ahead:
                ahead.decision = decision
                ahead.reply = self._ask_ahead(decision) if whole else None
        finally:
            ahead.done.set()
        if ahead.decision is not None and ahead.decision.playlist:
            first = ahead.decision.playlist[0].text
            if self._services.voice.cached(first, audio_format) is None:
                await self._services.voice.clip(first, audio_format)

    async def decide(self, readings: tuple[str, ...]) -> Decision:
        """Decide a turn, reusing what was decided ahead for the same words. Safe to cancel.

        Raises:
            EngineError: the embedding model failed.
        """
        asked_s = anyio.current_time()
        ahead = self._ahead
        if ahead is not None and ahead.readings == meaning_of(readings):
            await ahead.done.wait()
            if ahead.decision is not None:
                self.speculated = self._ledger.settle(ahead.started_s, asked_s, model=ahead.reply is not None)
                return ahead.decision
        self.drop_ahead()
        self.speculated = self._ledger.settle(None, asked_s)
        return await self._services.router.decide(self.session, readings)

    def model_reply(self, decision: Decision) -> ModelReply | None:
        """The model's answer that a decision asks for: the one made ahead, or a new one. The caller owns it."""
        if self._free_talk is None or decision.question is None:
            return None
        ahead = self._ahead
        if ahead is not None and ahead.decision is decision and ahead.reply is not None:
            reply, ahead.reply = ahead.reply, None
            ahead.taken = True
            return reply
        if ahead is not None and ahead.taken:
            # The same words are answered anew: the answer that was asked for ahead came to nothing.
            ahead.taken = False
            self._ledger.wasted_model()
        self._ledger.asked_model(ahead=False)
        return self._free_talk.ask(decision.question)

    def _ask_ahead(self, decision: Decision) -> ModelReply | None:
        if self._free_talk is None or decision.question is None or not self._ledger.may_ask_model():
            return None
        self._ledger.asked_model(ahead=True)
        return self._free_talk.ask(decision.question)
