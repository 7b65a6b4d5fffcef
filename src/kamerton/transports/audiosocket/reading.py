"""Reads the sockets of all calls in rows.

With 200 calls, 10,000 messages of 323 bytes arrive in a second. Woken for each of them, a loop spends more on waking,
and on caches gone cold in between, than on the audio. So a wake-up reads every socket that has something, and the next
row comes a few milliseconds later, until one finds nothing: then the loop waits for the next message again. Few calls
are read as their messages come.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
from typing import Final, Protocol

log = logging.getLogger(__name__)

READ_BYTES: Final = 960
"""Asked of a socket at once: a message at 16 kHz. A buffer is allocated for each read, and small ones cost least."""
READS_PER_ROW: Final = 8
"""From one socket, while it has more: 1.5 MB/s at most, four times what Asterisk's fastest kind needs."""


FEW_SOCKETS: Final = 4
"""Up to so many a wake-up for each message costs less than the further rows that find nothing."""


class ByteTaker(Protocol):
    """The owner of a socket."""

    def received(self, data: bytes, now_s: float) -> None:
        """Bytes arrived; `now_s` is the loop's instant."""
        ...

    def far_end_closed(self) -> None:
        """Nothing more will arrive; the reader has let go of the socket."""
        ...

    def read_failed(self, error: Exception) -> None:
        """The socket broke, or its owner did; the reader has let go of it."""
        ...


class RowReader:
    """Reads non-blocking sockets for their owners. Of one event loop; not thread-safe.

    Args:
        interval_s: least time between two rows.
        few: up to so many sockets are read as their messages come.
    """

    def __init__(self, interval_s: float, few: int = FEW_SOCKETS) -> None:
        self._interval_s = interval_s
        self._few = few
        self._loop = asyncio.get_running_loop()
        self._owners: dict[int, ByteTaker] = {}
        self._sockets = select.epoll()
        self._next_row: asyncio.TimerHandle | None = None
        self._await_message()

    def add(self, fd: int, owner: ByteTaker) -> None:
        """Read a socket from now on; it must not be closed before it is removed."""
        self._owners[fd] = owner
        self._sockets.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        """Read it no more; harmless when it is not read."""
        if self._owners.pop(fd, None) is not None:
            self._sockets.unregister(fd)

    def read_now(self) -> None:
        """Read every socket that has something, without waiting for the next row; not from within a reading."""
        self._read_ready(self._loop.time())

    def close(self) -> None:
        """Read nothing more. Owners are not told."""
        if self._next_row is not None:
            self._next_row.cancel()
        self._loop.remove_reader(self._sockets.fileno())
        self._sockets.close()

    def _await_message(self) -> None:
        self._next_row = None
        self._loop.add_reader(self._sockets.fileno(), self._message_came)

    def _message_came(self) -> None:
        if len(self._owners) <= self._few:
            self._read_ready(self._loop.time())
            return
        self._loop.remove_reader(self._sockets.fileno())
        self._read_row()

    def _read_row(self) -> None:
        now_s = self._loop.time()
        self._next_row = self._loop.call_at(now_s + self._interval_s, self._read_row)
        if not self._read_ready(now_s):
            self._next_row.cancel()
            self._await_message()

    def _read_ready(self, now_s: float) -> bool:
        ready = self._sockets.poll(0, len(self._owners) or 1)
        for fd, _ in ready:
            owner = self._owners.get(fd)
            if owner is not None:
                self._read(fd, owner, now_s)
        return bool(ready)

    def _read(self, fd: int, owner: ByteTaker, now_s: float) -> None:
        try:
            for _ in range(READS_PER_ROW):
                data = os.read(fd, READ_BYTES)
                if not data:
                    break
                owner.received(data, now_s)
                if len(data) < READ_BYTES:
                    return
            else:
                return
        except (BlockingIOError, InterruptedError):
            return
        except Exception as error:  # the boundary to one call: its fault must not keep the others from being read
            if not isinstance(error, OSError):
                log.exception("what arrived on a connection could not be handled; the connection is closed")
            self.remove(fd)
            owner.read_failed(error)
            return
        self.remove(fd)
        owner.far_end_closed()
