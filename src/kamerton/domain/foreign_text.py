"""Text that somebody else's server wrote, made fit for a message: one line, nothing that a terminal obeys."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LONGEST_REMARK: Final = 200
"""Characters of a server's own error message that are repeated."""

_TERMINAL_SEQUENCE: Final = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?")
"""Colours, cursor moves and window titles; what is left of a broken one goes with the control characters."""


def shown_line(text: str, longest: int) -> str:
    """The text as one line of at most `longest` characters, without escape, control and direction characters."""
    bare = _TERMINAL_SEQUENCE.sub("", text[: 20 * longest])
    visible = "".join(char if _is_visible(char) else " " for char in bare)
    return " ".join(visible.split())[:longest]


def _is_visible(char: str) -> bool:
    return unicodedata.category(char)[0] != "C"
