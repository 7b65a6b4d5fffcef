"""Which part of the brain answers a turn: the scenario, then prepared answers, then an honest offer. Pure, synchronous.

The text chat and the voice call share it. It has no side effects, so it may run ahead of the end of a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from kamerton.domain.dialogue import (
    Entities,
    Expectation,
    FaqResult,
    FlowResult,
    FlowStep,
    IntentResult,
    PlaylistItem,
    SessionState,
    TurnState,
    UserTurn,
)
from kamerton.domain.notices import TurnPath

_SENTENCE_WORDS = 3
"""From this many words on an utterance that nobody understands is a question of its own, not a slip of the ear."""


class Flow(Protocol):
    """What the router needs of the scenario."""

    def begin(self, call_id: str) -> FlowStep:
        """Enter the start state."""
        ...

    def expectation(self, session: SessionState) -> Expectation:
        """What the current state expects."""
        ...

    def step(self, session: SessionState, turn: UserTurn) -> FlowStep:
        """Take a turn; pure."""
        ...

    def reprompt(self, session: SessionState) -> tuple[PlaylistItem, ...]:
        """The current state's question, said again shortly."""
        ...


class Understanding(Protocol):
    """What the router needs of the classifier."""

    def understand(
        self, readings: Sequence[str], expectation: Expectation, previous_leader: str | None
    ) -> IntentResult:
        """Intent and entities of an utterance, given its possible readings."""
        ...

    def find_faq_answer(self, text: str) -> FaqResult | None:
        """A prepared answer, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """What to answer, and the session to keep once the answer is heard."""

    path: TurnPath
    session: SessionState
    playlist: tuple[PlaylistItem, ...]
    text: str = ""
    """The reading of the turn that was acted upon."""
    intent: IntentResult | None = None
    entities: Entities = field(default_factory=Entities)
    faq: FaqResult | None = None
    result: FlowResult = FlowResult.SUCCESS
    action: str | None = None
    interruptible: bool = True
    fillers: tuple[PlaylistItem, ...] = ()
    detail: str = ""


class Router:
    """Decides turns of one assistant; shared by all its calls."""

    def __init__(self, flow: Flow, understanding: Understanding, phrases: Mapping[str, str]) -> None:
        self._flow = flow
        self._understanding = understanding
        self._phrases = phrases

    def begin(self, call_id: str) -> Decision:
        """The greeting."""
        step = self._flow.begin(call_id)
        return _scenario("greeting", step, "", None)

    def expectation(self, session: SessionState) -> Expectation:
        """What the current state expects of the next turn."""
        return self._flow.expectation(session)

    def decide(self, session: SessionState, readings: Sequence[str]) -> Decision:
        """Answer a turn; `readings` are its possible transcripts, best first."""
        expectation = self._flow.expectation(session)
        intent = self._understanding.understand(readings, expectation, session.previous_intent_leader)
        text = intent.text or (readings[0] if readings else "")
        step = self._flow.step(session, UserTurn(text, intent, intent.entities))
        if step.result is FlowResult.EXECUTION_ERROR:
            sorry = self._phrase("apology")
            answer = _scenario("error", step, text, intent)
            return replace(answer, session=session, playlist=(sorry, *self._flow.reprompt(session)), action=None)
        if step.matched:
            return _scenario("scenario", step, text, intent)
        return self._beyond_scenario(session, step, text, intent)

    def _beyond_scenario(self, session: SessionState, step: FlowStep, text: str, intent: IntentResult) -> Decision:
        faq = self._understanding.find_faq_answer(text) if text else None
        if faq is not None:
            spoken = PlaylistItem("tts", faq.answer)
            kept = replace(session, misses=0, turn_state=TurnState.BOT_TURN)
            playlist = (spoken, *self._flow.reprompt(kept))
            return Decision("faq", kept, playlist, text, intent, intent.entities, faq)
        missed = _scenario("fallback", step, text, intent)
        if step.action is not None or len(text.split()) < _SENTENCE_WORDS:
            return missed
        moved_on = step.session.current_state_id != session.current_state_id
        if moved_on:
            return missed
        return replace(missed, playlist=(self._phrase("offer"), *self._flow.reprompt(step.session)))

    def _phrase(self, key: str) -> PlaylistItem:
        return PlaylistItem("cache", self._phrases[key], key)


def _scenario(path: TurnPath, step: FlowStep, text: str, intent: IntentResult | None) -> Decision:
    return Decision(
        path=path,
        session=step.session,
        playlist=step.playlist,
        text=text,
        intent=intent,
        entities=intent.entities if intent else Entities(),
        result=step.result,
        action=step.action,
        interruptible=step.interruptible,
        fillers=step.fillers,
        detail=step.detail,
    )
