"""Servers on this machine that are none: they accept connections and behave badly below any protocol."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal

import anyio
from anyio.abc import SocketAttribute, SocketStream

Rudeness = Literal["silence", "reset", "garbage", "slow"]

_SETTINGS: Final = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
"""How an HTTP/2 server introduces itself."""


@asynccontextmanager
async def rude_server(rudeness: Rudeness) -> AsyncIterator[str]:
    """Address of a server that says nothing, resets, talks nonsense, or says what is right a byte at a time."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            try:
                await _behave(stream, rudeness)
            except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        yield f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


async def _behave(stream: SocketStream, rudeness: Rudeness) -> None:
    if rudeness == "reset":
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    if rudeness == "garbage":
        await stream.send(b"220 smtp.example.net ready\r\n")
    for byte in _SETTINGS if rudeness == "slow" else b"":
        await stream.send(bytes((byte,)))
        await anyio.sleep(0.5)
    await anyio.sleep_forever()
