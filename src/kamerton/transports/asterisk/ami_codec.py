"""The wire format of Asterisk's manager interface, sans-I/O: bytes to messages and back.

A connection begins with a banner line; then both sides send messages of `Name: value` lines, ended by an empty line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kamerton.domain.errors import ProtocolError

MAX_LINE_BYTES: Final = 65536
MAX_LINES: Final = 10_000
"""Of one message; the output of a console command comes as one."""
BANNER: Final = "Call Manager/"


@dataclass(frozen=True, slots=True)
class AmiMessage:
    """A response or an event: its lines in order. Names are compared without regard to case."""

    lines: tuple[tuple[str, str], ...]

    def value(self, name: str) -> str:
        """The first value of that name; empty when there is none.

        The first one counts, since later lines of a user event may come from a caller's own number.
        """
        wanted = name.lower()
        return next((value for given, value in self.lines if given.lower() == wanted), "")

    @property
    def event(self) -> str:
        """The event's name; empty for a response."""
        return self.value("Event")

    @property
    def action_id(self) -> str:
        """The id of the action that this belongs to; empty when it belongs to none."""
        return self.value("ActionID")

    @property
    def succeeded(self) -> bool:
        """Whether a response is none of an error."""
        return self.value("Response") not in ("", "Error")


class AmiDecoder:
    """Cuts a byte stream into messages, the same however it was split. The banner is kept aside."""

    __slots__ = ("_banner", "_lines", "_rest")

    def __init__(self) -> None:
        self._banner: str | None = None
        self._lines: list[tuple[str, str]] = []
        self._rest = b""

    @property
    def banner(self) -> str | None:
        """What the far end said it is; None as long as that has not arrived."""
        return self._banner

    def feed(self, data: bytes) -> list[AmiMessage]:
        """Take the next bytes and return the messages that they complete.

        Raises:
            ProtocolError: the far end is no manager interface, or sends lines or messages without end.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise ProtocolError(f"AMI: a line has more than {MAX_LINE_BYTES} bytes; is this Asterisk's manager port?")
        messages = []
        for line in lines:
            message = self._take(line.rstrip(b"\r").decode("utf-8", "replace"))
            if message is not None:
                messages.append(message)
        return messages

    def _take(self, line: str) -> AmiMessage | None:
        if self._banner is None:
            if BANNER not in line:
                raise ProtocolError(f"AMI: the far end greets with {line[:80]!r}; is this Asterisk's manager port?")
            self._banner = line
            return None
        if line:
            name, _, value = line.partition(":")
            self._lines.append((name, value.removeprefix(" ")))
            if len(self._lines) > MAX_LINES:
                raise ProtocolError(f"AMI: a message has more than {MAX_LINES} lines; is this Asterisk's manager port?")
            return None
        if not self._lines:
            return None
        message = AmiMessage(tuple(self._lines))
        self._lines = []
        return message


def encode_action(name: str, action_id: str, fields: Iterable[tuple[str, str]] = ()) -> bytes:
    """An action. A name may occur several times among the fields (`Variable`).

    Raises:
        ValueError: a name or value holds a line break, with which it would become an action of its own.
    """
    lines = []
    for key, value in (("Action", name), ("ActionID", action_id), *fields):
        if any(mark in key + value for mark in "\r\n\0") or ":" in key:
            raise ValueError(f"{key!r} cannot be sent to Asterisk's manager interface: it holds a line break")
        lines.append(f"{key}: {value}\r\n")
    return ("".join(lines) + "\r\n").encode()
