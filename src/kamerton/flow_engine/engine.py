"""Walks the scenario: a session and a turn of the caller go in, a new session and what to say come out.

Pure and synchronous: no clock, no I/O, no memory between calls; one engine serves every call of an assistant from
any thread. A step that fails leaves the session as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kamerton.domain.dialogue import (
    END_CALL,
    EntityKind,
    Expectation,
    FlowResult,
    FlowStep,
    PlaylistItem,
    SessionState,
    TurnState,
    UserTurn,
)
from kamerton.flow_engine.corrections import Correctable, resolve_correction
from kamerton.flow_engine.dialogue_map import (
    ANSWER,
    BACK,
    CORRECT,
    NO,
    OUT_OF_RANGE,
    REPEAT,
    YES,
    DialogueMap,
    State,
    Transition,
    number_limits,
)
from kamerton.flow_engine.scenario import AGAIN, FRESH, ONWARD, RECOMPUTED, Arrival, Entry, Failure, Scenario
from kamerton.flow_engine.speech import short_question
from kamerton.flow_engine.templates import TemplateFailed

HISTORY_LIMIT = 50
"""Most states that a session remembers."""


class FlowEngine:
    """The scenario of one assistant, ready to walk."""

    def __init__(
        self,
        dialogue_map: DialogueMap,
        phrases: Mapping[str, str],
        fillers: Mapping[str, Sequence[str]],
        assistant: str,
    ) -> None:
        """Compile the scenario.

        Args:
            dialogue_map: a validated map (`load_dialogue_map`).
            phrases: text of every prepared phrase.
            fillers: texts of every group of fillers.
            assistant: name that goes into the sessions.

        Raises:
            CodeRejected: a piece of code is not allowed; a validated map has none.
            TemplateRejected: a template is broken; a validated map has none.
        """
        self._map = dialogue_map
        self._assistant = assistant
        self._scenario = Scenario(dialogue_map, phrases, fillers)
        self._correctables = tuple(self._correctable(name) for name in dialogue_map.asked_variables())

    def begin(self, call_id: str) -> FlowStep:
        """Enter the start state of a new call."""
        session = SessionState(call_id, self._assistant, self._map.start_state)
        return self._settle(session, session, self._scenario.enter(self._map.start_state, {}, FRESH, 0))

    def expectation(self, session: SessionState) -> Expectation:
        """What the current state expects to hear; nothing for a state that the map does not have.

        `units` are those of the number expected; where none is, those of every variable that may be corrected.
        """
        state = self._map.states.get(session.current_state_id)
        if state is None:
            return Expectation()
        moves = self._map.transitions_of(session.current_state_id)
        expects = state.expects
        every_unit = tuple(dict.fromkeys(unit for c in self._correctables for unit in c.units))
        heard = Expectation(
            units=every_unit if CORRECT in moves else (),
            intents=tuple(moves),
            ending=frozenset(intent for intent, move in moves.items() if self._ends(move.next_state)),
            consenting=_consenting(moves),
        )
        if expects is None:
            return heard
        heard = replace(heard, entity=expects.entity, variable=expects.variable, phrases=expects.phrases)
        if expects.entity is not EntityKind.NUMBER:
            return heard
        if expects.variable is None:
            return replace(heard, minimum=expects.minimum, maximum=expects.maximum, units=expects.units)
        variable = self._map.variable(expects.variable)
        limits = number_limits(variable, expects)
        units = expects.units or variable.units
        return replace(heard, minimum=limits.minimum, maximum=limits.maximum, units=units)

    def step(self, session: SessionState, turn: UserTurn) -> FlowStep:
        """Take one turn of the caller. Never raises for what a caller says or a scenario does.

        The playlist is to be played whatever the result is. `MISSING_ENTITY` with a new session means that the
        scenario turned aside to ask for a value it lacked. When the session is the old one, the step failed: the
        playlist is then the assistant's phrase `apology`, if it has one, and the question again; `detail` says
        where and why.
        """
        if session.current_state_id not in self._map.states:
            detail = f"the scenario has no state '{session.current_state_id}'"
            return self._failed(session, Failure(FlowResult.EXECUTION_ERROR, detail))
        heard = replace(session, previous_intent_leader=turn.intent.leader)
        if turn.intent.intent == CORRECT:
            return self._correct(session, heard, turn)
        return self._follow(session, heard, turn, turn.intent.intent)

    def reprompt(self, session: SessionState) -> tuple[PlaylistItem, ...]:
        """The current question, said again shortly; empty when there is none that can be said."""
        state = self._map.states.get(session.current_state_id)
        if state is None:
            return ()
        try:
            return self._scenario.speech.items(short_question(state), session.variables, _turn_number(session))
        except TemplateFailed:
            return ()

    def _follow(self, session: SessionState, heard: SessionState, turn: UserTurn, intent: str | None) -> FlowStep:
        """Store an answer and follow the intent's transition, or say that there is none."""
        variables: Mapping[str, Any] = session.variables
        entry = FRESH
        if intent in (ANSWER, YES, NO) and (asked := self._asked(session, intent)) is not None:
            value = self._answer(session, asked, str(intent), turn)
            if value is None:
                intent = OUT_OF_RANGE
            else:
                variables, entry = self._scenario.with_value(variables, asked, value), ONWARD
        if intent is None or intent not in self._map.transitions_of(session.current_state_id):
            return self._no_match(session, heard)
        return self._move(session, heard, intent, variables, turn, entry)

    def _asked(self, session: SessionState, intent: str | None) -> str | None:
        """The variable that this kind of answer fills in the current state, if any."""
        expects = self._map.states[session.current_state_id].expects
        if expects is None or expects.entity is None:
            return None
        return expects.variable if intent == ANSWER or expects.entity is EntityKind.YES_NO else None

    def _answer(self, session: SessionState, asked: str, intent: str, turn: UserTurn) -> bool | float | str | None:
        """The value given for the variable asked for, or None when none fits."""
        expects = self._map.states[session.current_state_id].expects
        entity = expects.entity if expects is not None else None
        if entity is EntityKind.YES_NO:
            return {YES: True, NO: False}.get(intent, turn.entities.yes_no)
        if entity is EntityKind.PHONE:
            return turn.entities.phone
        limits = number_limits(self._map.variable(asked), expects)
        said = [number for number in turn.entities.numbers if number not in turn.entities.negated_numbers]
        return next((value for number in reversed(said) if (value := limits.fit(number)) is not None), None)

    def _correct(self, session: SessionState, heard: SessionState, turn: UserTurn) -> FlowStep:
        """Correct an earlier value and take the `correct` transition, or ask for that value again.

        What cannot be resolved follows `no`, unless that would end the call: a correction is no good-bye.
        """
        moves = self._map.transitions_of(session.current_state_id)
        asked = self._asked(session, ANSWER)
        correction = resolve_correction(self._correctables, session.variables, turn.text, turn.entities, asked)
        if correction is not None and correction.variable == asked and correction.value is not None:
            return self._follow(session, heard, turn, ANSWER)
        if correction is None or CORRECT not in moves:
            ends = NO in moves and self._ends(moves[NO].next_state)
            return self._no_match(session, heard) if ends else self._follow(session, heard, turn, NO)
        if correction.value is None:
            target = self._map.asked_in(correction.variable) or session.current_state_id
            return self._settle(session, heard, self._enter(session, target, session.variables, FRESH))
        variables = self._scenario.with_value(session.variables, correction.variable, correction.value)
        unanswered = asked is not None and asked not in variables
        entry = replace(ONWARD, resume=session.current_state_id if unanswered else None)
        return self._move(session, heard, CORRECT, variables, turn, entry)

    def _move(
        self,
        session: SessionState,
        heard: SessionState,
        intent: str,
        variables: Mapping[str, Any],
        turn: UserTurn,
        entry: Entry,
    ) -> FlowStep:
        """Run the transition's code and enter its next state."""
        here = session.current_state_id
        outcome = self._scenario.cross(here, intent, variables, turn.entities.as_dict())
        if outcome.result is not FlowResult.SUCCESS:
            target = self._scenario.missing_asked_in(outcome)
            if target is None:
                return self._failed(session, Failure(outcome.result, outcome.detail))
            arrival = self._enter(session, target, variables, FRESH)
            if isinstance(arrival, Arrival):
                arrival = replace(arrival, result=outcome.result, detail=outcome.detail)
            return self._settle(session, heard, arrival)
        target = self._map.transitions_of(here)[intent].next_state
        history = None
        if target == BACK:
            target, history = self._question_before(session)
            entry = FRESH if target != here else AGAIN
        elif target == REPEAT:
            target, entry = here, RECOMPUTED if intent == CORRECT else AGAIN
        return self._settle(session, heard, self._enter(session, target, outcome.variables, entry), history)

    def _no_match(self, session: SessionState, heard: SessionState) -> FlowStep:
        """Nothing fits the turn: count it, say so, and give up at the state's limit."""
        state = self._map.states[session.current_state_id]
        missed = replace(heard, misses=session.misses + 1, turn_state=TurnState.BOT_TURN)
        rule = state.no_match
        if rule is not None and rule.next_state is not None and missed.misses >= rule.limit:
            arrival = self._enter(session, rule.next_state, session.variables, FRESH)
            return replace(self._settle(session, heard, arrival), matched=False)
        try:
            entries = rule.playlist if rule is not None else ()
            playlist = self._scenario.speech.items(entries, session.variables, _turn_number(missed))
        except TemplateFailed as error:
            detail = f"states.{session.current_state_id}.no_match.playlist: {error}"
            return replace(self._failed(session, Failure(FlowResult.EXECUTION_ERROR, detail)), matched=False)
        return FlowStep(
            result=FlowResult.SUCCESS,
            session=missed,
            playlist=playlist or self._scenario.speech.phrase("not_heard") + self.reprompt(missed),
            matched=False,
            interruptible=state.system_response.interruptible,
            detail=f"states.{session.current_state_id}: no transition fits the turn",
        )

    def _enter(
        self, session: SessionState, target: str, variables: Mapping[str, Any], entry: Entry
    ) -> Arrival | Failure:
        return self._scenario.enter(target, variables, entry, _turn_number(session) + 1)

    def _settle(
        self,
        session: SessionState,
        heard: SessionState,
        arrival: Arrival | Failure,
        history: tuple[str, ...] | None = None,
    ) -> FlowStep:
        """Make the step's outcome of an arrival; `history` replaces the one that would follow from the move."""
        if isinstance(arrival, Failure):
            return self._failed(session, arrival)
        state = self._map.states[arrival.state_id]
        if history is None:
            history = _history_after(session, arrival.state_id)
        return FlowStep(
            result=arrival.result,
            session=replace(
                heard,
                current_state_id=arrival.state_id,
                variables=arrival.variables,
                state_history=history,
                turn_state=TurnState.BOT_TURN if arrival.playlist else TurnState.USER_TURN,
                misses=0,
            ),
            playlist=arrival.playlist,
            action=state.action,
            interruptible=state.system_response.interruptible,
            fillers=arrival.fillers,
            detail=arrival.detail,
        )

    def _failed(self, session: SessionState, failure: Failure) -> FlowStep:
        playlist = self._scenario.speech.phrase("apology") + self.reprompt(session)
        return FlowStep(result=failure.result, session=session, playlist=playlist, detail=failure.detail)

    def _question_before(self, session: SessionState) -> tuple[str, tuple[str, ...]]:
        """The last question before the current state, and the history up to it; else the current state itself."""
        for index in range(len(session.state_history) - 1, -1, -1):
            state_id = session.state_history[index]
            if state_id != session.current_state_id and _asks(self._map.states.get(state_id)):
                return state_id, session.state_history[:index]
        return session.current_state_id, session.state_history

    def _ends(self, target: str) -> bool:
        state = self._map.states.get(target)
        return state is not None and state.action == END_CALL

    def _correctable(self, name: str) -> Correctable:
        variable = self._map.variable(name)
        home = self._map.asked_in(name)
        expects = self._map.states[home].expects if home is not None else None
        units = dict.fromkeys((*variable.units, *(expects.units if expects is not None else ())))
        return Correctable(name, variable.type, number_limits(variable, expects), variable.names, tuple(units))


def _consenting(moves: Mapping[str, Transition]) -> frozenset[str]:
    if YES not in moves:
        return frozenset()
    target = moves[YES].next_state
    return frozenset(intent for intent, move in moves.items() if move.next_state == target and intent not in (YES, NO))


def _asks(state: State | None) -> bool:
    return state is not None and state.expects is not None and state.expects.variable is not None


def _turn_number(session: SessionState) -> int:
    """A number that grows from state to state and from miss to miss; picks fillers."""
    return len(session.state_history) + session.misses


def _history_after(session: SessionState, target: str) -> tuple[str, ...]:
    """The history once `target` is entered. At the limit two go at once, so that its length always changes."""
    if target == session.current_state_id:
        return session.state_history
    history = (*session.state_history, session.current_state_id)
    return history[2:] if len(history) > HISTORY_LIMIT else history
