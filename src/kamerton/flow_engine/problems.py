"""Faults of a scenario, collected so that an author sees all of them at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint «; did you mean 'x'?» when a known name is close to `name`, else an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


class Problems:
    """The faults found so far in one file, in order of discovery."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: list[str] = []

    def add(self, path: str, message: str) -> None:
        """Note a fault at `path` (dots between names, `[i]` for list items; empty for the whole file)."""
        line = f"{self._file}: {path}: {message}" if path else f"{self._file}: {message}"
        if line not in self._found:
            self._found.append(line)

    def all(self) -> tuple[str, ...]:
        """Every fault, once."""
        return tuple(self._found)
