"""One client's HTTP/1.1 connection to the stand-in server: requests in, responses out, and the moment it leaves.

On h11 and a bare socket rather than a web framework, because the faults need it (a connection dropped inside a chunk)
and because a client's leaving must be noticed when it happens, not when the next write fails.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import anyio
import h11
from anyio.abc import ByteStream

MAX_BODY_BYTES: Final = 8 * 2**20

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A whole request."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""


class BadRequestError(Exception):
    """The client sent what is no HTTP request, or too much of it."""


class HttpConnection:
    """Requests of one client, one after another. Not cancel-safe inside a response: close the stream then."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.SERVER)

    @property
    def reusable(self) -> bool:
        """Whether the response is complete and the client means to go on over this connection."""
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def request(self) -> HttpRequest | None:
        """The next request, or None when the client is gone.

        Raises:
            BadRequestError: it is none.
        """
        if self._http.our_state is not h11.IDLE:
            if not self.reusable:
                return None
            self._http.start_next_cycle()
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = await self._event()
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    raise BadRequestError(f"the request is longer than {MAX_BODY_BYTES} bytes")
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
                return HttpRequest(head.method.decode(), head.target.decode(), bytes(body), headers)
            else:
                return None

    async def respond_json(self, status: int, value: Any, headers: Headers = ()) -> None:
        """Send a whole response."""
        await self._respond(status, "application/json", json.dumps(value, ensure_ascii=False), headers)

    async def respond_page(self, page: str) -> None:
        """Send a page where JSON is expected."""
        await self._respond(HTTPStatus.OK, "text/html", page, ())

    async def begin_stream(self) -> None:
        """Send the head of a stream of server-sent events."""
        await self._write(self._head(HTTPStatus.OK, "text/event-stream", (("Transfer-Encoding", "chunked"),)))

    async def send(self, data: str) -> None:
        """Send a piece of the stream."""
        await self._write(h11.Data(data=data.encode()))

    async def finish(self, data: str = "") -> None:
        """Send the last piece and the end of the stream in one write."""
        await self._write(*([h11.Data(data=data.encode())] if data else []), h11.EndOfMessage())

    async def send_raw(self, data: bytes) -> None:
        """Send bytes that are no HTTP; the response can only be broken off afterwards."""
        await self._stream.send(data)

    async def half_close(self) -> None:
        """Close the sending side only: the client may go on talking to nobody."""
        await self._stream.send_eof()

    async def reset(self) -> None:
        """Have the client see a reset (RST) instead of an orderly end."""
        raw = self._stream.extra(anyio.abc.SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(self._stream)

    async def gone(self) -> None:
        """Return as soon as the client closes its end. A client that talks out of turn counts as gone."""
        try:
            await self._stream.receive(1)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    async def _respond(self, status: int, content_type: str, text: str, headers: Headers) -> None:
        body = text.encode()
        head = self._head(status, content_type, (("Content-Length", str(len(body))), *headers))
        await self._write(head, h11.Data(data=body), h11.EndOfMessage())

    async def _event(self) -> Any:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise BadRequestError(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            try:
                self._http.receive_data(await self._stream.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                self._http.receive_data(b"")

    def _head(self, status: int, content_type: str, headers: Headers) -> h11.Response:
        return h11.Response(
            status_code=int(status),
            reason=_phrase(status).encode(),
            headers=[("Content-Type", f"{content_type}; charset=utf-8"), *headers],
        )

    async def _write(self, *events: h11.Event) -> None:
        await self._stream.send(b"".join(self._http.send(event) or b"" for event in events))


def _phrase(status: int) -> str:
    """The words of a status; vendors have some of their own, such as 529."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
