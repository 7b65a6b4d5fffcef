"""The vendor's HTTP interface: speech as JSON lines with times, and the questions of a check.

`httpx2` is imported with this module: it is loaded when a voice is opened, not when the settings are read.
"""

from __future__ import annotations

import contextlib
import json
import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote

import anyio
import httpx2

from kamerton.domain.errors import VendorError
from kamerton.tts.voices.elevenlabs import faults
from kamerton.tts.voices.elevenlabs.protocol import (
    MAX_MESSAGE_BYTES,
    AudioPiece,
    decoded_audio,
    http_alignment,
)

_log = logging.getLogger(__name__)

_CLOSE_S: Final = 1.0
_LONGEST_ERROR_BYTES: Final = 65_536

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where and how. Seconds."""

    url: str
    key: str = field(repr=False)
    where: str = "ElevenLabs"
    connect_s: float = 3.0
    first_audio_s: float = 3.0
    gap_s: float = 3.0
    connections: int = 8


class HttpVoice:
    """The HTTP side of a voice; its connections are pooled by the client.

    Args:
        settings: where and how.
        tls: what is trusted.
    """

    def __init__(self, settings: HttpSettings, tls: ssl.SSLContext) -> None:
        self._settings = settings
        self._concurrency = ""
        self._client = httpx2.AsyncClient(
            base_url=settings.url,
            headers={"xi-api-key": settings.key},
            timeout=httpx2.Timeout(None, connect=settings.connect_s, pool=settings.connect_s),
            limits=httpx2.Limits(max_connections=settings.connections, max_keepalive_connections=settings.connections),
            verify=tls,
            follow_redirects=False,
        )

    async def speak(
        self, voice: str, query: Mapping[str, str], body: Mapping[str, Any]
    ) -> AsyncGenerator[AudioPiece, None]:
        """Yield audio with its times. Closing or cancelling drops the request at once.

        Raises:
            VendorError: the service refuses, fails, is away, slow, or breaks off.
        """
        path = f"/v1/text-to-speech/{quote(voice, safe='')}/stream/with-timestamps"
        request = self._client.build_request("POST", path, params=dict(query), json=dict(body))
        response = await self._bounded(self._client.send(request, stream=True), self._settings.first_audio_s)
        lines = _Lines()
        pieces = response.aiter_bytes()
        begun = False
        try:
            self._note_concurrency(response)
            if response.status_code != 200:
                raise await self._refusal(response)
            while True:
                limit_s = self._settings.gap_s if begun else self._settings.first_audio_s
                line = await self._bounded(self._next_line(pieces, lines), limit_s)
                if line is None:
                    break
                piece = self._piece(line)
                begun = begun or bool(piece.pcm)
                yield piece
        finally:
            await self._close(response, pieces)
        if not begun:
            raise faults.broken(self._settings.where, "it answers without audio")

    async def ask(self, path: str) -> tuple[int, Any, VendorError | None]:
        """Status and JSON of a GET, with the error of a status that is none of success.

        The caller sets the deadline.

        Raises:
            VendorError: it is away, or answers no JSON.
        """
        response = await self._told(self._client.get(path))
        try:
            found = response.json()
        except (ValueError, RecursionError):
            found = None
        if response.status_code != 200:
            return response.status_code, found, self._error_of(response, response.content)
        if found is None:
            raise faults.broken(self._settings.where, "it answers what is no JSON")
        return 200, found, None

    async def aclose(self) -> None:
        """Close all connections."""
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await self._client.aclose()

    async def _next_line(self, pieces: AsyncGenerator[bytes, None], lines: _Lines) -> bytes | None:
        """The next line that holds anything; None at the end."""
        while (line := lines.next()) is None:
            piece = await anext(pieces, None)
            if piece is None:
                return lines.rest()
            if not lines.add(piece):
                raise faults.broken(self._settings.where, "a line of its answer does not end")
        return line

    def _piece(self, line: bytes) -> AudioPiece:
        """Audio and times of a line."""
        where = self._settings.where
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise faults.broken(where, "it answers what is no JSON") from None
        if not isinstance(found, dict):
            raise faults.broken(where, "it answers what is no JSON object")
        if found.get("detail") or found.get("error"):
            raise faults.of_message(where, faults.remark_of(found), None, self._settings.key)
        encoded = found.get("audio_base64")
        pcm = decoded_audio(encoded) if encoded is not None else b""
        if pcm is None:
            raise faults.broken(where, "it sends audio that is no base64")
        times = http_alignment(found.get("alignment")) or http_alignment(found.get("normalized_alignment"))
        return AudioPiece("", pcm, times)

    async def _bounded(self, work: Awaitable[T], limit_s: float) -> T:
        try:
            with anyio.fail_after(limit_s):
                return await self._told(work)
        except TimeoutError:
            what = f"no audio for {limit_s:g} s over HTTP; check the network and the vendor's status page"
            raise faults.of_fault(self._settings.where, "timeout", what) from None

    async def _told(self, work: Awaitable[T]) -> T:
        """Do a thing, with the client's errors in our words; they hold the request, and the key, and never go on."""
        try:
            return await work
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
            failure = self._in_our_words(error)
        raise failure

    def _in_our_words(self, error: Exception) -> VendorError:
        where = self._settings.where
        if isinstance(error, httpx2.TimeoutException):
            what = f"does not accept connections within {self._settings.connect_s:g} s; check the network"
            return faults.of_fault(where, "timeout", what)
        if isinstance(error, httpx2.ConnectError):
            reason = "TLS failed" if "CERTIFICATE" in str(error) or "SSL" in str(error) else "cannot be reached"
            return faults.of_fault(where, "connection", f"{reason}; check `url`, `ca_file` and the network")
        if isinstance(error, (httpx2.RemoteProtocolError, httpx2.DecodingError)):
            if any(word in str(error) for word in ("closed", "disconnected")):
                return faults.of_fault(where, "connection", "its answer breaks off; check the network")
            return faults.broken(where, "its answer is no HTTP")
        return faults.of_fault(where, "connection", "the connection was cut off; check the network")

    async def _refusal(self, response: httpx2.Response) -> VendorError:
        body = b""
        with contextlib.suppress(VendorError):
            body = await self._bounded(_beginning(response), self._settings.gap_s)
        return self._error_of(response, body)

    def _error_of(self, response: httpx2.Response, body: bytes) -> VendorError:
        settings, retry_after = self._settings, response.headers.get("retry-after")
        return faults.of_status(settings.where, response.status_code, body, retry_after, settings.key)

    def _note_concurrency(self, response: httpx2.Response) -> None:
        """What the vendor tells of the plan's limit goes to the log, once for each value."""
        most = response.headers.get("maximum-concurrent-requests", "")
        if most.isdigit() and most != self._concurrency:
            self._concurrency = most
            _log.info("the plan's limit of requests at once", extra={"service": self._settings.where, "limit": most})

    async def _close(self, response: httpx2.Response, pieces: AsyncGenerator[bytes, None]) -> None:
        """Drop the connection, then let the client's own generators run out, so that the loop finds none to finish."""
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await response.aclose()
            with contextlib.suppress(httpx2.HTTPError, httpx2.StreamError, RuntimeError):
                await pieces.aclose()


class _Lines:
    """Lines out of pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0

    def add(self, piece: bytes) -> bool:
        """Take a piece; False when a line is too long."""
        self._buffer += piece
        return len(self._buffer) <= MAX_MESSAGE_BYTES

    def next(self) -> bytes | None:
        """The next line that holds anything, if one is whole."""
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(self._buffer[:end]).strip()
            del self._buffer[: end + 1]
            self._searched = 0
            if line:
                return line
        self._searched = len(self._buffer)
        return None

    def rest(self) -> bytes | None:
        """What no line end follows."""
        line = bytes(self._buffer).strip()
        self._buffer.clear()
        return line or None


async def _beginning(response: httpx2.Response) -> bytes:
    """The first bytes of an error's body."""
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= _LONGEST_ERROR_BYTES:
            break
    return body[:_LONGEST_ERROR_BYTES]
