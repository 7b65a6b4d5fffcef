"""The store in process: bounded bytes, the least recently used goes, times to live on the loop's clock."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import anyio

_STALE_INSTANTS: Final = 64
"""Instants of expiry of values that were replaced since may wait on the heap, up to this many beyond the entries."""


@dataclass(frozen=True, slots=True)
class StoredValue:
    """What is under a key: the bytes of a value, or the chunks of a list, and the instant at which it expires."""

    content: bytes | tuple[bytes, ...]
    expires_s: float
    """Loop clock; infinite for a value that stays for ever."""

    def remaining_s(self) -> float | None:
        """Time left to live, or None for ever."""
        return None if math.isinf(self.expires_s) else self.expires_s - anyio.current_time()


def ttl_ms(ttl_s: float | None) -> int | None:
    """A time to live in whole milliseconds, at least one; None is for ever.

    Raises:
        ValueError: it is not a positive number.
    """
    if ttl_s is None:
        return None
    if not (math.isfinite(ttl_s) and ttl_s > 0):
        raise ValueError(f"a time to live must be a positive number of seconds, not {ttl_s}; use None for ever")
    return max(1, math.ceil(ttl_s * 1000))


class MemoryStore:
    """A `Store` in this process, up to `limit_bytes` of keys and values. Belongs to the event loop.

    A value bigger than the whole store is not kept. No method ever suspends, so that a caller on the same loop sees
    each of them as one step.
    """

    name = "memory"

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[str, StoredValue] = OrderedDict()
        self._expiries: list[tuple[float, str]] = []
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Keys and values held now."""
        return self._bytes

    async def get(self, key: str) -> bytes | None:
        """The value, or None when there is none, it has expired, or a list is there."""
        entry = self.find(key)
        return entry.content if entry is not None and isinstance(entry.content, bytes) else None

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Keep a value, for ever or for a time."""
        self._keep(key, value, ttl_s)

    async def get_chunks(self, key: str) -> tuple[bytes, ...] | None:
        """A list, whole and in order, or None."""
        entry = self.find(key)
        return entry.content if entry is not None and isinstance(entry.content, tuple) else None

    async def put_chunks(self, key: str, chunks: Sequence[bytes], ttl_s: float | None = None) -> None:
        """Keep a list in one step; an empty one removes the key."""
        if chunks:
            self._keep(key, tuple(chunks), ttl_s)
        else:
            self._drop(key)

    async def delete(self, *keys: str) -> int:
        """Remove keys; returns how many there were."""
        self._drop_expired()
        return sum(self._drop(key) for key in keys)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """Living keys that begin with `prefix`, sorted."""
        self._drop_expired()
        return tuple(sorted(key for key in self._entries if key.startswith(prefix)))

    async def aclose(self) -> None:
        """Forget everything."""
        self.clear()

    def find(self, key: str) -> StoredValue | None:
        """What is under a key, with its time to live; it counts as used."""
        self._drop_expired()
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._expiries.clear()
        self._bytes = 0

    def _keep(self, key: str, content: bytes | tuple[bytes, ...], ttl_s: float | None) -> None:
        lifetime_ms = ttl_ms(ttl_s)
        self._drop(key)
        self._drop_expired()
        size = _size(key, content)
        if size > self._limit_bytes:
            return
        expires_s = math.inf if lifetime_ms is None else anyio.current_time() + lifetime_ms / 1000
        self._entries[key] = StoredValue(content, expires_s)
        self._bytes += size
        if lifetime_ms is not None:
            heapq.heappush(self._expiries, (expires_s, key))
            self._tidy_expiries()
        while self._bytes > self._limit_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self._bytes -= _size(key, entry.content)
        return True

    def _drop_expired(self) -> None:
        now_s = anyio.current_time()
        while self._expiries and self._expiries[0][0] <= now_s:
            expires_s, key = heapq.heappop(self._expiries)
            entry = self._entries.get(key)
            if entry is not None and entry.expires_s <= expires_s:
                self._drop(key)

    def _tidy_expiries(self) -> None:
        """Forget the instants of values that were replaced or dropped, once they are the larger part."""
        if len(self._expiries) > 2 * len(self._entries) + _STALE_INSTANTS:
            living = ((entry.expires_s, key) for key, entry in self._entries.items())
            self._expiries = [instant for instant in living if math.isfinite(instant[0])]
            heapq.heapify(self._expiries)


def _size(key: str, content: bytes | tuple[bytes, ...]) -> int:
    held = len(content) if isinstance(content, bytes) else sum(map(len, content))
    return len(key.encode("utf-8", "surrogatepass")) + held
