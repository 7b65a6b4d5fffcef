"""The suite that every store must pass.

A test module makes a subclass of `StoreConformance` that overrides `open`: an asynchronous context manager that gives
an empty store and closes it. Times to live are waited for by asking again, never by sleeping for a guess.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import anyio
import pytest

from kamerton.domain.storage import Store

DEADLINE_S: Final = 10.0
SHORT_S: Final = 0.05
LONG_S: Final = 60.0

BINARY: Final = bytes(range(256)) * 3 + b"\r\n$5\r\n*3\r\n"
FRAME: Final = bytes(range(160)) * 2


async def until_gone(store: Store, key: str) -> None:
    """Wait until a key has expired."""
    with anyio.fail_after(DEADLINE_S):
        while True:
            if key not in await store.keys(key):
                return
            await anyio.sleep(SHORT_S / 5)


@pytest.mark.anyio
class StoreConformance:
    """Rules of `kamerton.domain.storage.Store`, tested from outside."""

    def open(self) -> AbstractAsyncContextManager[Store]:
        """An empty store, closed in the end."""
        raise NotImplementedError

    async def test_it_has_a_name(self) -> None:
        """The name is for logs."""
        async with self.open() as store:
            assert store.name

    async def test_a_value_comes_back_byte_by_byte(self) -> None:
        """Nothing is decoded or trimmed; an empty value is a value."""
        async with self.open() as store:
            for value in (BINARY, b"", "Добрый день".encode()):
                await store.put("a:b", value)
                assert await store.get("a:b") == value

    async def test_what_was_never_put_is_missing(self) -> None:
        """None, nothing, zero."""
        async with self.open() as store:
            assert await store.get("a") is None
            assert await store.get_chunks("a") is None
            assert await store.keys("") == ()
            assert await store.delete("a") == 0
            assert await store.delete() == 0

    async def test_a_list_comes_back_whole_and_in_order(self) -> None:
        """Also with empty chunks and with equal ones."""
        chunks = (b"header", FRAME, FRAME, b"", BINARY)
        async with self.open() as store:
            await store.put_chunks("clip", chunks)
            assert await store.get_chunks("clip") == chunks
            await store.put_chunks("clip", [b"only"])
            assert await store.get_chunks("clip") == (b"only",)

    async def test_an_empty_list_removes_the_key(self) -> None:
        """Whatever was there."""
        async with self.open() as store:
            await store.put_chunks("clip", (b"1",))
            await store.put_chunks("clip", ())
            assert await store.get_chunks("clip") is None
            assert await store.keys("clip") == ()

    async def test_a_value_and_a_list_replace_each_other(self) -> None:
        """And the one is never read as the other."""
        async with self.open() as store:
            await store.put("x", b"value")
            assert await store.get_chunks("x") is None
            await store.put_chunks("x", (b"1", b"2"))
            assert await store.get_chunks("x") == (b"1", b"2")
            assert await store.get("x") is None
            await store.put("x", b"value")
            assert await store.get("x") == b"value"
            assert await store.get_chunks("x") is None

    async def test_keys_are_found_by_their_prefix_alone(self) -> None:
        """Sorted; characters that are special to a pattern are plain ones."""
        names = ("a*c:1", "a[b]c:1", "a?c:1", "a\\c:1", "abc:1", "abc:2", "вопрос:1")
        async with self.open() as store:
            for name in names:
                await store.put(name, b"1")
            await store.put_chunks("abc:3", (b"1",))
            assert await store.keys("abc:") == ("abc:1", "abc:2", "abc:3")
            for name in names[:4]:
                assert await store.keys(name[:-1]) == (name,)
            assert await store.keys("вопрос:") == ("вопрос:1",)
            assert await store.keys("") == tuple(sorted((*names, "abc:3")))
            assert await store.keys("bc") == ()

    async def test_many_keys_are_all_listed(self) -> None:
        """More than one step of any cursor."""
        names = tuple(sorted(f"many:{number}" for number in range(1500)))
        async with self.open() as store:
            for name in names:
                await store.put(name, b"1")
            assert await store.keys("many:") == names
            assert await store.delete(*names) == len(names)
            assert await store.keys("many:") == ()

    async def test_delete_counts_what_was_there(self) -> None:
        """Values and lists."""
        async with self.open() as store:
            await store.put("a", b"1")
            await store.put_chunks("b", (b"1",))
            await store.put("c", b"1")
            assert await store.delete("a", "b", "missing") == 2
            assert await store.keys("") == ("c",)

    async def test_a_time_to_live_ends_a_value_and_a_list(self) -> None:
        """Expired is the same as missing; the others stay."""
        async with self.open() as store:
            await store.put("value", b"1", SHORT_S)
            await store.put_chunks("list", (b"1",), SHORT_S)
            await store.put("other", b"1", LONG_S)
            await store.put("stays", b"1")
            await until_gone(store, "value")
            await until_gone(store, "list")
            assert await store.get("value") is None
            assert await store.get_chunks("list") is None
            assert await store.delete("value", "list") == 0
            assert await store.keys("") == ("other", "stays")

    async def test_the_last_write_decides_the_time_to_live(self) -> None:
        """A value kept for ever after one for a moment stays; so does a list."""
        async with self.open() as store:
            await store.put("probe", b"1", SHORT_S)
            await store.put("value", b"1", SHORT_S)
            await store.put("value", b"2")
            await store.put_chunks("list", (b"1",), SHORT_S)
            await store.put_chunks("list", (b"2",))
            await store.put("later", b"1")
            await store.put("later", b"2", SHORT_S)
            await until_gone(store, "probe")
            await until_gone(store, "later")
            assert await store.get("value") == b"2"
            assert await store.get_chunks("list") == (b"2",)

    @pytest.mark.parametrize("ttl_s", [0, -1, float("nan"), float("inf")])
    async def test_a_senseless_time_to_live_is_refused(self, ttl_s: float) -> None:
        """And changes nothing."""
        async with self.open() as store:
            await store.put("a", b"1")
            with pytest.raises(ValueError, match="time to live"):
                await store.put("a", b"2", ttl_s)
            with pytest.raises(ValueError, match="time to live"):
                await store.put_chunks("a", (b"2",), ttl_s)
            assert await store.get("a") == b"1"

    async def test_nobody_reads_half_a_list(self) -> None:
        """Readers see the old list or the new one while it is replaced again and again."""
        versions = [tuple(bytes([number]) * 400 for _ in range(10 + number)) for number in range(20)]
        seen: list[tuple[bytes, ...] | None] = []
        async with self.open() as store:
            await store.put_chunks("list", versions[0])

            async def read() -> None:
                for _ in range(40):
                    seen.append(await store.get_chunks("list"))
                    await anyio.lowlevel.checkpoint()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                tasks.start_soon(read)
                for version in versions:
                    await store.put_chunks("list", version, LONG_S)
                    await anyio.lowlevel.checkpoint()
            assert await store.get_chunks("list") == versions[-1]
        assert len(seen) == 80
        assert all(found in versions for found in seen)

    async def test_many_operations_at_once(self) -> None:
        """More than there are connections."""
        async with self.open() as store, anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(partial(store.put, f"at once:{number:02}", bytes([number])))
            with anyio.fail_after(DEADLINE_S):
                while len(await store.keys("at once:")) < 60:
                    await anyio.lowlevel.checkpoint()
            assert [await store.get(f"at once:{number:02}") for number in range(60)] == [
                bytes([number]) for number in range(60)
            ]

    async def test_a_cancelled_operation_spoils_nothing(self) -> None:
        """Afterwards each answer belongs to its question."""
        async with self.open() as store:
            for number in range(8):
                await store.put(f"k{number}", bytes([number]))
            for _ in range(10):
                async with anyio.create_task_group() as tasks:
                    for number in range(8):
                        tasks.start_soon(store.get, f"k{number}")
                    await anyio.lowlevel.checkpoint()
                    tasks.cancel_scope.cancel()
            for number in range(8):
                assert await store.get(f"k{number}") == bytes([number])
