"""The store of a process, opened as the settings say: memory alone, or Redis with memory behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio

from kamerton.cache.fallback_store import FallbackSettings, FallbackStore
from kamerton.cache.memory_store import MemoryStore
from kamerton.cache.redis_store import RedisSettings, RedisStore
from kamerton.domain.errors import ConfigurationError
from kamerton.domain.storage import Store

_CLOSING_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where audio, sessions and answers are kept."""

    redis: RedisSettings | None = None
    """The server that several processes share; without it everything stays in this process."""
    memory_mb: int = 128
    """Room in this process, when there is no server."""
    fallback: FallbackSettings = field(default_factory=FallbackSettings)
    """What happens while the server is away."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: a value cannot work.
        """
        if self.memory_mb <= 0:
            raise ConfigurationError("the store's memory_mb must be more than 0")


@asynccontextmanager
async def open_store(settings: StoreSettings) -> AsyncIterator[Store]:
    """The store, kept in order while the context is open and closed after it.

    A server that is away at the start is no error: memory stands in until it comes.
    """
    if settings.redis is None:
        memory = MemoryStore(settings.memory_mb * 1_000_000)
        try:
            yield memory
        finally:
            await memory.aclose()
        return
    store = FallbackStore(RedisStore(settings.redis), settings.fallback)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.run)
        try:
            yield store
        finally:
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(_CLOSING_S, shield=True):
                await store.aclose()
