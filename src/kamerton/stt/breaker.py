"""When an engine that keeps failing is left alone for a while. Pure: no clock, no timers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """How many failures are too many, and how long the engine then rests."""

    failures: int = 5
    """In a row. Fewer may be one call's odd audio."""
    rest_s: float = 5.0
    longest_rest_s: float = 60.0
    """The rest doubles up to this with every probe that fails."""


class Breaker:
    """Counts failures in a row; after too many it is open until a probe succeeds.

    Any success closes it, also one of a request that was under way when it opened.
    """

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self._settings = settings or BreakerSettings()
        self._in_a_row = 0
        self._rest_s: float | None = None
        self._last = ""

    @property
    def rest_s(self) -> float | None:
        """How long to rest before the next probe; None while closed."""
        return self._rest_s

    @property
    def trouble(self) -> str:
        """What is wrong and when it is tried again; empty while closed."""
        if self._rest_s is None:
            return ""
        return f"it failed {self._in_a_row} times in a row ({self._last}) and is tried again every {self._rest_s:g} s"

    def succeeded(self) -> None:
        """The engine did its work."""
        self._in_a_row = 0
        self._rest_s = None

    def failed(self, reason: str, *, probe: bool = False) -> bool:
        """The engine failed on a request, or on the probe after a rest.

        Returns:
            True when a rest begins with this failure.
        """
        self._in_a_row += 1
        self._last = reason
        if self._rest_s is None:
            if self._in_a_row < self._settings.failures:
                return False
            self._rest_s = self._settings.rest_s
            return True
        if probe:
            self._rest_s = min(2 * self._rest_s, self._settings.longest_rest_s)
        return probe
