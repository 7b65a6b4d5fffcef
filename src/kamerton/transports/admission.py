"""Who may call: one gate for all transports of a process, so that too many calls harm none of the running ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import anyio

from kamerton.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How many calls a process takes."""

    max_calls: int = 200
    """Calls that are served at the same time."""
    max_refusals: int = 20
    """Calls over that limit that may be told so at the same time; any more are cut off at once."""
    drain_s: float = 15.0
    """How long running calls may take to end once the service is to stop; those that are left are cut off."""

    def __post_init__(self) -> None:
        """Refuse limits that could serve nobody.

        Raises:
            ConfigurationError: a limit is out of range.
        """
        if self.drain_s < 0:
            raise ConfigurationError(f"call limits: drain_s is {self.drain_s}; set 0 or more")
        if self.max_calls < 1 or self.max_refusals < 0:
            raise ConfigurationError(
                f"call limits: max_calls is {self.max_calls} and max_refusals {self.max_refusals}; "
                "set max_calls to 1 or more and max_refusals to 0 or more"
            )


class Admission(StrEnum):
    """The gate's verdict on a new call."""

    SERVED = "served"
    """A line is free."""
    REFUSED = "refused"
    """All lines are taken: the caller hears that, and nothing else."""
    TURNED_AWAY = "turned_away"
    """Even the refusals are full: the connection is closed at once."""
    DUPLICATE = "duplicate"
    """A live call has this id already."""


class CallGate:
    """Counts the calls of a process. Every `admit` that gives `SERVED` or `REFUSED` is paid back with one `leave`."""

    def __init__(self, limits: CallLimits | None = None) -> None:
        self._limits = limits or CallLimits()
        self._served: set[str] = set()
        self._refused: set[str] = set()
        self._leaving: dict[str, anyio.Event] = {}
        self._empty = anyio.Event()
        self.closed = False
        """True once the service is to stop: no further call is served."""

    @property
    def limits(self) -> CallLimits:
        """What it was made with."""
        return self._limits

    @property
    def live(self) -> int:
        """Calls being served now."""
        return len(self._served)

    @property
    def refusing(self) -> int:
        """Calls being told now that all lines are taken."""
        return len(self._refused)

    def admit(self, call_id: str) -> Admission:
        """Judge a new call and, if it may stay, count it."""
        if call_id in self._served or call_id in self._refused:
            return Admission.DUPLICATE
        if len(self._served) < self._limits.max_calls and not self.closed:
            self._served.add(call_id)
            return Admission.SERVED
        if len(self._refused) < self._limits.max_refusals:
            self._refused.add(call_id)
            return Admission.REFUSED
        return Admission.TURNED_AWAY

    def leave(self, call_id: str) -> None:
        """An admitted call is over; safe to repeat."""
        self._served.discard(call_id)
        self._refused.discard(call_id)
        waiting = self._leaving.pop(call_id, None)
        if waiting is not None:
            waiting.set()
        if not self._served:
            self._empty.set()
            self._empty = anyio.Event()

    def close(self) -> None:
        """Serve no further call; whoever comes is refused. Running calls are not touched. Safe to repeat."""
        self.closed = True

    async def left(self, call_id: str) -> None:
        """Wait until no call has this id. Safe to cancel."""
        while call_id in self._served or call_id in self._refused:
            await self._leaving.setdefault(call_id, anyio.Event()).wait()

    async def emptied(self) -> None:
        """Wait until no call is served any more. Safe to cancel."""
        while self._served:
            await self._empty.wait()
