"""A relay to a server on this machine whose connections can be cut."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import anyio
from anyio.abc import SocketAttribute, SocketStream

Cut = Literal["reset", "half_close"]


class CutRelay:
    """Passes bytes on until `cut`; connections made afterwards are passed on again."""

    def __init__(self, target: str, how: Cut) -> None:
        self.address = ""
        self._target = target
        self._how = how
        self._open: list[tuple[SocketStream, anyio.CancelScope]] = []

    def cut(self) -> None:
        """Cut all connections that are open: no byte that waits is passed on."""
        for stream, scope in self._open:
            raw = stream.extra(SocketAttribute.raw_socket)
            if self._how == "reset":
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                raw.shutdown(socket.SHUT_WR)
            scope.cancel()
        self._open.clear()

    async def carry(self, stream: SocketStream) -> None:
        """One connection until it ends."""
        host, _, port = self._target.rpartition(":")
        with anyio.CancelScope() as scope:
            self._open.append((stream, scope))
            async with stream, await anyio.connect_tcp(host, int(port)) as far, anyio.create_task_group() as group:
                group.start_soon(_pass_on, stream, far)
                await _pass_on(far, stream)
                group.cancel_scope.cancel()
        self._open = [one for one in self._open if one[0] is not stream]


async def _pass_on(source: SocketStream, target: SocketStream) -> None:
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


@asynccontextmanager
async def cut_off(target: str, how: Cut) -> AsyncIterator[CutRelay]:
    """A relay on a free port."""
    relay = CutRelay(target, how)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    relay.address = f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, relay.carry)
        yield relay
        group.cancel_scope.cancel()
