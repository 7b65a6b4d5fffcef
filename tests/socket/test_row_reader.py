"""The reader of many sockets, over real ones: rows, ends, faults of owners."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
import pytest

from kamerton.transports.audiosocket.reading import READ_BYTES, READS_PER_ROW, RowReader

pytestmark = [pytest.mark.socket, pytest.mark.anyio]


class Owner:
    """Keeps what it is told; fails on `poison`."""

    def __init__(self, poison: bytes = b"") -> None:
        self.poison = poison
        self.data = b""
        self.instants: list[float] = []
        self.told: list[str] = []
        self.changed = anyio.Event()

    def received(self, data: bytes, now_s: float) -> None:
        if self.poison and self.poison in data:
            raise ValueError("the owner cannot read this")
        self.data += data
        self.instants.append(now_s)
        self.changed.set()

    def far_end_closed(self) -> None:
        self.told.append("closed")
        self.changed.set()

    def read_failed(self, error: Exception) -> None:
        self.told.append(type(error).__name__)
        self.changed.set()

    async def next(self) -> None:
        with anyio.fail_after(5):
            await self.changed.wait()
        self.changed = anyio.Event()


@pytest.fixture
async def reader() -> AsyncIterator[RowReader]:
    made = RowReader(0.02, few=0)
    yield made
    made.close()


@contextmanager
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield near, far


async def test_what_arrives_in_one_row_is_read_at_one_instant(reader: RowReader) -> None:
    with line() as (near, far), line() as (other_near, other_far):
        owners = Owner(), Owner()
        reader.add(near.fileno(), owners[0])
        reader.add(other_near.fileno(), owners[1])
        far.send(b"first")
        other_far.send(b"other")
        await owners[1].next()
        far.send(b" second")
        far.send(b" third")
        await owners[0].next()
        await anyio.wait_all_tasks_blocked()
        while owners[0].data != b"first second third":
            await owners[0].next()
        first, *later = owners[0].instants
        assert owners[1].instants == [first]
        assert later[0] - first >= 0.015
        reader.remove(near.fileno())
        reader.remove(other_near.fileno())


async def test_more_than_one_read_holds_is_read_in_further_rows(reader: RowReader) -> None:
    with line() as (near, far):
        owner = Owner()
        reader.add(near.fileno(), owner)
        whole = bytes(range(256)) * (READ_BYTES * READS_PER_ROW // 100)
        far.sendall(whole)
        while len(owner.data) < len(whole):
            await owner.next()
        assert owner.data == whole
        reader.remove(near.fileno())


async def test_few_sockets_are_read_as_their_messages_come() -> None:
    reader = RowReader(3600.0)
    with line() as (near, far):
        owner = Owner()
        reader.add(near.fileno(), owner)
        for _ in range(3):
            before = len(owner.data)
            far.send(b"message")
            while len(owner.data) == before:
                await owner.next()
        assert owner.data == b"message" * 3
        reader.remove(near.fileno())
    reader.close()


async def test_an_end_is_told_once_and_the_socket_let_go(reader: RowReader) -> None:
    with line() as (near, far):
        owner = Owner()
        reader.add(near.fileno(), owner)
        far.send(b"last")
        far.close()
        while not owner.told:
            await owner.next()
        await anyio.sleep(0.05)
        assert owner.data == b"last"
        assert owner.told == ["closed"]
        reader.remove(near.fileno())


async def test_the_fault_of_one_owner_keeps_no_other_from_being_read(
    reader: RowReader, caplog: pytest.LogCaptureFixture
) -> None:
    with line() as (near, far), line() as (other_near, other_far):
        broken, sound = Owner(poison=b"poison"), Owner()
        reader.add(near.fileno(), broken)
        reader.add(other_near.fileno(), sound)
        far.send(b"poison")
        await broken.next()
        other_far.send(b"still here")
        await sound.next()
        assert broken.told == ["ValueError"]
        assert sound.data == b"still here"
        reader.remove(other_near.fileno())
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_reset_connection_is_a_failed_read(reader: RowReader) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    with near:
        near.setblocking(False)
        owner = Owner()
        reader.add(near.fileno(), owner)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        far.close()
        await owner.next()
        assert owner.told == ["ConnectionResetError"]
