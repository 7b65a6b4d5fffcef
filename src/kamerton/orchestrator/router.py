"""Who answers a turn: the scenario, prepared answers, remembered ones, the language model, or an honest offer.

The text chat and the voice call share it. It has no side effects, so it may run ahead of the end of a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from kamerton.domain.dialogue import (
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
from kamerton.domain.work import Worker
from kamerton.orchestrator.decision import Decision, ModelQuestion, scripted

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


class PreparedAnswers(Protocol):
    """Answers from the assistant's folder."""

    async def answer(self, text: str) -> FaqResult | None:
        """The prepared answer to a question, or None; in bounded time. Never raises, safe to cancel."""
        ...


class RememberedAnswers(Protocol):
    """What the language model answered to the same question before."""

    async def answer(self, question: str) -> str | None:
        """The remembered answer, or None. Never raises, safe to cancel."""
        ...


@dataclass(frozen=True, slots=True)
class AnswerSources:
    """Who answers what the scenario has no line for; each of them may be missing."""

    prepared: PreparedAnswers | None = None
    remembered: RememberedAnswers | None = None
    model: bool = False
    """A language model is there to be asked."""


@dataclass(frozen=True, slots=True)
class _Missed:
    """A turn for which the scenario has no line."""

    session: SessionState
    step: FlowStep
    text: str
    intent: IntentResult


class Router:
    """Decides turns of one assistant; shared by all its calls.

    Args:
        flow: the scenario.
        understanding: the classifier.
        phrases: the assistant's phrases by key.
        worker: where the scenario's part runs: classification takes milliseconds.
        sources: who answers beyond the scenario.
    """

    def __init__(
        self,
        flow: Flow,
        understanding: Understanding,
        phrases: Mapping[str, str],
        worker: Worker,
        sources: AnswerSources | None = None,
    ) -> None:
        self._flow = flow
        self._understanding = understanding
        self._phrases = phrases
        self._worker = worker
        self._sources = sources or AnswerSources()

    def begin(self, call_id: str) -> Decision:
        """The greeting."""
        step = self._flow.begin(call_id)
        return scripted("greeting", step, "", None)

    def resume(self, session: SessionState) -> Decision:
        """What a caller hears whose call comes back: the question where the dialogue stood."""
        return Decision("greeting", session, self._flow.reprompt(session))

    def expectation(self, session: SessionState) -> Expectation:
        """What the current state expects of the next turn."""
        return self._flow.expectation(session)

    async def decide(self, session: SessionState, readings: Sequence[str]) -> Decision:
        """Answer a turn; `readings` are its possible transcripts, best first. Safe to cancel.

        Raises:
            EngineError: the embedding model failed.
        """
        found = await self._worker.run(lambda: self._by_scenario(session, readings))
        return found if isinstance(found, Decision) else await self._beyond_scenario(found)

    def _by_scenario(self, session: SessionState, readings: Sequence[str]) -> Decision | _Missed:
        expectation = self._flow.expectation(session)
        intent = self._understanding.understand(readings, expectation, session.previous_intent_leader)
        text = intent.text or (readings[0] if readings else "")
        step = self._flow.step(session, UserTurn(text, intent, intent.entities))
        if step.result is FlowResult.EXECUTION_ERROR:
            sorry = self._phrase("apology")
            answer = scripted("error", step, text, intent)
            return replace(answer, session=session, playlist=(sorry, *self._flow.reprompt(session)), action=None)
        if step.matched:
            return scripted("scenario", step, text, intent)
        return _Missed(session, step, text, intent)

    async def _beyond_scenario(self, missed: _Missed) -> Decision:
        sources = self._sources
        if missed.text and sources.prepared is not None:
            faq = await sources.prepared.answer(missed.text)
            if faq is not None:
                return replace(self._aside(missed, "faq", faq.answer), faq=faq)
        fallback = scripted("fallback", missed.step, missed.text, missed.intent)
        if missed.step.action is not None or len(missed.text.split()) < _SENTENCE_WORDS:
            return fallback
        if sources.remembered is not None:
            known = await sources.remembered.answer(missed.text)
            if known is not None:
                return self._aside(missed, "cache", known)
        if sources.model:
            return replace(self._aside(missed, "llm"), question=self._question(missed))
        moved_on = missed.step.session.current_state_id != missed.session.current_state_id
        if moved_on:
            return fallback
        return replace(fallback, playlist=(self._phrase("offer"), *self._flow.reprompt(missed.step.session)))

    def _aside(self, missed: _Missed, path: TurnPath, answer: str | None = None) -> Decision:
        """An answer beside the scenario, which then asks its question again."""
        kept = replace(missed.session, misses=0, turn_state=TurnState.BOT_TURN)
        spoken = (PlaylistItem("tts", answer),) if answer is not None else ()
        playlist = (*spoken, *self._flow.reprompt(kept))
        return Decision(path, kept, playlist, missed.text, missed.intent, missed.intent.entities)

    def _question(self, missed: _Missed) -> ModelQuestion:
        asked = " ".join(item.text for item in self._flow.reprompt(missed.session))
        known = ", ".join(f"{name} = {value}" for name, value in missed.session.variables.items() if value is not None)
        return ModelQuestion(missed.text, "\n".join(part for part in (asked, known) if part))

    def _phrase(self, key: str) -> PlaylistItem:
        return PlaylistItem("cache", self._phrases[key], key)
