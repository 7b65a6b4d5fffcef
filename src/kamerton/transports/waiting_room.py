"""Connections that have not said yet what they want: bounded, so that silent ones never keep out those that speak."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Guest = TypeVar("Guest", bound=Hashable)


class WaitingRoom(Generic[Guest]):
    """Holds at most `limit` guests. When it is full a newcomer still comes in, and somebody has to go.

    It is the guest who has been silent for longest among those of the address that has most of them here. So a flood
    pushes out itself, and who speaks at once, as real callers do, is gone from here before it is its turn.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_address: dict[str, dict[Guest, None]] = {}
        self._addresses: dict[Guest, str] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def is_full(self) -> bool:
        """True when for a newcomer somebody would have to go."""
        return len(self._addresses) >= self._limit

    def enter(self, address: str, guest: Guest) -> Guest | None:
        """Take a newcomer in, or one who spoke (as the newest); returns who has to go, removed already."""
        self.leave(guest)
        self._by_address.setdefault(address, {})[guest] = None
        self._addresses[guest] = address
        if len(self._addresses) <= self._limit:
            return None
        oldest = self.next_to_go()
        self.leave(oldest)
        return oldest

    def next_to_go(self) -> Guest:
        """Who would have to go next.

        Raises:
            ValueError: nobody is here.
        """
        busiest = max(self._by_address, key=lambda address: len(self._by_address[address]))
        return next(iter(self._by_address[busiest]))

    def leave(self, guest: Guest) -> None:
        """The guest has said what it wants, or is gone; harmless when it is not here."""
        address = self._addresses.pop(guest, None)
        if address is None:
            return
        here = self._by_address[address]
        del here[guest]
        if not here:
            del self._by_address[address]
