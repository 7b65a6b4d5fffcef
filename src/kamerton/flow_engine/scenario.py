"""A compiled scenario: its code, its words, and what happens when a state is entered.

Immutable after construction, and pure: values go in and come out, nothing is kept between calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kamerton.domain.dialogue import EntityKind, FlowResult, PlaylistItem
from kamerton.flow_engine.code_sandbox import CodeOutcome, ScenarioCode
from kamerton.flow_engine.dialogue_map import ANSWER, MOVES, NO, YES, DialogueMap, Expects
from kamerton.flow_engine.speech import Speech
from kamerton.flow_engine.templates import MissingVariableError, TemplateFailed

HOP_LIMIT = 20
"""Most states that one step may pass through: questions already answered, values missing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How a state is entered."""

    ask: bool = False
    """Ask its question even if the answer is known, and forget that answer first."""
    skip: bool = False
    """Pass over its question if the answer is known."""
    compute: bool = True
    """Run `on_enter`."""
    resume: str | None = None
    """The question to come back to when values are missing; by default the one that asks for the first of them."""


FRESH = Entry(ask=True)
ONWARD = Entry(skip=True)
AGAIN = Entry(compute=False)
RECOMPUTED = Entry()


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that could not be made; nothing has changed."""

    result: FlowResult
    detail: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """The state in which a step ended, with all its words. `result` tells of a detour for a missing value."""

    state_id: str
    variables: Mapping[str, Any]
    playlist: tuple[PlaylistItem, ...]
    fillers: tuple[PlaylistItem, ...]
    result: FlowResult = FlowResult.SUCCESS
    detail: str = ""


class Scenario:
    """The compiled form of one dialogue map."""

    def __init__(
        self, dialogue_map: DialogueMap, phrases: Mapping[str, str], fillers: Mapping[str, Sequence[str]]
    ) -> None:
        """Compile.

        Raises:
            CodeRejected: a piece of code is not allowed; a validated map has none.
            TemplateRejected: a template is broken; a validated map has none.
        """
        self.map = dialogue_map
        self.speech = Speech(dialogue_map, phrases, fillers)
        self._codes = {path: ScenarioCode(source, path) for path, source in dialogue_map.code_places()}
        assigned = (code.assigned for code in self._codes.values())
        self._known = frozenset(dialogue_map.variables).union(dialogue_map.asked_variables(), *assigned)

    def with_value(self, variables: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
        """The variables with one set; its dependents are forgotten if it changed."""
        changed = name not in variables or variables[name] != value
        kept = self.without(variables, self.map.dependents(name)) if changed else dict(variables)
        return {**kept, name: value}

    def without(self, variables: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
        """The variables without these and everything that depends on them."""
        gone: set[str] = set()
        for name in names:
            gone.update((name, *self.map.dependents(name)))
        return {name: value for name, value in variables.items() if name not in gone}

    def cross(
        self, state_id: str, intent: str, variables: Mapping[str, Any], entities: Mapping[str, Any]
    ) -> CodeOutcome:
        """Take the transition of `intent` up to the door of the next state: clear, then run its code."""
        own = self.map.states[state_id].transitions
        owner = f"states.{state_id}.transitions" if intent in own else "global_transitions"
        move = self.map.transitions_of(state_id)[intent]
        return self._run(f"{owner}.{intent}.execute_code", self.without(variables, move.clears), entities)

    def missing_asked_in(self, outcome: CodeOutcome) -> str | None:
        """The state that asks for the value which the code lacked, if there is one."""
        return self.map.asked_in(outcome.missing) if outcome.missing is not None else None

    def enter(self, state_id: str, variables: Mapping[str, Any], entry: Entry, turn: int) -> Arrival | Failure:
        """Enter a state, passing over answered questions and turning aside to ask for missing values.

        Args:
            state_id: where to go.
            variables: the session's values.
            entry: how to enter it; a state reached by turning aside is entered afresh.
            turn: picks the fillers.
        """
        values: Mapping[str, Any] = dict(variables)
        detour: CodeOutcome | None = None
        for _ in range(HOP_LIMIT):
            state = self.map.states.get(state_id)
            if state is None:
                return Failure(FlowResult.EXECUTION_ERROR, f"the scenario has no state '{state_id}'")
            asked = state.expects.variable if state.expects is not None else None
            if entry.ask and asked is not None:
                values = self.without(values, [asked])
            following = self._next_after_known(state_id, state.expects, values) if entry.skip else None
            if following is not None:
                outcome = self._pass_over(state_id, following, values)
            else:
                outcome = self._run(f"states.{state_id}.on_enter" if entry.compute else "", values, {})
            if outcome.result is FlowResult.SUCCESS and following is not None:
                values, state_id = outcome.variables, self.map.transitions_of(state_id)[following].next_state
                continue
            if outcome.result is FlowResult.SUCCESS:
                said = self._speak(state_id, outcome.variables, turn, detour)
                if isinstance(said, Arrival):
                    return said
                outcome = said
            target = self.missing_asked_in(outcome)
            if target is None:
                return Failure(outcome.result, outcome.detail)
            detour, state_id, entry = detour or outcome, entry.resume or target, FRESH
        return Failure(FlowResult.EXECUTION_ERROR, f"states.{state_id}: the scenario goes round without speaking")

    def _next_after_known(self, state_id: str, expects: Expects | None, variables: Mapping[str, Any]) -> str | None:
        """The intent by which a question whose answer is known is passed over, or None when it must be asked."""
        name = expects.variable if expects is not None else None
        if expects is None or name is None or name not in variables:
            return None
        intent = ANSWER
        if expects.entity is EntityKind.YES_NO:
            intent = YES if variables[name] else NO
        move = self.map.transitions_of(state_id).get(intent)
        return intent if move is not None and move.next_state not in MOVES else None

    def _pass_over(self, state_id: str, intent: str, variables: Mapping[str, Any]) -> CodeOutcome:
        """Take the transition of a known answer as if it had just been given."""
        expects = self.map.states[state_id].expects
        entities: dict[str, Any] = {}
        if expects is not None and expects.variable is not None:
            value = variables[expects.variable]
            entities = {str(expects.entity): value}
            if expects.entity is EntityKind.NUMBER:
                entities["numbers"] = [value]
        return self.cross(state_id, intent, variables, entities)

    def _speak(
        self, state_id: str, variables: Mapping[str, Any], turn: int, detour: CodeOutcome | None
    ) -> Arrival | CodeOutcome:
        state = self.map.states[state_id]
        result = detour.result if detour is not None else FlowResult.SUCCESS
        detail = detour.detail if detour is not None else ""
        try:
            playlist = self.speech.items(state.system_response.playlist, variables, turn)
            fillers = self.speech.items(state.fillers, variables, turn + 1)
        except MissingVariableError as error:
            lacking = error.name if error.name in self._known else None
            kind = FlowResult.MISSING_ENTITY if lacking else FlowResult.EXECUTION_ERROR
            return CodeOutcome(kind, variables, lacking, f"states.{state_id}: a template: {error}")
        except TemplateFailed as error:
            return CodeOutcome(FlowResult.EXECUTION_ERROR, variables, detail=f"states.{state_id}: a template: {error}")
        return Arrival(state_id, variables, playlist, fillers, result, detail)

    def _run(self, place: str, variables: Mapping[str, Any], entities: Mapping[str, Any]) -> CodeOutcome:
        code = self._codes.get(place)
        if code is None:
            return CodeOutcome(FlowResult.SUCCESS, variables)
        return code.run(variables, entities, self._known)
