from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from kamerton.cache.fallback_store import FallbackSettings, FallbackStore
from kamerton.cache.memory_store import MemoryStore
from kamerton.cache.opening import StoreSettings, open_store
from kamerton.cache.redis_store import RedisSettings, RedisStore
from kamerton.domain.storage import Store
from kamerton.testing.store_conformance import StoreConformance
from kamerton.testing.virtual_loop import VirtualLoop


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def anyio_backend(self) -> object:
        return "asyncio", {"loop_factory": VirtualLoop}

    def open(self) -> AbstractAsyncContextManager[Store]:
        return open_store(StoreSettings())


@pytest.mark.socket
class TestFallbackStoreWithoutItsServer(StoreConformance):
    """Nobody listens on the port: everything happens in memory."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        nowhere = RedisStore(RedisSettings(url="redis://127.0.0.1:1/0"))
        store = FallbackStore(nowhere, FallbackSettings())
        yield store
        await store.aclose()


class TestFallbackStoreOverMemory(StoreConformance):
    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        store = FallbackStore(MemoryStore(10_000_000), FallbackSettings())
        yield store
        assert not store.is_away
        await store.aclose()
