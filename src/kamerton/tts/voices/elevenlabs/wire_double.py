"""A stand-in for ElevenLabs at the wire: WebSocket and HTTP on one port, which misbehaves as its script says.

Written from the vendor's AsyncAPI description, its guide to multi-context WebSockets and reported issues; it shares no
code with the adapter. It runs offline: `async with serve_elevenlabs(VendorScript()) as vendor: … vendor.url`.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from websockets.http11 import Request
from websockets.server import ServerProtocol

from kamerton.tts.voices.elevenlabs.wire_double_script import (
    Seen,
    SeenContext,
    SeenRequest,
    Trouble,
    VendorScript,
    Where,
)
from kamerton.tts.voices.elevenlabs.wire_double_socket import SocketConversation
from kamerton.tts.voices.elevenlabs.wire_double_speech import encoded, http_alignment, pieces_of
from kamerton.tts.voices.elevenlabs.wire_double_stream import ClientLeftError, WireStream

__all__ = ["ElevenLabsDouble", "SeenContext", "SeenRequest", "Trouble", "VendorScript", "Where", "serve_elevenlabs"]

_quiet = logging.getLogger(f"{__name__}.wire")
_quiet.setLevel(logging.WARNING)
"""The library logs the client's headers, and its key with them, below this level."""
_SPEECH: Final = "/v1/text-to-speech/"


class _AnswerError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, word: str, message: str, headers: dict[str, str | None] | None = None) -> None:
        super().__init__(word)
        self.status = status
        self.body = json.dumps({"detail": {"status": word, "message": message}}).encode()
        self.headers = [(name, value) for name, value in (headers or {}).items() if value is not None]


