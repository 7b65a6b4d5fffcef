"""Judges what a scenario says and computes: playlists, templates, code, and the intents it listens for."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from kamerton.domain.dialogue import Entities
from kamerton.flow_engine.code_sandbox import CodeRejected, ScenarioCode
from kamerton.flow_engine.dialogue_map import BUILT_IN_INTENTS, DialogueMap, PlaylistEntry, State
from kamerton.flow_engine.problems import Problems, did_you_mean
from kamerton.flow_engine.templates import SpokenTemplate, TemplateRejected

ENTITY_KEYS = frozenset(Entities(numbers=(1,), number_unit="x", yes_no=True, phone="1", negated_numbers=(2,)).as_dict())
"""Every name under which scenario code may find an entity."""


def check_contents(
    dialogue_map: DialogueMap,
    phrases: Collection[str],
    filler_groups: Collection[str],
    intents: Collection[str],
    problems: Problems,
) -> None:
    """Check playlists against `phrases.json`, code, templates, and intents against `intents.json`."""
    codes = _compile_all(dialogue_map, problems)
    settable = set(dialogue_map.asked_variables()).union(*(code.assigned for code in codes.values()))
    known = settable | set(dialogue_map.variables)
    for path, code in codes.items():
        _check_code(path, code, dialogue_map, known, problems)
    for name in dialogue_map.variables:
        if name not in settable:
            problems.add(f"variables.{name}", "nothing sets it: no state asks for it and no code assigns it")
    for path, entry in dialogue_map.playlist_places():
        if entry.type == "tts":
            _check_template(f"{path}.text_template", entry, known, problems)
        else:
            _check_key(f"{path}.key", entry, phrases, filler_groups, problems)
    _check_intents(dialogue_map, intents, problems)
    for state_id, state in dialogue_map.states.items():
        if not state.system_response.playlist:
            problems.add(f"states.{state_id}.system_response.playlist", "is empty: the caller would hear nothing")


def names_on_entry(state: State) -> frozenset[str]:
    """Variables that the state's code and words need when it is entered; broken ones need nothing."""
    names: set[str] = set()
    with suppress(CodeRejected):
        names |= ScenarioCode(state.on_enter, "on_enter").read
    for entry in state.system_response.playlist:
        with suppress(TemplateRejected):
            names |= SpokenTemplate(entry.text_template).names
    return frozenset(names)


def _compile_all(dialogue_map: DialogueMap, problems: Problems) -> dict[str, ScenarioCode]:
    codes = {}
    for path, source in dialogue_map.code_places():
        try:
            codes[path] = ScenarioCode(source, path)
        except CodeRejected as error:
            for problem in error.problems:
                problems.add(path, problem)
    return codes


def _check_code(path: str, code: ScenarioCode, dialogue_map: DialogueMap, known: set[str], problems: Problems) -> None:
    for name in sorted(code.read - known):
        problems.add(path, f"reads '{name}', which nothing sets{did_you_mean(name, known)}")
    for key in sorted(code.entity_keys - ENTITY_KEYS):
        hint = did_you_mean(key, ENTITY_KEYS) or f"; there are {', '.join(sorted(ENTITY_KEYS))}"
        problems.add(path, f"there is no entity '{key}'{hint}")
    for name in sorted(code.loop_names & known):
        problems.add(path, f"the loop's name '{name}' is also a variable; choose another")


def _check_template(path: str, entry: PlaylistEntry, known: set[str], problems: Problems) -> None:
    try:
        template = SpokenTemplate(entry.text_template)
    except TemplateRejected as error:
        for problem in error.problems:
            problems.add(path, problem)
        return
    for name in sorted(template.names - known):
        problems.add(path, f"uses '{name}', which nothing sets{did_you_mean(name, known)}")


def _check_key(
    path: str, entry: PlaylistEntry, phrases: Collection[str], filler_groups: Collection[str], problems: Problems
) -> None:
    offered, kind = (phrases, "phrase") if entry.type == "cache" else (filler_groups, "group of fillers")
    if entry.key and entry.key not in offered:
        problems.add(path, f"phrases.json has no {kind} '{entry.key}'{did_you_mean(entry.key, offered)}")


def _check_intents(dialogue_map: DialogueMap, intents: Collection[str], problems: Problems) -> None:
    known = {*intents, *BUILT_IN_INTENTS}
    for path, intent, _ in dialogue_map.transition_places():
        if intent not in known:
            problems.add(path, f"intents.json has no intent '{intent}'{did_you_mean(intent, known)}")
