"""Redis as it fails for real: killed in mid-use, frozen, restarted, behind a password, full."""

import logging
import socket
from collections.abc import Iterator
from functools import partial

import anyio
import pytest
from redis.asyncio import Redis
from redis_server import RedisServer, free_port, redis_server

from kamerton.audio.tone import tone
from kamerton.cache.clip_cache import ClipCache
from kamerton.cache.fallback_store import FallbackSettings, FallbackStore
from kamerton.cache.opening import StoreSettings, open_store
from kamerton.cache.redis_store import RedisSettings, RedisStore
from kamerton.domain.audio import PHONE, Clip, Segment
from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.storage import Store
from kamerton.orchestrator.workers import InlineWorker

pytestmark = [pytest.mark.socket, pytest.mark.anyio]

DEADLINE_S = 20.0
PASSWORD = "se:cret-wörd"
PCM = tone(440, 3000, PHONE)
CLIP = Clip(PCM, PHONE, (Segment("Добрый день.", len(PCM) // 2),))


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


def shared(url: str) -> StoreSettings:
    return StoreSettings(redis=RedisSettings(url=url), fallback=FallbackSettings(probe_every_s=0.05))


async def until_away(store: Store, away: bool) -> None:
    assert isinstance(store, FallbackStore)
    with anyio.fail_after(DEADLINE_S):
        while True:
            if store.is_away == away:
                return
            await anyio.sleep(0.01)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("kamerton")]


class BusyCall:
    """Reads back whatever it writes, on and on; `missed` counts what was gone, which no error ever tells."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._clips = ClipCache(store, InlineWorker())
        self.turns = 0
        self.missed = 0

    async def talk(self) -> None:
        while True:
            content = str(self.turns).encode()
            await self._store.put("session:call-1", content, 60)
            self.missed += await self._store.get("session:call-1") != content
            await self._clips.save(f"clip-{self.turns}", CLIP)
            self.missed += await self._clips.load(f"clip-{self.turns}", PHONE) != CLIP
            self.turns += 1
            await anyio.lowlevel.checkpoint()

    async def until(self, turns: int) -> None:
        with anyio.fail_after(DEADLINE_S):
            while True:
                if self.turns >= turns:
                    return
                await anyio.sleep(0.01)


async def test_killed_in_mid_use_and_restarted(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A call that reads and writes all the while sees no error, and the server ends up with what was written."""
    caplog.set_level(logging.INFO)
    async with open_store(shared(server.url)) as store:
        call = BusyCall(store)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.talk)
            await call.until(20)
            assert call.missed == 0
            await anyio.to_thread.run_sync(server.kill)
            await until_away(store, True)
            await call.until(call.turns + 20)
            await until_away(store, True)
            tasks.cancel_scope.cancel()
        last = await store.get("session:call-1")
        await anyio.to_thread.run_sync(server.start)
        await until_away(store, False)
        assert last is not None
        assert await store.get("session:call-1") == last
        assert await ClipCache(store, InlineWorker()).load(f"clip-{call.turns - 1}", PHONE) == CLIP
        assert call.missed <= 1, "only what the dead server was asked to keep last may be gone"
    direct = RedisStore(RedisSettings(url=server.url))
    assert await direct.get("session:call-1") == last
    await direct.aclose()
    assert lines(caplog) == ["the store is away; memory stands in", "the store is back"]


async def test_frozen_it_costs_one_deadline_and_comes_back(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_store(shared(server.url)) as store:
        await store.put("a", b"1")
        server.freeze()
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(partial(store.put, f"k{number:02}", b"1"))
        assert len(await store.keys("k")) == 40
        server.thaw()
        await until_away(store, False)
        assert len(await store.keys("k")) == 40
        assert await store.get("a") == b"1"
    assert lines(caplog) == ["the store is away; memory stands in", "the store is back"]


async def test_away_at_the_start_it_is_used_once_it_comes(caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer()
    async with open_store(shared(server.url)) as store:
        await store.put("a", b"1")
        assert await store.get("a") == b"1"
        await anyio.to_thread.run_sync(server.start)
        try:
            await until_away(store, False)
            assert await store.get("a") == b"1"
        finally:
            server.stop()


async def test_a_restart_between_operations_goes_unnoticed(server: RedisServer) -> None:
    store = RedisStore(RedisSettings(url=server.url))
    await store.put("a", b"1")
    await anyio.to_thread.run_sync(server.kill)
    await anyio.to_thread.run_sync(server.start)
    await store.put("a", b"2")
    assert await store.get("a") == b"2"
    await store.aclose()


async def test_errors_name_the_server_and_never_the_password() -> None:
    with redis_server("--requirepass", "right") as guarded:
        url = f"redis://anna:{PASSWORD}@127.0.0.1:{guarded.port}/0"
        store = RedisStore(RedisSettings(url=url))
        with pytest.raises(EngineError, match=rf"Redis at 127\.0\.0\.1:{guarded.port}: reading") as refused:
            await store.get("a")
        await store.aclose()
        assert "se:cret" not in repr(refused.value) + repr(refused.value.__cause__) + str(refused.value.__cause__)
        right = RedisStore(RedisSettings(url=f"redis://:right@127.0.0.1:{guarded.port}/0"))
        await right.put("a", b"1")
        assert await right.get("a") == b"1"
        await right.aclose()


async def test_nobody_listens() -> None:
    port = free_port()
    store = RedisStore(RedisSettings(url=f"redis://127.0.0.1:{port}/0"))
    operations = (
        partial(store.get, "a"),
        partial(store.put, "a", b"1"),
        partial(store.get_chunks, "a"),
        partial(store.put_chunks, "a", (b"1",), 5),
        partial(store.delete, "a"),
        partial(store.keys, ""),
    )
    for operation in operations:
        with pytest.raises(EngineError, match=f"Redis at 127.0.0.1:{port}: .* failed"):
            await operation()
    await store.aclose()


async def test_a_peer_that_never_answers_costs_the_deadline() -> None:
    """It accepts connections and is silent; more operations than connections wait for it, all within the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        store = RedisStore(RedisSettings(url=f"redis://127.0.0.1:{port}/0", deadline_s=0.2, connections=2))
        failures: list[str] = []

        async def ask() -> None:
            with pytest.raises(EngineError, match=r"took longer than 0\.2 s") as late:
                await store.get("a")
            failures.append(str(late.value))

        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(ask)
        assert len(failures) == 10
        await store.aclose()


async def test_a_peer_that_is_no_redis_is_an_engine_error() -> None:
    async def greet(line: anyio.abc.SocketStream) -> None:
        async with line:
            await line.receive()
            await line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, greet)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        store = RedisStore(RedisSettings(url=f"redis://127.0.0.1:{port}/0"))
        with pytest.raises(EngineError, match=f"Redis at 127.0.0.1:{port}"):
            await store.get("a")
        await store.aclose()
        tasks.cancel_scope.cancel()


async def test_a_full_server_is_an_engine_error_and_memory_stands_in() -> None:
    with redis_server("--maxmemory", "1100kb", "--maxmemory-policy", "noeviction") as full:
        async with open_store(shared(full.url)) as store:
            for number in range(40):
                await store.put(f"k{number}", bytes(100_000))
            await until_away(store, True)
            assert await store.get("k39") == bytes(100_000)


async def test_installations_share_a_server_without_seeing_each_other(server: RedisServer) -> None:
    one = RedisStore(RedisSettings(url=server.url, prefix="one:"))
    other = RedisStore(RedisSettings(url=server.url, prefix="other:"))
    await one.put("a", b"1")
    assert await other.get("a") is None
    assert await other.keys("") == ()
    assert await other.delete("a") == 0
    plain = Redis.from_url(server.url)
    assert await plain.keys("*") == [b"one:a"]
    await plain.aclose()
    await one.aclose()
    await other.aclose()


async def test_a_list_is_written_in_one_transaction_with_its_time_to_live(server: RedisServer) -> None:
    store = RedisStore(RedisSettings(url=server.url))
    await store.put_chunks("clip", (b"1", b"2"), 60)
    plain = Redis.from_url(server.url)
    assert 58_000 < await plain.pttl("kamerton:clip") <= 60_000
    await plain.hset("kamerton:foreign", "field", "1")
    assert await store.get("foreign") is None
    assert await store.get_chunks("foreign") is None
    await plain.aclose()
    await store.aclose()


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://localhost", "redis://", "redis://user:se:cret@host:port/0", "redis://h:99999/0"]
)
async def test_an_address_that_cannot_be_one_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://") as refused:
        RedisStore(RedisSettings(url=url))
    assert "se:cret" not in str(refused.value)


async def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="deadlines"):
        RedisSettings(deadline_s=0)
    with pytest.raises(ConfigurationError, match="connection"):
        RedisSettings(connections=0)
    with pytest.raises(ConfigurationError, match="memory_mb"):
        StoreSettings(memory_mb=0)
