"""Server-sent events as bytes come in: what a model's server streams, cut into the JSON that it carries. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LONGEST_LINE: Final = 1_000_000
"""Bytes of one line; a chunk of a chat completion has some hundred."""


class NoEventStream(Exception):
    """The body is no stream of events: a page, a JSON document, or a line without end."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event."""

    kind: str
    """What follows `event:`; mostly empty."""
    data: str


class EventStream:
    """Reads events from pieces of a body; the outcome does not depend on how the body was split.

    Comments, `id:`, `retry:` and events without data are skipped.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._after_return = False
        self._begun = False
        self._kind = ""
        self._data: list[str] = []

    def push(self, body: bytes) -> list[ServerEvent]:
        """Take a piece of the body; return the events that it completes.

        Raises:
            NoEventStream: see there.
        """
        events: list[ServerEvent] = []
        for part in body.splitlines(keepends=True):
            if self._after_return and part == b"\n":
                self._after_return = False
                continue
            self._line += part.rstrip(b"\r\n")
            self._after_return = part.endswith(b"\r")
            if len(self._line) > LONGEST_LINE:
                raise NoEventStream("a line has no end")
            if part.endswith((b"\n", b"\r")):
                events += self._end_line()
        return events

    def finish(self) -> list[ServerEvent]:
        """Return the event that waits: the body is over, and servers forget the last blank line.

        Raises:
            NoEventStream: see there.
        """
        return self._end_line() + self._end_event() if self._line else self._end_event()

    def _end_line(self) -> list[ServerEvent]:
        line = self._line.decode("utf-8", "replace").removeprefix("\ufeff" if not self._begun else "")
        self._line.clear()
        if not line.strip():
            return self._end_event()
        if not self._begun and line.lstrip().startswith(("<", "{", "[")):
            raise NoEventStream(line)
        self._begun = True
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        return []

    def _end_event(self) -> list[ServerEvent]:
        kind, data = self._kind, "\n".join(self._data)
        self._kind, self._data = "", []
        return [ServerEvent(kind, data)] if data.strip() else []
