"""Connections to a gRPC service: shared by calls, replaced when one does not answer any more.

gRPC queues a request silently once a connection carries as many streams as the server allows, and goes on using a
connection that a firewall has forgotten. So a channel takes a bounded number of streams, and one that hung is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.rpc.endpoint import Endpoint

if TYPE_CHECKING:
    import grpc.aio

_CLOSE_S: Final = 2.0
_OPTIONS: Final = (
    ("grpc.enable_retries", 0),
    # Without this gRPC shares one connection between all channels to an address.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


@dataclass(slots=True, eq=False)
class _Line:
    channel: grpc.aio.Channel
    streams: int = 0
    distrusted: bool = False


class Channels:
    """Channels to one endpoint. Belongs to one event loop.

    Args:
        endpoint: where to.
        roots: certificates as read by `read_roots`.
        streams_each: requests that share a connection.
        connect: makes a channel, in place of a connection to the endpoint: to a service in this process.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        roots: bytes | None,
        *,
        streams_each: int = 50,
        connect: Callable[[], grpc.aio.Channel] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._roots = roots
        self._streams_each = streams_each
        self._connect = connect or self._connected
        self._lines: list[_Line] = []
        self._closed = False

    @property
    def connections(self) -> int:
        """Channels that are open."""
        return len(self._lines)

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A channel with room for one request, for as long as the context lasts. Connects with the first one on it."""
        line = self._with_room()
        line.streams += 1
        try:
            yield line.channel
        finally:
            line.streams -= 1
            # Any of them: one may have been distrusted when its last request had ended already.
            for left in tuple(self._lines):
                if left.distrusted and not left.streams:
                    await self._close(left)

    def distrust(self, channel: grpc.aio.Channel) -> None:
        """It did not answer in time: give it no further requests, and close it when its last one ends.

        If that has ended already, it is closed with the next request that ends on any connection.
        """
        for line in self._lines:
            line.distrusted = line.distrusted or line.channel is channel

    async def aclose(self) -> None:
        """Close all; requests under way are cancelled. Safe to call twice."""
        self._closed = True
        for line in tuple(self._lines):
            await self._close(line)

    def _with_room(self) -> _Line:
        open_to_requests = [line for line in self._lines if not line.distrusted and line.streams < self._streams_each]
        if open_to_requests and not self._closed:
            return max(open_to_requests, key=lambda line: line.streams)
        line = _Line(self._connect())
        self._lines.append(line)
        line.distrusted = self._closed
        return line

    def _connected(self) -> grpc.aio.Channel:
        import grpc
        import grpc.aio

        options: Any = _OPTIONS
        if not self.endpoint.tls:
            return grpc.aio.insecure_channel(self.endpoint.address, options=options)
        credentials = grpc.ssl_channel_credentials(root_certificates=self._roots)
        return grpc.aio.secure_channel(self.endpoint.address, credentials, options=options)

    async def _close(self, line: _Line) -> None:
        if line not in self._lines:
            return
        self._lines.remove(line)
        with anyio.CancelScope(deadline=asyncio.get_running_loop().time() + _CLOSE_S, shield=True):
            await line.channel.close()


async def read_roots(file: Path | None) -> bytes | None:
    """Root certificates of an endpoint's `ca_file`; None for gRPC's own.

    Raises:
        ConfigurationError: the file cannot be read or holds none.
    """
    return await anyio.to_thread.run_sync(_read_roots, file)


def _read_roots(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        pem = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"ca_file {file} cannot be read ({error.strerror}); check the path") from None
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise ConfigurationError(f"ca_file {file} holds no PEM certificate; give the roots that signed the server's")
    return pem
