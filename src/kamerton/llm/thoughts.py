"""Leaves out what a reasoning model thinks aloud before its answer (`<think> … </think>`)."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = ("think", "thinking", "thought", "reasoning")
_OPENING: Final = re.compile(rf"\s*\ufeff?\s*<({'|'.join(_NAMES)})>", re.IGNORECASE)
_LONGEST_OPENING: Final = max(len(name) for name in _NAMES) + 2


class ThoughtFilter:
    """Passes a text on without the thoughts before it; the outcome does not depend on how the text was split."""

    def __init__(self) -> None:
        self._held = ""
        self._closing = ""
        self._decided = False

    def push(self, text: str) -> str:
        """Take a piece; return what of the text is certain to be no thought."""
        if self._decided:
            return text
        self._held += text
        return self._sift()

    def finish(self) -> str:
        """Return what waits: the text is over. Thoughts without an end are nothing."""
        held, self._held = self._held, ""
        return "" if self._closing else held

    def _sift(self) -> str:
        while not self._decided:
            if self._closing:
                end = self._held.lower().find(self._closing)
                if end < 0:
                    self._held = self._held[-len(self._closing) :]
                    return ""
                self._held = self._held[end + len(self._closing) :]
                self._closing = ""
            opening = _OPENING.match(self._held)
            if opening is not None:
                self._closing = f"</{opening[1].lower()}>"
                self._held = self._held[opening.end() :]
            elif self._may_open():
                return ""
            else:
                self._decided = True
        held, self._held = self._held, ""
        return held

    def _may_open(self) -> bool:
        """Whether a longer text could still begin with a thought."""
        begun = self._held.lstrip().removeprefix("\ufeff").lstrip().lower()
        return len(begun) < _LONGEST_OPENING and any(f"<{name}>".startswith(begun) for name in _NAMES)
