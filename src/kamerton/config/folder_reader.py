"""Reads single files of an assistant's folder safely and collects what is wrong with them.

A folder is untrusted text from an author: files are bounded in size, must be UTF-8 and must not lead out of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from kamerton.domain.errors import AssistantError, KamertonError
from kamerton.flow_engine.problems import did_you_mean

T = TypeVar("T")

TEXT_FILE_LIMIT_BYTES: Final = 2_000_000
"""No assistant written by people comes near this; a larger file is a mistake (a log, a recording)."""

UNREADABLE: Final[Any] = object()
"""Stands for the content of a file that could not be read."""

SPOKEN_LIMIT: Final = 1_000
"""Longest phrase in characters: about a minute of speech."""


class Unavailable(KamertonError):
    """A file cannot be used; the reason is already among the problems."""


class FolderReader:
    """Reads files of one folder and collects what is wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder.resolve()
        self.problems: list[str] = []

    def add(self, place: str, message: str) -> None:
        """Note a fault; `place` is the file, and what in it."""
        self.problems.append(f"{place}: {message}")

    def judge(self, read: Callable[[], T], otherwise: T) -> T:
        """The result of `read`, or `otherwise` when it finds faults, which are kept."""
        try:
            return read()
        except AssistantError as error:
            self.problems.extend(error.problems)
        except Unavailable:
            pass
        return otherwise

    def locate(self, name: str, limit_bytes: int) -> Path:
        """The file, if it is a plain one of sane size inside the folder."""
        path = self.folder / name
        try:
            if not path.resolve().is_relative_to(self._root):
                self.add(name, "leads out of the assistant's folder; copy the file itself into it")
            elif not path.exists():
                self.add(name, "is missing; create it (docs/authoring.md shows what belongs in it)")
            elif not path.is_file():
                self.add(name, "is not a plain file; replace it with one")
            elif (size := path.stat().st_size) > limit_bytes:
                self.add(name, f"is {size} bytes large, at most {limit_bytes} are allowed; is it the right file?")
            else:
                return path
        except (OSError, RuntimeError) as error:
            self.add(name, f"cannot be opened ({error}); check links and permissions")
        raise Unavailable

    def names_in(self, name: str) -> list[str]:
        """Names of the entries of a folder inside, sorted; none when there is no such folder."""
        folder = self.folder / name
        try:
            return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        except OSError as error:
            self.add(name, f"cannot be listed ({error.strerror}); check its permissions")
            return []

    def need_text(self, name: str) -> str:
        """The file's text, without a byte order mark."""
        path = self.locate(name, TEXT_FILE_LIMIT_BYTES)
        try:
            raw = path.read_bytes()
        except OSError as error:
            self.add(name, f"cannot be read ({error.strerror}); check its permissions")
            raise Unavailable from error
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self.add(name, f"line {line}: is not UTF-8; save the file in that encoding")
            raise Unavailable from error

    def need_json(self, name: str) -> Any:
        """The file's JSON value; a key given twice is noted."""

        def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for key, value in pairs:
                if key in found:
                    self.add(name, f"'{key}' is given twice in one object; only one can count")
                found[key] = value
            return found

        text = self.need_text(name)
        try:
            return json.loads(text, object_pairs_hook=object_of, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            self.add(name, f"line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}")
        except (ValueError, RecursionError) as error:
            self.add(name, f"not usable JSON: {error}")
        raise Unavailable

    def need_yaml(self, name: str) -> Any:
        """The file's YAML value; a key given twice is a fault."""
        text = self.need_text(name)
        try:
            return yaml.load(text, _UniqueKeyLoader)
        except yaml.MarkedYAMLError as error:
            line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
            self.add(name, f"{line}not valid YAML: {error.problem}")
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self.add(name, f"not valid YAML: {error}")
        raise Unavailable

    def table(self, value: Any, place: str, known: Collection[str] | None = None) -> Mapping[str, Any]:
        """The value as an object whose fields are known; faults are noted."""
        if not isinstance(value, Mapping):
            self.add(place, "must be an object")
            return {}
        for key in value:
            if known is not None and key not in known:
                self.add(place, f"'{key}' is not a known field{did_you_mean(str(key), known)}")
        return {str(key): entry for key, entry in value.items()}

    def spoken(self, value: Any, place: str) -> str:
        """The value as a text that can be said; faults are noted."""
        if not isinstance(value, str) or not value.strip():
            self.add(place, "must be a text")
        elif len(value) > SPOKEN_LIMIT:
            self.add(place, f"is {len(value)} characters long, at most {SPOKEN_LIMIT} can be said in one go; split it")
        elif "{{" in value or "{%" in value:
            self.add(place, "phrases hold no templates; use an item of type 'tts' in dialogue_map.json")
        else:
            return value
        return ""


class _UniqueKeyLoader(yaml.SafeLoader):
    """Plain YAML values only, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"'{key.value}' is given twice; only one can count"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
