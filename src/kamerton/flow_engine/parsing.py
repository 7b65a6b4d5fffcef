"""Reads `dialogue_map.json` into the model, noting every fault of syntax and shape and going on as well as it can.

Whether the scenario makes sense is judged by `validation`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from kamerton.domain.dialogue import EntityKind
from kamerton.flow_engine.dialogue_map import (
    ACTIONS,
    VERSION,
    DialogueMap,
    Expects,
    NoMatch,
    PlaylistEntry,
    State,
    SystemResponse,
    Transition,
    Variable,
    VariableType,
)
from kamerton.flow_engine.problems import Problems, did_you_mean

T = TypeVar("T")
Read = Callable[[Any, str, Problems], Any]
"""Turns a JSON value at a path into a value of the model, noting faults; raises `_Unreadable` when it cannot."""

SIZE_LIMIT = 2_000_000
"""Longest map in characters."""


class _Unreadable(ValueError):
    """The value has the wrong shape and the fault is noted."""


class _Object(dict[str, Any]):
    """A JSON object that remembers keys given twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.twice = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))


def parse_dialogue_map(text: str, problems: Problems) -> DialogueMap | None:
    """Read a map from JSON text.

    Returns:
        The map, as much of it as could be read, or None when the text is no JSON object.
    """
    if len(text) > SIZE_LIMIT:
        problems.add("", f"the file is longer than {SIZE_LIMIT} characters; split the scenario")
        return None
    try:
        data = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_Object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problems.add("", f"line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}")
        return None
    except (ValueError, RecursionError) as error:
        problems.add("", f"not valid JSON: {error}")
        return None
    try:
        parsed: DialogueMap = _read_map(data, "", problems)
    except _Unreadable:
        return None
    return parsed


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def _fail(problems: Problems, path: str, expected: str, value: Any) -> _Unreadable:
    kind = {
        dict: "an object",
        _Object: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    problems.add(path, f"must be {expected}, not {kind[type(value)]}")
    return _Unreadable(path)


def _text(value: Any, path: str, problems: Problems) -> str:
    if not isinstance(value, str):
        raise _fail(problems, path, "a text", value)
    return value


def _flag(value: Any, path: str, problems: Problems) -> bool:
    if not isinstance(value, bool):
        raise _fail(problems, path, "true or false", value)
    return value


def _number(value: Any, path: str, problems: Problems) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _fail(problems, path, "a number", value)
    if abs(value) == float("inf"):
        problems.add(path, "the number is too large")
        raise _Unreadable(path)
    return value


def _whole(value: Any, path: str, problems: Problems) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _fail(problems, path, "a whole number", value)
    return value


def _choice(*options: str) -> Read:
    def read(value: Any, path: str, problems: Problems) -> str:
        text = _text(value, path, problems)
        if text not in options:
            listed = ", ".join(options)
            problems.add(path, f"must be one of {listed}, not '{text}'{did_you_mean(text, options)}")
            raise _Unreadable(path)
        return text

    return read


def _entity(value: Any, path: str, problems: Problems) -> EntityKind:
    return EntityKind(_choice(*EntityKind)(value, path, problems))


def _list_of(item: Read) -> Read:
    def read(value: Any, path: str, problems: Problems) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _fail(problems, path, "a list", value)
        found = []
        for index, entry in enumerate(value):
            try:
                found.append(item(entry, f"{path}[{index}]", problems))
            except _Unreadable:
                continue
        return tuple(found)

    return read


def _table_of(item: Read) -> Read:
    def read(value: Any, path: str, problems: Problems) -> Mapping[str, Any]:
        found = {}
        for name, entry in _object(value, path, problems).items():
            try:
                found[name] = item(entry, f"{path}.{name}", problems)
            except _Unreadable:
                continue
        return MappingProxyType(found)

    return read


def _object(value: Any, path: str, problems: Problems) -> _Object:
    if not isinstance(value, _Object):
        raise _fail(problems, path, "an object", value)
    for name in value.twice:
        problems.add(f"{path}.{name}" if path else name, "is given twice; only one can count")
    return value


def _record(
    make: Callable[..., T], fields: Mapping[str, Read], required: tuple[str, ...] = (), ignored: tuple[str, ...] = ()
) -> Callable[[Any, str, Problems], T]:
    """A reader of one kind of object. A field that cannot be read keeps its default."""

    def read(value: Any, path: str, problems: Problems) -> T:
        data = _object(value, path, problems)
        found: dict[str, Any] = {}
        for name, entry in data.items():
            place = f"{path}.{name}" if path else name
            if name in ignored:
                continue
            if name not in fields:
                problems.add(place, f"is not a known field{did_you_mean(name, fields)}")
                continue
            try:
                found[name] = fields[name](entry, place, problems)
            except _Unreadable:
                continue
        for name in required:
            if name not in data:
                problems.add(f"{path}.{name}" if path else name, "is missing")
        return make(**found)

    return read


def _playlist_entry(value: Any, path: str, problems: Problems) -> PlaylistEntry:
    entry = _record(
        lambda **fields: fields,
        {"type": _choice("cache", "filler", "tts"), "key": _text, "text_template": _text},
        required=("type",),
    )(value, path, problems)
    kind = entry.get("type")
    if kind is None:
        return PlaylistEntry("tts")
    needed, foreign = ("text_template", "key") if kind == "tts" else ("key", "text_template")
    if needed not in value:
        problems.add(f"{path}.{needed}", f"is missing; an item of type '{kind}' needs it")
    elif entry.get(needed) == "":
        problems.add(f"{path}.{needed}", "is empty")
    if foreign in entry:
        problems.add(f"{path}.{foreign}", f"does nothing in an item of type '{kind}'")
    return PlaylistEntry(type=kind, **{needed: entry.get(needed, "")})


_PLAYLIST = _list_of(_playlist_entry)
_TEXTS = _list_of(_text)
_TRANSITION = _record(
    Transition, {"next_state": _text, "execute_code": _text, "clears": _TEXTS}, required=("next_state",)
)
_STATE = _record(
    State,
    {
        "system_response": _record(
            SystemResponse, {"playlist": _PLAYLIST, "reprompt": _PLAYLIST, "interruptible": _flag}
        ),
        "expects": _record(
            Expects,
            {
                "entity": _entity,
                "variable": _text,
                "minimum": _number,
                "maximum": _number,
                "units": _TEXTS,
                "phrases": _TEXTS,
            },
        ),
        "on_enter": _text,
        "fillers": _PLAYLIST,
        "transitions": _table_of(_TRANSITION),
        "no_match": _record(NoMatch, {"playlist": _PLAYLIST, "limit": _whole, "next_state": _text}),
        "action": _choice(*ACTIONS),
    },
)
_VARIABLE = _record(
    Variable,
    {
        "type": _choice(*get_args(VariableType)),
        "integer": _flag,
        "minimum": _number,
        "maximum": _number,
        "names": _TEXTS,
        "units": _TEXTS,
        "asked_in": _text,
        "clears": _TEXTS,
        "computed": _flag,
    },
)


def _version(value: Any, path: str, problems: Problems) -> int:
    version = _whole(value, path, problems)
    if version != VERSION:
        problems.add(path, f"must be {VERSION}, not {version}")
    return version


_read_map = _record(
    DialogueMap,
    {
        "version": _version,
        "start_state": _text,
        "variables": _table_of(_VARIABLE),
        "states": _table_of(_STATE),
        "global_transitions": _table_of(_TRANSITION),
    },
    required=("version", "start_state", "states"),
    ignored=("$schema",),
)
