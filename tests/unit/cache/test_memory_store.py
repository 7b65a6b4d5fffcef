import anyio
import pytest

from kamerton.cache.memory_store import MemoryStore
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualLoop}


async def test_the_least_recently_used_makes_room() -> None:
    store = MemoryStore(limit_bytes=33)
    for key in "abc":
        await store.put(key, bytes(10))
    assert await store.get("a") == bytes(10)
    await store.put_chunks("d", (bytes(4), bytes(6)))
    assert await store.keys("") == ("a", "c", "d")
    assert store.size_bytes == 33


async def test_a_value_bigger_than_the_store_is_not_kept_and_hides_no_older_one() -> None:
    store = MemoryStore(limit_bytes=20)
    await store.put("a", b"old")
    await store.put("a", bytes(20))
    assert await store.get("a") is None
    assert store.size_bytes == 0


async def test_replacing_and_removing_give_the_room_back() -> None:
    store = MemoryStore(limit_bytes=1000)
    await store.put("a", bytes(500))
    await store.put("a", bytes(9))
    await store.put_chunks("b", (bytes(5), bytes(4)))
    assert store.size_bytes == 20
    await store.delete("a", "b")
    assert store.size_bytes == 0


async def test_a_time_to_live_runs_on_the_loop_clock() -> None:
    store = MemoryStore(limit_bytes=1000)
    await store.put("a", b"1", ttl_s=3600)
    await anyio.sleep(3599.9)
    assert await store.get("a") == b"1"
    await anyio.sleep(0.2)
    assert await store.get("a") is None
    assert store.size_bytes == 0


async def test_the_dead_make_room_before_the_living() -> None:
    store = MemoryStore(limit_bytes=33)
    await store.put("old", bytes(7))
    await store.put("dies", bytes(6), ttl_s=1)
    await anyio.sleep(2)
    await store.put("new", bytes(20))
    assert await store.keys("") == ("new", "old")


async def test_a_key_that_is_written_again_and_again_stays_small() -> None:
    store = MemoryStore(limit_bytes=1000)
    for number in range(2000):
        await store.put("session", str(number).encode(), ttl_s=10)
        await anyio.sleep(1)
    assert await store.get("session") == b"1999"
    await anyio.sleep(10)
    assert await store.get("session") is None


async def test_the_time_left_is_told() -> None:
    store = MemoryStore(limit_bytes=1000)
    await store.put("a", b"1", ttl_s=10)
    await store.put("b", b"1")
    await anyio.sleep(4)
    dying, living = store.find("a"), store.find("b")
    assert dying is not None
    assert living is not None
    assert dying.remaining_s() == pytest.approx(6)
    assert living.remaining_s() is None
