"""`kamerton flow`: an author's view of an assistant: is the folder sound, and what does its scenario look like?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kamerton.cli.common import ConfigFile, explained
from kamerton.config.assistant_folder import (
    OPTIONAL_PHRASES,
    REQUIRED_PHRASES,
    Assistant,
    find_assistant,
    list_assistants,
    load_assistant,
)
from kamerton.config.settings import load_settings
from kamerton.domain.dialogue import END_CALL, TRANSFER
from kamerton.domain.errors import AssistantError, ConfigurationError
from kamerton.flow_engine.dialogue_map import PlaylistEntry

app = typer.Typer(help="Check and show an assistant's scenario.", no_args_is_help=True)

AssistantChoice = Annotated[
    str | None, typer.Argument(metavar="[NAME|PATH]", help="Name of an assistant, or the path of its folder.")
]


class MapFormat(StrEnum):
    """How `flow show` writes the map."""

    TEXT = "text"
    MERMAID = "mermaid"


@app.command()
def check(choice: AssistantChoice = None, config: ConfigFile = None) -> None:
    """Check an assistant, or all of them; every fault is listed. Exits with 1 when there is one."""
    with explained():
        roots = load_settings(config).assistant_folders
        folders = [folder_of(choice, roots)] if choice is not None else list(list_assistants(roots).values())
        if not folders:
            places = ", ".join(map(str, roots))
            raise ConfigurationError(f"there are no assistants in {places}; give the path of a folder")
    broken = 0
    for folder in folders:
        try:
            print("\n".join(report(load_assistant(folder))))
        except AssistantError as error:
            broken += 1
            print(error)
    if broken:
        raise typer.Exit(1)


@app.command()
def show(
    choice: AssistantChoice = None,
    config: ConfigFile = None,
    map_format: Annotated[
        MapFormat, typer.Option("--format", help="Text, or a Mermaid state diagram.")
    ] = MapFormat.TEXT,
) -> None:
    """Write the map of an assistant's scenario (by default that of the configured one) to standard output."""
    with explained():
        settings = load_settings(config)
        assistant = load_assistant(folder_of(choice or settings.assistant, settings.assistant_folders))
    lines = as_mermaid(assistant) if map_format is MapFormat.MERMAID else as_text(assistant)
    print("\n".join(lines))


def folder_of(choice: str, roots: tuple[Path, ...]) -> Path:
    """The folder meant by a name or a path.

    Raises:
        AssistantError: there is no assistant of that name.
    """
    path = Path(choice)
    return path if path.is_dir() or "/" in choice else find_assistant(choice, roots)


def report(assistant: Assistant) -> Iterator[str]:
    """What a sound assistant consists of, and what in it nothing uses."""
    flow = assistant.flow
    endings = [name for name, state in flow.states.items() if state.action == END_CALL]
    transfers = [name for name, state in flow.states.items() if state.action == TRANSFER]
    computed = [name for name, variable in flow.variables.items() if variable.computed]
    examples = sum(len(intent.examples) for intent in assistant.intents)
    questions = sum(len(entry.questions) for entry in assistant.faq)
    yield f"{assistant.name}: {assistant.title} ({assistant.language})"
    yield f"  states      {len(flow.states)}; start {flow.start_state}"
    yield f"  endings     good-bye {_listed(endings)}; transfer {_listed(transfers)}"
    yield f"  variables   asked {_listed(flow.asked_variables())}; computed {_listed(computed)}"
    yield f"  intents     {len(assistant.intents)} with {examples} examples"
    yield f"  answers     {len(assistant.faq)} with {questions} questions"
    yield f"  phrases     {len(assistant.phrases)}; filler groups {len(assistant.fillers)}"
    yield f"  recordings  {len(assistant.recordings)}"
    yield from (f"  note: {note}" for note in _unused(assistant))
    yield "  ok: no state is unreachable or dangling"


def _unused(assistant: Assistant) -> Iterator[str]:
    flow = assistant.flow
    heard = {intent for _, intent, _ in flow.transition_places()}
    for intent in assistant.intents:
        if intent.name not in heard and not intent.faq:
            yield f"intents.json: no state has a transition for '{intent.name}'"
    said = {entry.key for _, entry in flow.playlist_places()} | {*REQUIRED_PHRASES, *OPTIONAL_PHRASES}
    for key in assistant.phrases:
        if key not in said:
            yield f"phrases.json: nothing says '{key}'"


def as_text(assistant: Assistant) -> Iterator[str]:
    """The map as an outline: every state with its words and its ways out."""
    flow = assistant.flow
    for state_id, state in flow.states.items():
        marks = [mark for mark in ("start" if state_id == flow.start_state else "", state.action or "") if mark]
        yield state_id + (f"  [{', '.join(marks)}]" if marks else "")
        for entry in state.system_response.playlist:
            yield f"    says {_words(assistant, entry)}"
        if state.expects is not None and state.expects.entity is not None:
            target = f" → {state.expects.variable}" if state.expects.variable else ""
            yield f"    expects {state.expects.entity}{target}"
        for target, intents in _ways(assistant, state_id).items():
            yield f"    {', '.join(intents)} → {target}"
        if state.no_match is not None and state.no_match.next_state is not None:
            yield f"    not understood {state.no_match.limit} times → {state.no_match.next_state}"
    yield "everywhere"
    for intent, move in flow.global_transitions.items():
        yield f"    {intent} → {move.next_state}"


def as_mermaid(assistant: Assistant) -> Iterator[str]:
    """The map as a Mermaid state diagram; ways that exist everywhere stand in a note."""
    flow = assistant.flow
    ids = {
        state_id: f"s{number}_{re.sub(r'[^A-Za-z0-9]', '_', state_id)}" for number, state_id in enumerate(flow.states)
    }
    yield "stateDiagram-v2"
    for state_id, name in ids.items():
        yield f'    state "{state_id}" as {name}'
    yield f"    [*] --> {ids[flow.start_state]}"
    for state_id, state in flow.states.items():
        for target, intents in _ways(assistant, state_id).items():
            yield f"    {ids[state_id]} --> {ids.get(target, ids[state_id])}: {', '.join(intents)}"
        if state.no_match is not None and state.no_match.next_state is not None:
            yield f"    {ids[state_id]} --> {ids[state.no_match.next_state]}: not understood"
        if state.action == END_CALL:
            yield f"    {ids[state_id]} --> [*]"
    everywhere = [f"{intent} → {move.next_state}" for intent, move in flow.global_transitions.items()]
    if everywhere:
        yield f"    note right of {ids[flow.start_state]}: everywhere {', '.join(everywhere)}"


def _ways(assistant: Assistant, state_id: str) -> dict[str, list[str]]:
    ways: dict[str, list[str]] = {}
    for intent, move in assistant.flow.states[state_id].transitions.items():
        ways.setdefault(move.next_state, []).append(intent)
    return ways


def _words(assistant: Assistant, entry: PlaylistEntry) -> str:
    if entry.type == "cache":
        return f"«{assistant.phrases[entry.key]}»"
    return f"a filler of {entry.key}" if entry.type == "filler" else f"«{entry.text_template}»"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
