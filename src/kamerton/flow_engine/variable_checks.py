"""Judges what a scenario says about its variables and about what its states expect."""

from __future__ import annotations

from kamerton.domain.dialogue import END_CALL, EntityKind
from kamerton.flow_engine.code_policy import RESERVED_NAMES
from kamerton.flow_engine.dialogue_map import (
    ANSWER,
    NO,
    TYPE_OF_ENTITY,
    YES,
    DialogueMap,
    Expects,
    State,
    Variable,
    number_limits,
)
from kamerton.flow_engine.problems import Problems, did_you_mean


def check_variables(dialogue_map: DialogueMap, problems: Problems) -> None:
    """Check declarations, questions and what hangs on them."""
    for name, variable in dialogue_map.variables.items():
        _check_name(name, f"variables.{name}", problems)
        _check_declaration(dialogue_map, name, variable, problems)
    _check_cycles(dialogue_map, problems)
    known = set(dialogue_map.variables) | set(dialogue_map.asked_variables())
    for path, _, move in dialogue_map.transition_places():
        for index, cleared in enumerate(move.clears):
            if cleared not in known:
                problems.add(
                    f"{path}.clears[{index}]", f"there is no variable '{cleared}'{did_you_mean(cleared, known)}"
                )
    for state_id, state in dialogue_map.states.items():
        if state.expects is not None:
            _check_expects(dialogue_map, state_id, state, state.expects, problems)
        if state.action == END_CALL:
            _check_end(f"states.{state_id}", state, problems)


def _check_name(name: str, path: str, problems: Problems) -> None:
    if not name.isidentifier() or name.startswith("_") or "__" in name:
        problems.add(path, "is no fit name: use letters, digits and single underscores, beginning with a letter")
    elif name in RESERVED_NAMES:
        problems.add(path, f"the name '{name}' is taken by scenario code")


def _check_declaration(dialogue_map: DialogueMap, name: str, variable: Variable, problems: Problems) -> None:
    path = f"variables.{name}"
    if variable.minimum is not None and variable.maximum is not None and variable.minimum > variable.maximum:
        problems.add(f"{path}.minimum", f"{variable.minimum} is greater than the maximum {variable.maximum}")
    if variable.type != "number":
        for field, given in (
            ("integer", variable.integer),
            ("minimum", variable.minimum is not None),
            ("maximum", variable.maximum is not None),
            ("units", bool(variable.units)),
        ):
            if given:
                problems.add(f"{path}.{field}", f"does nothing for a variable of type '{variable.type}'")
    for index, dependent in enumerate(variable.clears):
        if dependent not in dialogue_map.variables:
            hint = did_you_mean(dependent, dialogue_map.variables)
            problems.add(f"{path}.clears[{index}]", f"there is no variable '{dependent}' in 'variables'{hint}")
    _check_asking(dialogue_map, name, variable, problems)


def _check_asking(dialogue_map: DialogueMap, name: str, variable: Variable, problems: Problems) -> None:
    path = f"variables.{name}"
    if variable.computed:
        for field, given in (("asked_in", variable.asked_in), ("names", variable.names), ("units", variable.units)):
            if given:
                problems.add(f"{path}.{field}", "does nothing for a computed variable: callers cannot correct it")
        return
    if variable.asked_in in dialogue_map.states:
        expects = dialogue_map.states[str(variable.asked_in)].expects
        if expects is None or expects.variable != name:
            problems.add(f"{path}.asked_in", f"the state '{variable.asked_in}' does not expect the variable '{name}'")


def _check_cycles(dialogue_map: DialogueMap, problems: Problems) -> None:
    for name, variable in dialogue_map.variables.items():
        for index, dependent in enumerate(variable.clears):
            if dependent == name:
                problems.add(f"variables.{name}.clears[{index}]", "a variable cannot clear itself")
            elif dependent in dialogue_map.variables and name in dialogue_map.dependents(dependent):
                problems.add(
                    f"variables.{name}.clears[{index}]",
                    f"goes in a circle: clearing '{dependent}' clears '{name}' again",
                )


def _check_expects(
    dialogue_map: DialogueMap, state_id: str, state: State, expects: Expects, problems: Problems
) -> None:
    path = f"states.{state_id}.expects"
    if expects.entity is None:
        for field in ("variable", "minimum", "maximum", "units"):
            if getattr(expects, field) not in (None, ()):
                problems.add(f"{path}.{field}", "does nothing without 'entity'")
        return
    if expects.entity is not EntityKind.NUMBER:
        for field in ("minimum", "maximum", "units"):
            if getattr(expects, field) not in (None, ()):
                problems.add(f"{path}.{field}", f"does nothing for the entity '{expects.entity}'")
    _check_answers(dialogue_map, state_id, expects, problems)
    if expects.variable is not None:
        _check_expected_variable(dialogue_map, path, expects, problems)
    elif expects.minimum is not None and expects.maximum is not None and expects.minimum > expects.maximum:
        problems.add(f"{path}.minimum", f"{expects.minimum} is greater than the maximum {expects.maximum}")


def _check_answers(dialogue_map: DialogueMap, state_id: str, expects: Expects, problems: Problems) -> None:
    needed = (YES, NO) if expects.entity is EntityKind.YES_NO else (ANSWER,)
    if dialogue_map.states[state_id].action == END_CALL:
        return
    moves = dialogue_map.transitions_of(state_id)
    for intent in needed:
        if intent not in moves:
            problems.add(
                f"states.{state_id}.transitions", f"'{intent}' is missing: the state expects a {expects.entity} answer"
            )


def _check_expected_variable(dialogue_map: DialogueMap, path: str, expects: Expects, problems: Problems) -> None:
    if expects.variable is None or expects.entity is None:
        return
    name = expects.variable
    if name not in dialogue_map.variables:
        _check_name(name, f"{path}.variable", problems)
    variable = dialogue_map.variable(name)
    if variable.computed:
        problems.add(f"{path}.variable", f"'{name}' is declared as computed; it cannot be asked for")
    needed = TYPE_OF_ENTITY[expects.entity]
    if variable.type != needed:
        problems.add(f"{path}.variable", f"'{name}' is of type '{variable.type}'; {expects.entity} gives a {needed}")
    limits = number_limits(variable, expects)
    if limits.minimum is not None and limits.maximum is not None and limits.minimum > limits.maximum:
        problems.add(f"{path}.minimum", f"{limits.minimum} is greater than the maximum {limits.maximum}")


def _check_end(path: str, state: State, problems: Problems) -> None:
    for field in ("expects", "transitions", "no_match"):
        if getattr(state, field):
            problems.add(f"{path}.{field}", "does nothing in a state that ends the call")
