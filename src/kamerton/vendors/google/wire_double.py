"""A stand-in for where Google's tokens come from: the exchange, and a machine's metadata server, over plain HTTP.

Written from Google's documents on OAuth 2.0 and on the metadata server; it shares no code with the credentials.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream


@dataclass(slots=True)
class TokenScript:
    """How the stand-in behaves; may be changed while it runs."""

    token: str = "ya29.stand-in"
    life_s: int = 3599
    project: str = "of-the-machine"
    status: int = 200
    body: str | None = None
    """Instead of a token; «{sent}» in it becomes what was sent."""
    headers: dict[str, str] = field(default_factory=dict)
    manner: Literal["serves", "hangs", "resets", "endless"] = "serves"


@dataclass(frozen=True, slots=True)
class SeenAsking:
    """A request as it was seen."""

    target: str
    form: dict[str, str]
    flavor: str


class TokenDouble:
    """A running stand-in; `serve_google_tokens` makes it."""

    def __init__(self, script: TokenScript, host: str) -> None:
        self.script = script
        self.host = host
        """`host:port`: of the metadata server."""
        self.url = f"http://{host}/token"
        """Of the exchange."""
        self.seen: list[SeenAsking] = []

    async def converse(self, stream: SocketStream) -> None:
        """One connection until it ends."""
        connection = h11.Connection(h11.SERVER)
        while True:
            request = await _next(stream, connection)
            if not isinstance(request, h11.Request):
                return
            body = b""
            while isinstance(event := await _next(stream, connection), h11.Data):
                body += event.data
            flavor = dict(request.headers).get(b"metadata-flavor", b"").decode()
            form = dict(parse_qsl(body.decode()))
            self.seen.append(SeenAsking(request.target.decode(), form, flavor))
            if self.script.manner == "resets":
                return
            if self.script.manner == "hangs":
                await anyio.sleep_forever()
            await self._answer(stream, connection, request.target.decode(), form)
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _answer(
        self, stream: SocketStream, connection: h11.Connection, target: str, form: dict[str, str]
    ) -> None:
        script = self.script
        token = {"access_token": script.token, "expires_in": script.life_s, "token_type": "Bearer"}
        body = script.project if target.endswith("/project-id") else json.dumps(token)
        if script.body is not None:
            body = script.body.replace("{sent}", " ".join(form.values()))
        headers = [("content-type", "application/json"), *script.headers.items()]
        if script.manner == "endless":
            await stream.send(connection.send(h11.Response(status_code=200, headers=headers)) or b"")
            while True:
                await stream.send(connection.send(h11.Data(data=b" " * 65_536)) or b"")
        headers.append(("content-length", str(len(body.encode()))))
        await stream.send(connection.send(h11.Response(status_code=script.status, headers=headers)) or b"")
        await stream.send(connection.send(h11.Data(data=body.encode())) or b"")
        await stream.send(connection.send(h11.EndOfMessage()) or b"")


async def _next(stream: SocketStream, connection: h11.Connection) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        try:
            connection.receive_data(await stream.receive())
        except anyio.EndOfStream:
            connection.receive_data(b"")
    return event


@asynccontextmanager
async def serve_google_tokens(script: TokenScript) -> AsyncIterator[TokenDouble]:
    """A stand-in on a free port of this machine."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    double = TokenDouble(script, f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}")

    async def handle(stream: SocketStream) -> None:
        async with stream:
            try:
                await double.converse(stream)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, h11.RemoteProtocolError):
                return

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        yield double
        group.cancel_scope.cancel()
