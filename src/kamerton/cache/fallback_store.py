"""A store that goes on in memory while the one behind it is away, and returns to it by itself."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import anyio

from kamerton.cache.memory_store import MemoryStore
from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.storage import Store

T = TypeVar("T")

_PROBE_KEY: Final = "fallback:probe"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FallbackSettings:
    """How long a store is left alone that failed, and what is kept for it meanwhile."""

    probe_every_s: float = 1.0
    """Time between attempts to reach it again."""
    memory_mb: int = 64
    """Values held while it is away; beyond it the least recently used are lost."""
    kept_writes: int = 10_000
    """Keys written while it is away that are brought up to date in it afterwards; beyond it the oldest are given up."""

    def __post_init__(self) -> None:
        """Check everything at once.

        Raises:
            ConfigurationError: a value cannot work.
        """
        if min(self.probe_every_s, self.memory_mb, self.kept_writes) <= 0:
            raise ConfigurationError(
                "the store's memory, its kept writes and the time between probes must be more than 0"
            )


class FallbackStore:
    """A `Store` that never fails: `primary` while it works, memory while it does not.

    The first operation that fails falls through to memory, and so do all others until `run`, which must be running,
    has reached the primary again and copied what was written meanwhile. Memory starts empty at each outage: what only
    the primary holds is missing until it is back. Each way there is one line in the log.

    Writes that overlap keep their order: an older one that fails late does not replace a newer one.
    """

    def __init__(self, primary: Store, settings: FallbackSettings) -> None:
        self._primary = primary
        self._settings = settings
        self._memory = MemoryStore(settings.memory_mb * 1_000_000)
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._given_up = 0
        self._writes = 0
        self._away = anyio.Event()

    @property
    def name(self) -> str:
        """The kind of the store behind, with what stands in for it."""
        return f"{self._primary.name}+{self._memory.name}"

    @property
    def is_away(self) -> bool:
        """True while memory stands in."""
        return self._away.is_set()

    async def run(self) -> None:
        """Wait for outages, and bring the primary back after each; until cancelled. Cancelling loses no value."""
        while True:
            await self._away.wait()
            await anyio.sleep(self._settings.probe_every_s)
            with suppress(EngineError):
                await self._primary.get(_PROBE_KEY)
                copied = await self._copy_back()
                self._return(copied)

    async def get(self, key: str) -> bytes | None:
        """The value, or None."""
        return await self._read(lambda store: store.get(key))

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Keep a value, for ever or for a time."""
        await self._write((key,), lambda store, _: store.put(key, value, ttl_s))

    async def get_chunks(self, key: str) -> tuple[bytes, ...] | None:
        """A list, whole and in order, or None."""
        return await self._read(lambda store: store.get_chunks(key))

    async def put_chunks(self, key: str, chunks: Sequence[bytes], ttl_s: float | None = None) -> None:
        """Keep a list in one step; an empty one removes the key."""
        await self._write((key,), lambda store, _: store.put_chunks(key, chunks, ttl_s))

    async def delete(self, *keys: str) -> int:
        """Remove keys; returns how many there were, in memory while the primary is away."""
        return await self._write(keys, lambda store, names: store.delete(*names)) or 0

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """Living keys that begin with `prefix`, sorted; while the primary is away only those written meanwhile."""
        return await self._read(lambda store: store.keys(prefix))

    async def aclose(self) -> None:
        """Close both."""
        await self._memory.aclose()
        await self._primary.aclose()

    async def _read(self, operation: Callable[[Store], Awaitable[T]]) -> T:
        if not self.is_away:
            try:
                return await operation(self._primary)
            except EngineError as error:
                self._leave(error)
        return await operation(self._memory)

    async def _write(self, keys: Sequence[str], operation: Callable[[Store, Sequence[str]], Awaitable[T]]) -> T | None:
        """Run a write on the primary, or on memory without the keys that were written again meanwhile."""
        self._writes += 1
        number = self._writes
        if not self.is_away:
            try:
                return await operation(self._primary, keys)
            except EngineError as error:
                self._leave(error)
        current = [key for key in keys if self._changed.get(key, 0) < number]
        if not current:
            return None
        done = await operation(self._memory, current)
        for key in current:
            self._remember(key, number)
        return done

    def _remember(self, key: str, number: int) -> None:
        self._changed.pop(key, None)
        self._changed[key] = number
        if len(self._changed) > self._settings.kept_writes:
            self._changed.popitem(last=False)
            self._given_up += 1

    def _leave(self, error: EngineError) -> None:
        """The primary failed: memory stands in. Operations that fail after the first one are silent."""
        if self.is_away:
            return
        self._away.set()
        _log.warning("the store is away; memory stands in", extra={"store": self._primary.name, "reason": str(error)})

    async def _copy_back(self) -> int:
        """Make the primary like memory for every key that was written; returns how many. Ends with none left."""
        copied = 0
        while self._changed:
            key, number = next(iter(self._changed.items()))
            await self._copy(key)
            copied += 1
            if self._changed.get(key) == number:
                del self._changed[key]
        return copied

    async def _copy(self, key: str) -> None:
        entry = self._memory.find(key)
        if entry is None:
            await self._primary.delete(key)
        elif isinstance(entry.content, bytes):
            await self._primary.put(key, entry.content, entry.remaining_s())
        else:
            await self._primary.put_chunks(key, entry.content, entry.remaining_s())

    def _return(self, copied: int) -> None:
        """The primary is whole again; in the same step as the last look at `_changed`, so that no write is missed."""
        self._memory.clear()
        self._away = anyio.Event()
        _log.info(
            "the store is back",
            extra={"store": self._primary.name, "copied": copied, "given_up": self._given_up},
        )
        self._given_up = 0
