"""A relay before a server, which spoils the bytes on their way to the client: for faults below gRPC."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import anyio
from anyio.abc import SocketAttribute, SocketStream

SpoilKind = Literal["reset", "half_close", "garbage", "slow", "hang"]

_AT_ONCE: Final = 65_536
_DRIP_S: Final = 0.02
_READ_S: Final = 0.1
"""An end takes with it what the client has not read yet; so long it has for what was passed on before."""


@dataclass(frozen=True, slots=True)
class Spoil:
    """What happens to a connection.

    After so many bytes to the client `reset` and `half_close` end it, `garbage` sends what is no HTTP/2, `slow` goes on
    byte by byte, one every 20 ms, `hang` passes nothing more on.
    """

    kind: SpoilKind
    after: int = 0
    times: int = 1
    """Connections that it happens to, from the first one on."""


@dataclass(slots=True)
class Relay:
    """A running relay."""

    address: str
    connections: int = 0
    open: int = 0
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def note(self, opened: int) -> None:
        """A connection was opened (1) or closed (-1)."""
        self.connections += opened > 0
        self.open += opened
        self._changed.set()
        self._changed = anyio.Event()

    async def until_connections(self, count: int) -> None:
        """Wait until so many connections were opened; give it a deadline."""
        while self.connections < count:
            await self._changed.wait()

    async def until_open(self, count: int) -> None:
        """Wait until so many connections are open; give it a deadline."""
        while self.open != count:
            await self._changed.wait()


@asynccontextmanager
async def serve_relay(target: str, spoil: Spoil | None = None) -> AsyncIterator[Relay]:
    """Relay a free loopback port to `host:port` for as long as the context lasts."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    relay = Relay(f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}")
    host, _, port = target.rpartition(":")

    async def serve(client: SocketStream) -> None:
        relay.note(1)
        due = spoil if spoil is not None and relay.connections <= spoil.times else None
        try:
            async with client, await anyio.connect_tcp(host, int(port)) as server, anyio.create_task_group() as group:
                group.start_soon(_pass_on, client, server)
                await _spoiled(server, client, due)
                group.cancel_scope.cancel()
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            relay.note(-1)

    async with aclosing(listener), anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        try:
            yield relay
        finally:
            group.cancel_scope.cancel()


async def _pass_on(source: SocketStream, target: SocketStream) -> None:
    try:
        async for data in source:
            await target.send(data)
        await target.send_eof()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def _spoiled(server: SocketStream, client: SocketStream, spoil: Spoil | None) -> None:
    left = spoil.after if spoil is not None else 0
    async for data in server:
        if spoil is None:
            await client.send(data)
            continue
        if len(data) <= left:
            await client.send(data)
            left -= len(data)
            continue
        await client.send(data[:left])
        await _spoil(spoil, data[left:], server, client)
        return


async def _spoil(spoil: Spoil, rest: bytes, server: SocketStream, client: SocketStream) -> None:
    if spoil.after and spoil.kind in ("reset", "half_close"):
        await anyio.sleep(_READ_S)
    match spoil.kind:
        case "reset":
            raw = client.extra(SocketAttribute.raw_socket)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        case "half_close":
            await client.send_eof()
            await anyio.sleep_forever()
        case "garbage":
            await client.send(b"HTTP/1.1 200 OK\r\n\r\n<html>no gRPC here</html>" * 4)
            await anyio.sleep_forever()
        case "hang":
            await anyio.sleep_forever()
        case "slow":
            while True:
                for byte in rest:
                    await client.send(bytes((byte,)))
                    await anyio.sleep(_DRIP_S)
                rest = await server.receive(_AT_ONCE)
