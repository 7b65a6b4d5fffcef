"""A stand-in for Yandex IAM's exchange of keys for tokens, over plain HTTP on this machine.

Written from Yandex Cloud's documentation; it shares no code with the credentials. It checks the request as IAM would:
signed by the service account's key (PS256), meant for IAM, neither expired nor longer than an hour.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import anyio
import h11
import jwt
from anyio.abc import SocketAttribute, SocketStream
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_AUDIENCE: Final = "https://iam.api.cloud.yandex.net/iam/v1/tokens"
KEY_ID: Final = "ajekey0stand0in"
ACCOUNT_ID: Final = "ajeacc0stand0in"


@dataclass(slots=True)
class IamScript:
    """How the stand-in behaves; may be changed while it runs."""

    life_s: float = 12 * 3600.0
    status: int = 200
    body: str | None = None
    """Instead of a token; «{sent}» in it becomes the JWT that was sent."""
    headers: dict[str, str] = field(default_factory=dict)
    manner: Literal["serves", "hangs", "resets", "endless"] = "serves"
    expires: str | None = None
    """Instead of the true end of the token's life."""


class IamDouble:
    """A running stand-in; `serve_iam` makes it."""

    def __init__(self, script: IamScript) -> None:
        self.script = script
        self.url = ""
        """What the account is given as `iam_url`."""
        self.tokens: list[str] = []
        """All that it gave, in order."""
        self.asked = 0
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def write_key(self, file: Path, **instead: Any) -> Path:
        """A service account's key file as `yc iam key create` writes it, with fields replaced."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        warning = "PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <" + KEY_ID + ">\n"
        fields = {"id": KEY_ID, "service_account_id": ACCOUNT_ID, "private_key": warning + pem}
        file.write_text(json.dumps(fields | instead), "utf-8")
        return file

    async def converse(self, stream: SocketStream) -> None:
        """One connection until it ends."""
        async with stream:
            connection = h11.Connection(h11.SERVER)
            while (body := await _request(stream, connection)) is not None:
                self.asked += 1
                if not await self._answer(stream, connection, body):
                    return

    async def _answer(self, stream: SocketStream, connection: h11.Connection, body: bytes) -> bool:
        """Whether the connection goes on."""
        script = self.script
        if script.manner == "resets":
            return False
        if script.manner == "hangs":
            await anyio.sleep_forever()
        status, text = self._exchanged(body)
        headers = [("content-type", "application/json"), *script.headers.items()]
        if script.manner == "endless":
            await stream.send(connection.send(h11.Response(status_code=200, headers=headers)) or b"")
            while True:
                await stream.send(connection.send(h11.Data(data=b" " * 8192)) or b"")
        headers.append(("content-length", str(len(text.encode()))))
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=text.encode()),
            h11.EndOfMessage(),
        ):
            await stream.send(connection.send(event) or b"")
        connection.start_next_cycle()
        return True

    def _exchanged(self, body: bytes) -> tuple[int, str]:
        try:
            sent = str(json.loads(body)["jwt"])
        except (ValueError, KeyError, TypeError):
            return 400, '{"code": 3, "message": "jwt is missing"}'
        if self.script.body is not None or self.script.status != 200:
            return self.script.status, (self.script.body or "{}").replace("{sent}", sent)
        if trouble := self._refusal(sent):
            return 401, json.dumps({"code": 16, "message": trouble})
        token = f"t1.stand-in-{len(self.tokens)}"
        self.tokens.append(token)
        end = datetime.now(UTC) + timedelta(seconds=self.script.life_s)
        expires = self.script.expires or end.strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
        return 200, json.dumps({"iamToken": token, "expiresAt": expires})

    def _refusal(self, sent: str) -> str:
        """Why IAM would not accept this request; empty when it would."""
        try:
            if jwt.get_unverified_header(sent).get("kid") != KEY_ID:
                return "kid is unknown"
            claims = jwt.decode(sent, self._key.public_key(), algorithms=["PS256"], audience=_AUDIENCE)
        except jwt.PyJWTError as error:
            return f"JWT is invalid: {error}"
        if claims.get("iss") != ACCOUNT_ID:
            return "iss is no service account of this key"
        return "" if claims["exp"] - claims["iat"] <= 3600 else "JWT lives longer than an hour"


async def _request(stream: SocketStream, connection: h11.Connection) -> bytes | None:
    """The body of the next request; None when the client has gone."""
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            try:
                connection.receive_data(await stream.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return None
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return body
        elif isinstance(event, h11.ConnectionClosed):
            return None


@asynccontextmanager
async def serve_iam(script: IamScript | None = None) -> AsyncIterator[IamDouble]:
    """A stand-in on a free port of this machine."""
    double = IamDouble(script or IamScript())
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        double.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/iam/v1/tokens"

        async def handled(stream: SocketStream) -> None:
            try:
                await double.converse(stream)
            except (anyio.BrokenResourceError, h11.ProtocolError):
                return

        group.start_soon(listener.serve, handled)
        try:
            yield double
        finally:
            group.cancel_scope.cancel()
