import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from kamerton.cache.fallback_store import FallbackSettings, FallbackStore
from kamerton.cache.memory_store import MemoryStore
from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio

ANSWER_S = 0.001
DEADLINE_S = 0.3


class DistantStore(MemoryStore):
    """A store behind a line that can be cut: it answers after a millisecond, or fails after its deadline."""

    name = "distant"

    def __init__(self) -> None:
        super().__init__(1_000_000)
        self.line_is_up = True
        self.takes_writes = True
        self.asked = 0

    async def _reach(self, *, writing: bool = False) -> None:
        self.asked += 1
        if not self.line_is_up:
            await anyio.sleep(DEADLINE_S)
            raise EngineError("the line is cut")
        await anyio.sleep(ANSWER_S)
        if writing and not self.takes_writes:
            raise EngineError("out of memory")

    async def get(self, key: str) -> bytes | None:
        await self._reach()
        return await super().get(key)

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        await self._reach(writing=True)
        await super().put(key, value, ttl_s)

    async def get_chunks(self, key: str) -> tuple[bytes, ...] | None:
        await self._reach()
        return await super().get_chunks(key)

    async def put_chunks(self, key: str, chunks: Sequence[bytes], ttl_s: float | None = None) -> None:
        await self._reach(writing=True)
        await super().put_chunks(key, chunks, ttl_s)

    async def delete(self, *keys: str) -> int:
        await self._reach(writing=True)
        return await super().delete(*keys)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        await self._reach()
        return await super().keys(prefix)


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
def distant() -> DistantStore:
    return DistantStore()


@asynccontextmanager
async def running(distant: DistantStore, settings: FallbackSettings | None = None) -> AsyncIterator[FallbackStore]:
    store = FallbackStore(distant, settings or FallbackSettings())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.run)
        yield store
        tasks.cancel_scope.cancel()
    await store.aclose()


async def until_back(store: FallbackStore) -> None:
    with anyio.fail_after(60):
        while True:
            if not store.is_away:
                return
            await anyio.sleep(0.1)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_the_first_failure_costs_one_deadline_and_no_other_costs_anything(distant: DistantStore) -> None:
    async with running(distant) as store:
        distant.line_is_up = False
        began_s = anyio.current_time()
        await store.put("a", b"1")
        assert anyio.current_time() - began_s == pytest.approx(DEADLINE_S)
        assert await store.get("a") == b"1"
        await store.put_chunks("b", (b"1", b"2"))
        assert await store.get_chunks("b") == (b"1", b"2")
        assert await store.keys("") == ("a", "b")
        assert await store.delete("a") == 1
        assert anyio.current_time() - began_s == pytest.approx(DEADLINE_S)
        assert store.is_away


