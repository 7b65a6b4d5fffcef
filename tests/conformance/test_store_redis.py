from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from redis_server import RedisServer, redis_server

from kamerton.cache.fallback_store import FallbackStore
from kamerton.cache.opening import StoreSettings, open_store
from kamerton.cache.redis_store import RedisSettings, RedisStore
from kamerton.domain.storage import Store
from kamerton.testing.store_conformance import StoreConformance

pytestmark = pytest.mark.socket

PATIENT_S = 10.0
"""The suite tests what is kept, not how fast; a busy machine must not fail it."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


class OnRedis(StoreConformance):
    __test__ = False

    @pytest.fixture(autouse=True)
    def use_server(self, server: RedisServer) -> None:
        self.settings = RedisSettings(
            url=server.url, prefix="suite[*]:", connect_deadline_s=PATIENT_S, deadline_s=PATIENT_S
        )

    async def _empty(self) -> None:
        cleaner = RedisStore(self.settings)
        await cleaner.delete(*await cleaner.keys(""))
        await cleaner.aclose()


class TestRedisStore(OnRedis):
    __test__ = True

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        await self._empty()
        store = RedisStore(self.settings)
        yield store
        await store.aclose()


class TestFallbackStoreOverRedis(OnRedis):
    __test__ = True

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Store]:
        await self._empty()
        async with open_store(StoreSettings(redis=self.settings)) as store:
            yield store
            assert isinstance(store, FallbackStore)
            assert not store.is_away
