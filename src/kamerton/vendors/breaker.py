"""When a service that failed is left alone, and when it is tried again. Pure: the caller brings the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from kamerton.domain.errors import ConfigurationError, Fault

BreakerState = Literal["closed", "half_open", "open"]

_LONG_FAULTS: Final[tuple[Fault, ...]] = ("unauthorised", "quota")
"""Nothing that a next call could change: a person has to."""


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """How many failures are too many, and how long a service then rests. Seconds."""

    failures: int = 2
    """In a row. A vendor is passed over within the turn anyway, so few are enough."""
    rest_s: float = 15.0
    longest_rest_s: float = 300.0
    """The rest doubles up to this with every probe that fails."""
    long_rest_s: float = 60.0
    """After a refused credential or a used-up quota, which need a person."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: no failure, or a rest that is none or the longest one that is shorter than others.
        """
        if self.failures < 1:
            raise ConfigurationError(f"failures is {self.failures}; one is the least after which an engine can rest")
        if not 0 <= self.rest_s <= self.longest_rest_s or self.long_rest_s < 0:
            raise ConfigurationError(
                f"rest_s is {self.rest_s:g}, longest_rest_s {self.longest_rest_s:g} and long_rest_s "
                f"{self.long_rest_s:g}; none is below 0, and longest_rest_s is at least rest_s"
            )


class ServiceBreaker:
    """Closed while the service works; open while it rests; half open while one request tries it again.

    Asked before each request and told how it went. A request that was cancelled is told as `given_up`.
    """

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self._settings = settings or BreakerSettings()
        self._in_a_row = 0
        self._rest_s = 0.0
        self._open_until_s: float | None = None
        self._probing = False
        self.last_reason = ""
        """Why it failed last; stays when it recovers."""

    def state(self, now_s: float) -> BreakerState:
        """Where it stands."""
        if self._open_until_s is None:
            return "closed"
        return "open" if now_s < self._open_until_s and not self._probing else "half_open"

    def admits(self, now_s: float) -> bool:
        """Whether a request may go out now. After the rest the first one that asks is the probe."""
        if not self.would_admit(now_s):
            return False
        self._probing = self._open_until_s is not None
        return True

    def would_admit(self, now_s: float) -> bool:
        """As `admits`, asked out of curiosity: nothing becomes a probe."""
        return self._open_until_s is None or (now_s >= self._open_until_s and not self._probing)

    def succeeded(self) -> None:
        """A request was served: whatever was wrong is over."""
        self._in_a_row, self._rest_s, self._open_until_s, self._probing = 0, 0.0, None, False

    def failed(self, now_s: float, reason: str, fault: Fault | None = None, retry_after_s: float | None = None) -> bool:
        """A request failed.

        Returns:
            True when a rest begins with it.
        """
        self._in_a_row += 1
        self.last_reason = reason
        probe, self._probing = self._probing, False
        settings = self._settings
        if not probe and self._open_until_s is not None:
            return False
        asked_s = min(retry_after_s or 0.0, settings.longest_rest_s)
        if fault in _LONG_FAULTS:
            asked_s = max(asked_s, settings.long_rest_s)
        if not probe and not asked_s and self._in_a_row < settings.failures:
            return False
        self._rest_s = min(2 * self._rest_s, settings.longest_rest_s) if probe and self._rest_s else settings.rest_s
        self._open_until_s = now_s + max(self._rest_s, asked_s)
        return True

    def given_up(self) -> None:
        """A request ended before it could be judged: if it was the probe, the next one is."""
        self._probing = False