async def test_it_comes_back_by_itself_with_what_was_written_meanwhile(
    distant: DistantStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(distant) as store:
        await store.put("before", b"1")
        await store.put("doomed", b"1")
        await store.put("changed", b"old")
        distant.line_is_up = False
        assert await store.get("before") is None
        await store.put("changed", b"new", ttl_s=3600)
        await store.put_chunks("list", (b"1", b"2"))
        await store.delete("doomed")
        await store.put("short", b"1", ttl_s=0.5)
        await anyio.sleep(30)
        distant.line_is_up = True
        await until_back(store)
        assert await store.keys("") == ("before", "changed", "list")
        assert await store.get("changed") == b"new"
        assert await store.get_chunks("list") == (b"1", b"2")
        kept = distant.find("changed")
    assert kept is not None
    assert kept.remaining_s() == pytest.approx(3600 - 31, abs=2)
    assert lines(caplog) == ["the store is away; memory stands in", "the store is back"]
    assert caplog.records[-1].__dict__["copied"] == 4


async def test_operations_that_run_when_it_goes_away_fall_through_with_one_line(
    distant: DistantStore, caplog: pytest.LogCaptureFixture
) -> None:
    distant.line_is_up = False
    async with running(distant) as store:
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(store.put, f"k{number:02}", b"1")
        assert len(await store.keys("k")) == 50
    assert lines(caplog) == ["the store is away; memory stands in"]


async def test_while_it_is_away_it_is_only_probed(distant: DistantStore) -> None:
    async with running(distant) as store:
        distant.line_is_up = False
        await store.get("a")
        asked = distant.asked
        for _ in range(1000):
            await store.get("a")
            await anyio.sleep(0.01)
        assert 5 <= distant.asked - asked <= 10


async def test_a_server_that_takes_no_writes_does_not_flap(
    distant: DistantStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(distant) as store:
        distant.takes_writes = False
        await store.put("a", b"1")
        await anyio.sleep(20)
        assert store.is_away
        assert await store.get("a") == b"1"
        assert len(lines(caplog)) == 1
        distant.takes_writes = True
        await until_back(store)
        assert await store.get("a") == b"1"


@pytest.mark.parametrize("pace", [1.1, 1.3, 1.7, 2.3, 2.9, 3.7])
async def test_a_write_during_the_copying_is_not_lost(distant: DistantStore, pace: float) -> None:
    async with running(distant) as store:
        distant.line_is_up = False
        for number in range(100):
            await store.put(f"k{number:02}", b"old")
        distant.line_is_up = True
        with anyio.fail_after(60):
            for number in range(10_000):
                if not store.is_away:
                    break
                await store.put("k50", str(number).encode())
                last = str(number).encode()
                await anyio.sleep(ANSWER_S * pace)
        assert await store.get("k50") == last
        assert await store.get("k99") == b"old"


async def test_an_older_write_that_fails_late_does_not_replace_a_newer_one(distant: DistantStore) -> None:
    async with running(distant) as store, anyio.create_task_group() as tasks:
        distant.line_is_up = False
        tasks.start_soon(store.get, "x")
        await anyio.sleep(DEADLINE_S / 2)
        tasks.start_soon(store.put, "a", b"old")
        await anyio.sleep(DEADLINE_S * 0.75)
        await store.put("a", b"new")
        await anyio.sleep(DEADLINE_S)
        assert await store.get("a") == b"new"


async def test_a_late_removal_spares_only_what_was_written_again(distant: DistantStore) -> None:
    async with running(distant) as store, anyio.create_task_group() as tasks:
        await store.put("a", b"1")
        await store.put("b", b"1")
        distant.line_is_up = False
        tasks.start_soon(store.get, "x")
        await anyio.sleep(DEADLINE_S / 2)
        tasks.start_soon(store.delete, "a", "b")
        await anyio.sleep(DEADLINE_S * 0.75)
        await store.put("a", b"2")
        await anyio.sleep(DEADLINE_S)
        distant.line_is_up = True
        await until_back(store)
        assert await store.get("a") == b"2"
        assert await store.get("b") is None


async def test_no_more_writes_are_kept_than_allowed(distant: DistantStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(distant, FallbackSettings(kept_writes=3)) as store:
        distant.line_is_up = False
        for number in range(5):
            await store.put(f"k{number}", b"1")
        distant.line_is_up = True
        await until_back(store)
        assert await store.keys("k") == ("k2", "k3", "k4")
    assert caplog.records[-1].__dict__["given_up"] == 2


async def test_memory_that_is_lost_leaves_no_stale_value_behind(distant: DistantStore) -> None:
    async with running(distant, FallbackSettings(memory_mb=1)) as store:
        await store.put("a", b"stale")
        distant.line_is_up = False
        await store.put("a", b"new")
        await store.put("b", bytes(999_999))
        distant.line_is_up = True
        await until_back(store)
        assert await store.get("a") is None


async def test_a_second_outage_knows_nothing_of_the_first(distant: DistantStore) -> None:
    async with running(distant) as store:
        distant.line_is_up = False
        await store.put("a", b"first")
        distant.line_is_up = True
        await until_back(store)
        await store.put("a", b"second")
        distant.line_is_up = False
        assert await store.get("a") is None
        distant.line_is_up = True
        await until_back(store)
        assert await store.get("a") == b"second"


async def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="more than 0"):
        FallbackSettings(probe_every_s=0)