class ElevenLabsDouble:
    """A running stand-in; `serve_elevenlabs` makes it. Its script may be exchanged while it runs."""

    def __init__(self, script: VendorScript, url: str) -> None:
        self.url = url
        """What the voice is given as `url`."""
        self.seen = Seen()
        self._troubles: list[list[Any]] = []
        self.script = script

    @property
    def script(self) -> VendorScript:
        """How it behaves from now on."""
        return self._script

    @script.setter
    def script(self, script: VendorScript) -> None:
        self._script = script
        self._troubles = [[trouble, trouble.times] for trouble in script.troubles]

    async def converse(self, stream: ByteStream) -> None:
        """Serve one connection until it closes; a client's faults end its own connection only."""
        async with stream:
            try:
                head = await self._head(stream)
                if b"upgrade: websocket" in head.lower():
                    await self._websocket(WireStream(stream), head)
                else:
                    await self._http(WireStream(stream, head))
            except (ClientLeftError, h11.RemoteProtocolError):
                return

    async def _head(self, stream: ByteStream) -> bytes:
        head = b""
        wire = WireStream(stream)
        while b"\r\n\r\n" not in head:
            head += await wire.receive()
        return head

    def _trouble(self, where: Where) -> Trouble | None:
        """The next fault for such a request."""
        for entry in self._troubles:
            trouble, left = entry
            if trouble.where == where and left > 0:
                entry[1] -= 1
                found: Trouble = trouble
                return found
        return None

    async def _websocket(self, stream: WireStream, head: bytes) -> None:
        wire = ServerProtocol(max_size=2**24, logger=_quiet)
        wire.receive_data(head)
        request = next(event for event in wire.events_received() if isinstance(event, Request))
        address = urlsplit(request.path)
        query = dict(parse_qsl(address.query))
        trouble = self._trouble("handshake")
        self.seen.handshakes += 1
        self.seen.note()
        try:
            if trouble is not None:
                await self._spoil(stream, trouble)
            self._check(request.headers.get("xi-api-key", ""), address.path, query, "/multi-stream-input")
        except _AnswerError as error:
            await self._refuse(stream, error)
            return
        wire.send_response(wire.accept(request))
        await stream.send(b"".join(wire.data_to_send()))
        conversation = SocketConversation(
            stream, wire, query, self.script, self.seen, lambda: self._trouble("websocket")
        )
        self.seen.sockets_open += 1
        self.seen.most_sockets = max(self.seen.most_sockets, self.seen.sockets_open)
        self.seen.note()
        try:
            await conversation.run()
        finally:
            self.seen.sockets_open -= 1
            self.seen.note()

    def _check(self, key: str, path: str, query: dict[str, str], end: str) -> None:
        """Refuse what the vendor refuses."""
        if key != self.script.key:
            raise _AnswerError(401, "invalid_api_key", f"Invalid API key {key}")
        if not path.startswith(_SPEECH) or not path.endswith(end):
            raise _AnswerError(404, "not_found", "no such path")
        voice = unquote(path[len(_SPEECH) : -len(end)])
        if voice not in self.script.voices:
            raise _AnswerError(400, "voice_not_found", f"A voice with voice_id {voice} was not found")
        model = query.get("model_id", "")
        if model not in self.script.models or (model == "eleven_v3" and "multi" in end):
            raise _AnswerError(400, "model_not_found", f"no model {model}")
        if "language_code" in query and (
            model == "eleven_multilingual_v2" or query["language_code"] not in self.script.languages
        ):
            raise _AnswerError(400, "unsupported_language", f"{model} takes no language_code {query['language_code']}")

    async def _http(self, stream: WireStream) -> None:
        http = h11.Connection(h11.SERVER)
        while True:
            request = await self._request(http, stream)
            self.seen.requests.append(request)
            self.seen.note()
            try:
                await self._answer(http, stream, request)
            except _AnswerError as error:
                await self._refuse(stream, error)
                return
            except ClientLeftError:
                request.given_up = True
                self.seen.note()
                raise
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()

    async def _request(self, http: h11.Connection, stream: WireStream) -> SeenRequest:
        head: h11.Request | None = None
        body = b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive())
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                break
            else:
                raise ClientLeftError
        address = urlsplit(head.target.decode())
        headers = {name.decode(): value.decode() for name, value in head.headers}
        found = json.loads(body) if body else None
        return SeenRequest(head.method.decode(), address.path, dict(parse_qsl(address.query)), headers, found)

    async def _answer(self, http: h11.Connection, stream: WireStream, request: SeenRequest) -> None:
        trouble = self._trouble("http")
        if trouble is not None and not trouble.after:
            await self._spoil(stream, trouble)
        key = request.headers.get("xi-api-key", "")
        if request.method == "GET":
            await self._send(http, stream, self._facts(key, request.path))
            return
        body = request.body if isinstance(request.body, dict) else {}
        named = {name: str(body[name]) for name in ("model_id", "language_code") if name in body}
        self._check(key, request.path, named, "/stream/with-timestamps")
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch, stream, request, group.cancel_scope)
            try:
                await self._speak(http, stream, request, trouble)
            except ClientLeftError:
                request.given_up = True
            group.cancel_scope.cancel()
        if request.given_up:
            raise ClientLeftError

    async def _watch(self, stream: WireStream, request: SeenRequest, scope: anyio.CancelScope) -> None:
        await stream.gone()
        request.given_up = True
        self.seen.note()
        scope.cancel()

    async def _speak(
        self, http: h11.Connection, stream: WireStream, request: SeenRequest, trouble: Trouble | None
    ) -> None:
        rate_hz = int(request.query.get("output_format", "pcm_16000").partition("_")[2])
        headers = [("content-type", "application/json"), ("maximum-concurrent-requests", "5")]
        head = h11.Response(status_code=200, headers=[*headers, ("transfer-encoding", "chunked")])
        await anyio.sleep(self.script.first_audio_s)
        await stream.send(http.send(head) or b"")
        before_ms = 0
        for number, piece in enumerate(pieces_of(request.body["text"], rate_hz, self.script)):
            if trouble is not None and number == trouble.after:
                if await self._break_stream(http, stream, trouble):
                    return
                break
            line = {"audio_base64": encoded(piece.pcm), "alignment": http_alignment(piece, before_ms, self.script)}
            before_ms += len(piece.pcm) * 500 // rate_hz
            await stream.send(http.send(h11.Data(data=json.dumps(line).encode() + b"\n")) or b"")
            await anyio.sleep(self.script.piece_s)
        await stream.send(http.send(h11.EndOfMessage()) or b"")

    async def _break_stream(self, http: h11.Connection, stream: WireStream, trouble: Trouble) -> bool:
        """A fault in the middle of a response; False when the response then ends in order."""
        lines = {"not_json": b"<html>\n", "bad_base64": b'{"audio_base64": "~~"}\n'}
        if trouble.kind == "short":
            return False
        if trouble.kind in lines:
            await stream.send(http.send(h11.Data(data=lines[trouble.kind])) or b"")
            return False
        if trouble.kind == "slow":
            await stream.drip(http.send(h11.Data(data=b'{"audio_base64": "' + b"A" * 10_000)) or b"")
        elif trouble.kind == "hang":
            await anyio.sleep_forever()
        else:
            await stream.break_off(trouble.kind)
        return True

    def _facts(self, key: str, path: str) -> Any:
        """What a GET is answered."""
        script = self.script
        if key != script.key:
            raise _AnswerError(401, "invalid_api_key", f"Invalid API key {key}")
        if script.restricted_key:
            raise _AnswerError(401, "missing_permissions", "The API key is missing a permission")
        if path == "/v1/models":
            spoken = [{"language_id": language, "name": language} for language in script.languages]
            return [{"model_id": model, "languages": spoken} for model in script.models]
        if path == "/v1/user/subscription":
            left = script.characters_left
            return {"tier": "starter", "character_count": 30_000 - left, "character_limit": 30_000}
        voice = unquote(path.removeprefix("/v1/voices/"))
        if voice not in script.voices:
            raise _AnswerError(400, "voice_not_found", f"A voice with voice_id {voice} was not found")
        return {"voice_id": voice, "name": "Stand-in", "verified_languages": [{"language": "ru"}]}

    async def _send(self, http: h11.Connection, stream: WireStream, value: Any) -> None:
        body = json.dumps(value).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        parts = (h11.Response(status_code=200, headers=headers), h11.Data(data=body), h11.EndOfMessage())
        await stream.send(b"".join(http.send(part) or b"" for part in parts))

    async def _spoil(self, stream: WireStream, trouble: Trouble) -> None:
        """A fault instead of an answer."""
        if trouble.kind == "refuse":
            headers = {"retry-after": trouble.retry_after, "location": trouble.location}
            raise _AnswerError(trouble.status, trouble.word, trouble.message, headers)
        if trouble.kind == "slow":
            await stream.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 10_000)
        elif trouble.kind == "not_json":
            page = b"<html>a proxy's page</html>"
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n"
            await stream.send(head.encode() + b"Connection: close\r\n\r\n" + page)
            raise ClientLeftError
        elif trouble.kind != "hang":
            await stream.break_off(trouble.kind)
        await stream.gone()
        raise ClientLeftError

    async def _refuse(self, stream: WireStream, error: _AnswerError) -> None:
        phrase = HTTPStatus(error.status).phrase
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(error.body))), *error.headers]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"HTTP/1.1 {error.status} {phrase}\r\n{lines}Connection: close\r\n\r\n"
        await stream.send(head.encode() + error.body)


@asynccontextmanager
async def serve_elevenlabs(
    script: VendorScript | None = None, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[ElevenLabsDouble]:
    """Run a stand-in on a free port while the context lasts."""
    async with await anyio.create_tcp_listener(local_host=host, local_port=0) as plain:
        port = plain.extra(SocketAttribute.local_port)
        double = ElevenLabsDouble(script or VendorScript(), f"{'https' if tls else 'http'}://{host}:{port}")
        listener = TLSListener(plain, tls, standard_compatible=False) if tls is not None else plain
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, double.converse)
            yield double
            group.cancel_scope.cancel()
