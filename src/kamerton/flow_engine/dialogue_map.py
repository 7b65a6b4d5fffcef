"""The model of `dialogue_map.json`, version 2: frozen values, with no opinion on whether they make sense.

`parsing` makes it from JSON, `validation` judges it, `engine` walks it. The shape for editors is
`docs/schemas/dialogue_map.schema.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from kamerton.domain.dialogue import END_CALL, TRANSFER, EntityKind

VERSION = 2
BACK = "@back"
"""A `next_state`: the question asked before, with its answer cleared."""
REPEAT = "@repeat"
"""A `next_state`: the current state's words once more."""
MOVES = (BACK, REPEAT)
ACTIONS = (END_CALL, TRANSFER)

ANSWER = "answer"
OUT_OF_RANGE = "out_of_range"
YES = "yes"
NO = "no"
CORRECT = "correct"
BUILT_IN_INTENTS = (ANSWER, OUT_OF_RANGE, YES, NO, CORRECT, "back", "repeat")
"""Intents that the classifier knows without examples in `intents.json`."""

VariableType = Literal["number", "boolean", "text"]
TYPE_OF_ENTITY: Mapping[EntityKind, VariableType] = MappingProxyType(
    {EntityKind.NUMBER: "number", EntityKind.YES_NO: "boolean", EntityKind.PHONE: "text"}
)


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PlaylistEntry:
    """One thing to say: a prepared phrase, a filler of a group, or a template that is filled in and synthesised."""

    type: Literal["cache", "filler", "tts"]
    key: str = ""
    """Phrase (`cache`) or group (`filler`)."""
    text_template: str = ""
    """Sandboxed Jinja over the session's variables (`tts`)."""


@dataclass(frozen=True, slots=True)
class SystemResponse:
    """What a state says when it is entered."""

    playlist: tuple[PlaylistEntry, ...] = ()
    reprompt: tuple[PlaylistEntry, ...] = ()
    """The question alone, for saying it again; by default the last `cache` or `tts` item of `playlist`."""
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class Expects:
    """What a state expects to hear. Limits, units and phrases serve recogniser, endpointing and extraction."""

    entity: EntityKind | None = None
    variable: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    units: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """Where an intent leads."""

    next_state: str = ""
    """A state, `@back` or `@repeat`."""
    execute_code: str = ""
    """Run before the next state is entered."""
    clears: tuple[str, ...] = ()
    """Variables to forget on the way, with their dependents (for «let us start over»)."""


@dataclass(frozen=True, slots=True)
class NoMatch:
    """What a state does about turns that it does not understand."""

    playlist: tuple[PlaylistEntry, ...] = ()
    limit: int = 3
    """The turn in a row that leads to `next_state`."""
    next_state: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """One step of the dialogue."""

    system_response: SystemResponse = SystemResponse()
    expects: Expects | None = None
    on_enter: str = ""
    fillers: tuple[PlaylistEntry, ...] = ()
    transitions: Mapping[str, Transition] = field(default_factory=_nothing)
    no_match: NoMatch | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A value of the session: how callers name it, and what hangs on it."""

    type: VariableType = "number"
    integer: bool = False
    minimum: float | None = None
    maximum: float | None = None
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    asked_in: str | None = None
    """The state that asks for it; by default the first one that expects it."""
    clears: tuple[str, ...] = ()
    """Values computed from it, cleared (transitively) when it changes."""
    computed: bool = False


@dataclass(frozen=True, slots=True)
class DialogueMap:
    """A whole scenario."""

    start_state: str = ""
    states: Mapping[str, State] = field(default_factory=_nothing)
    variables: Mapping[str, Variable] = field(default_factory=_nothing)
    global_transitions: Mapping[str, Transition] = field(default_factory=_nothing)
    version: int = VERSION

    def transitions_of(self, state_id: str) -> Mapping[str, Transition]:
        """The state's transitions over the global ones, the state's own first."""
        own = self.states[state_id].transitions
        return {**own, **{name: move for name, move in self.global_transitions.items() if name not in own}}

    def variable(self, name: str) -> Variable:
        """The variable's declaration; an undeclared one is of the type of the state that asks for it."""
        declared = self.variables.get(name)
        if declared is not None:
            return declared
        for state in self.states.values():
            if state.expects is not None and state.expects.variable == name and state.expects.entity is not None:
                return Variable(type=TYPE_OF_ENTITY[state.expects.entity])
        return Variable()

    def asked_in(self, name: str) -> str | None:
        """The state that asks for the variable, if there is one."""
        declared = self.variables.get(name)
        if declared is not None and declared.asked_in is not None:
            return declared.asked_in if declared.asked_in in self.states else None
        return next((s for s, state in self.states.items() if state.expects and state.expects.variable == name), None)

    def dependents(self, name: str) -> tuple[str, ...]:
        """Everything that `name` clears, transitively; never itself."""
        found: dict[str, None] = {}
        waiting = list(self.variable(name).clears)
        while waiting:
            current = waiting.pop(0)
            if current != name and current not in found:
                found[current] = None
                waiting.extend(self.variable(current).clears)
        return tuple(found)

    def asked_variables(self) -> tuple[str, ...]:
        """Variables that some state asks for, in order of the states."""
        asked = (state.expects.variable for state in self.states.values() if state.expects)
        return tuple(dict.fromkeys(name for name in asked if name))

    def code_places(self) -> Iterator[tuple[str, str]]:
        """Every piece of scenario code as (path, source)."""
        for state_id, state in self.states.items():
            if state.on_enter:
                yield f"states.{state_id}.on_enter", state.on_enter
        for path, _, move in self.transition_places():
            if move.execute_code:
                yield f"{path}.execute_code", move.execute_code

    def transition_places(self) -> Iterator[tuple[str, str, Transition]]:
        """Every transition as (path, intent, transition)."""
        for state_id, state in self.states.items():
            for intent, move in state.transitions.items():
                yield f"states.{state_id}.transitions.{intent}", intent, move
        for intent, move in self.global_transitions.items():
            yield f"global_transitions.{intent}", intent, move

    def playlist_places(self) -> Iterator[tuple[str, PlaylistEntry]]:
        """Every playlist entry as (path, entry)."""
        for state_id, state in self.states.items():
            base = f"states.{state_id}"
            lists = [
                (f"{base}.system_response.playlist", state.system_response.playlist),
                (f"{base}.system_response.reprompt", state.system_response.reprompt),
                (f"{base}.fillers", state.fillers),
                (f"{base}.no_match.playlist", state.no_match.playlist if state.no_match else ()),
            ]
            for path, entries in lists:
                for index, entry in enumerate(entries):
                    yield f"{path}[{index}]", entry


@dataclass(frozen=True, slots=True)
class NumberLimits:
    """What a spoken number must be to fill a variable."""

    minimum: float | None = None
    maximum: float | None = None
    integer: bool = False

    def fit(self, value: float) -> int | float | None:
        """The value as the variable stores it, or None when it does not fit."""
        if value != value or value in (float("inf"), float("-inf")):
            return None
        if self.minimum is not None and value < self.minimum:
            return None
        if self.maximum is not None and value > self.maximum:
            return None
        if not self.integer:
            return value
        return int(value) if float(value).is_integer() else None


def number_limits(variable: Variable, expects: Expects | None) -> NumberLimits:
    """Limits of the question, completed by those of the variable."""
    minimum = expects.minimum if expects is not None else None
    maximum = expects.maximum if expects is not None else None
    return NumberLimits(
        minimum=variable.minimum if minimum is None else minimum,
        maximum=variable.maximum if maximum is None else maximum,
        integer=variable.integer,
    )
