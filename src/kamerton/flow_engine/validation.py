"""Judges a whole scenario at once: every fault, each with its place, before the first call.

`load_dialogue_map` is the way in: it parses, checks shape, graph and contents, and either returns a map that the
engine can walk or raises one error that lists everything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kamerton.domain.dialogue import END_CALL
from kamerton.domain.errors import AssistantError
from kamerton.flow_engine.content_checks import check_contents, names_on_entry
from kamerton.flow_engine.dialogue_map import MOVES, DialogueMap, NoMatch, State
from kamerton.flow_engine.parsing import parse_dialogue_map
from kamerton.flow_engine.problems import Problems, did_you_mean
from kamerton.flow_engine.variable_checks import check_variables

FILE_NAME = "dialogue_map.json"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rest of the assistant's folder offers to its map."""

    phrases: Collection[str]
    """Keys of `phrases.json`."""
    filler_groups: Collection[str]
    intents: Collection[str]
    """Names of `intents.json`."""


def load_dialogue_map(text: str, assistant: str, surroundings: Surroundings) -> DialogueMap:
    """Read and judge the text of a `dialogue_map.json`.

    Raises:
        AssistantError: it has faults; `problems` lists all of them, with their places.
    """
    problems = Problems(FILE_NAME)
    dialogue_map = parse_dialogue_map(text, problems)
    if dialogue_map is not None:
        validate_dialogue_map(dialogue_map, surroundings, problems)
    found = problems.all()
    if dialogue_map is None or found:
        raise AssistantError(assistant, found)
    return dialogue_map


def validate_dialogue_map(dialogue_map: DialogueMap, surroundings: Surroundings, problems: Problems) -> None:
    """Judge a parsed map; faults go to `problems`."""
    _check_references(dialogue_map, problems)
    _check_graph(dialogue_map, problems)
    check_variables(dialogue_map, problems)
    check_contents(dialogue_map, surroundings.phrases, surroundings.filler_groups, surroundings.intents, problems)


def _check_references(dialogue_map: DialogueMap, problems: Problems) -> None:
    _check_target(dialogue_map, "start_state", dialogue_map.start_state, problems)
    for path, _, move in dialogue_map.transition_places():
        _check_target(dialogue_map, f"{path}.next_state", move.next_state, problems, MOVES)
    for state_id, state in dialogue_map.states.items():
        if state.no_match is not None:
            _check_no_match(dialogue_map, f"states.{state_id}.no_match", state.no_match, problems)
    for name, variable in dialogue_map.variables.items():
        _check_target(dialogue_map, f"variables.{name}.asked_in", variable.asked_in, problems)


def _check_target(
    dialogue_map: DialogueMap, path: str, target: str | None, problems: Problems, moves: tuple[str, ...] = ()
) -> None:
    if target and target not in dialogue_map.states and target not in moves:
        problems.add(path, f"there is no state '{target}'{did_you_mean(target, [*dialogue_map.states, *moves])}")


def _check_no_match(dialogue_map: DialogueMap, path: str, rule: NoMatch, problems: Problems) -> None:
    if rule.limit < 1:
        problems.add(f"{path}.limit", "must be 1 or more")
    if rule.next_state is None and rule.limit != NoMatch().limit:
        problems.add(f"{path}.limit", "does nothing without 'next_state'")
    _check_target(dialogue_map, f"{path}.next_state", rule.next_state, problems)


def _check_graph(dialogue_map: DialogueMap, problems: Problems) -> None:
    states = dialogue_map.states
    if dialogue_map.start_state not in states:
        return
    roads = {state_id: _roads(dialogue_map, state_id) for state_id in states}
    reached = _reachable(roads, {dialogue_map.start_state})
    ways_back: dict[str, set[str]] = {state_id: set() for state_id in states}
    for state_id, targets in roads.items():
        for target in targets:
            ways_back[target].add(state_id)
    ending = _reachable(ways_back, {s for s, state in states.items() if state.action is not None})
    for state_id, state in states.items():
        path = f"states.{state_id}"
        if state_id not in reached:
            problems.add(path, "cannot be reached from the start")
        if state_id not in ending:
            problems.add(path, _stuck(state, dialogue_map))


def _stuck(state: State, dialogue_map: DialogueMap) -> str:
    if not state.transitions and not dialogue_map.global_transitions:
        return "has no transitions and no action: the call would be stuck here"
    return "no way leads from here to a state with an action (END_CALL or TRANSFER)"


def _roads(dialogue_map: DialogueMap, state_id: str) -> set[str]:
    """States that may follow directly. A value that is missing on entry leads to the state that asks for it."""
    state = dialogue_map.states[state_id]
    roads = {dialogue_map.asked_in(name) or "" for name in names_on_entry(state)}
    if state.action != END_CALL:
        roads.update(move.next_state for move in dialogue_map.transitions_of(state_id).values())
    if state.no_match is not None and state.no_match.next_state is not None:
        roads.add(state.no_match.next_state)
    return roads & set(dialogue_map.states)


def _reachable(roads: dict[str, set[str]], start: set[str]) -> set[str]:
    reached = set(start)
    waiting = list(start)
    while waiting:
        for target in roads[waiting.pop()] - reached:
            reached.add(target)
            waiting.append(target)
    return reached
