"""The named timers of one call: instants on the loop clock, no tasks."""

from __future__ import annotations

import math


class Timers:
    """Armed timers by name; the turn loop waits for the earliest."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def arm(self, name: str, at_s: float) -> None:
        """Arm or move a timer."""
        self._due[name] = at_s

    def disarm(self, name: str) -> None:
        """Forget a timer."""
        self._due.pop(name, None)

    @property
    def next_s(self) -> float:
        """Instant of the earliest timer; infinity when none is armed."""
        return min(self._due.values(), default=math.inf)

    def take_due(self, now_s: float) -> str | None:
        """Remove and name the earliest timer that is due."""
        if not self._due:
            return None
        name = min(self._due, key=self._due.__getitem__)
        if self._due[name] > now_s:
            return None
        del self._due[name]
        return name
