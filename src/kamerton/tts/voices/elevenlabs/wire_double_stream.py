"""The stand-in's bytes: sent, dripped, cut off in every way that a network knows."""

from __future__ import annotations

import socket
import struct
from typing import Final

import anyio
from anyio.abc import ByteStream, SocketAttribute

_DRIP_S: Final = 0.05
_SIZE: Final = 65_536


class ClientLeftError(Exception):
    """The client closed its end."""


class WireStream:
    """One client's connection. Each method raises `ClientLeftError` when it is gone."""

    def __init__(self, stream: ByteStream, received: bytes = b"") -> None:
        self._stream = stream
        self._received = received
        self._turn = anyio.Lock()

    async def receive(self) -> bytes:
        """What comes next."""
        if self._received:
            data, self._received = self._received, b""
            return data
        try:
            return await self._stream.receive(_SIZE)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            raise ClientLeftError from None

    async def send(self, data: bytes) -> None:
        """Send all of it; contexts take turns."""
        try:
            async with self._turn:
                await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            raise ClientLeftError from None

    async def drip(self, data: bytes) -> None:
        """Send it byte by byte."""
        for place in range(len(data)):
            await self.send(data[place : place + 1])
            await anyio.sleep(_DRIP_S)

    async def break_off(self, how: str) -> None:
        """Cut it off: `reset`, `half_close`, or `garbage`, which is sent first."""
        if how == "garbage":
            await self.send(b"\xff\xfe\x00\x13 neither a frame nor HTTP \r\n\r\n" * 8)
            return
        if how == "half_close":
            try:
                await self._stream.send_eof()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                raise ClientLeftError from None
            return
        raw: socket.socket = self._stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(self._stream)

    async def gone(self) -> None:
        """Wait until the client closes its end; what it sends is dropped."""
        try:
            while True:
                await self.receive()
        except ClientLeftError:
            return

    async def aclose(self) -> None:
        """Close it."""
        await anyio.aclose_forcefully(self._stream)
