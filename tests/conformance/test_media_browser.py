"""The browser WebSocket, through the real application and a real uvicorn, against the suite of all transports."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kamerton.domain.audio import WIDEBAND, AudioFormat
from kamerton.domain.media import CallHandler
from kamerton.testing.media_conformance import MediaConformance
from kamerton.testing.media_stage import Caller, CallFactory, ServedCalls
from kamerton.transports.browser.protocol import (
    HangUp,
    StartDemoCall,
    UserInterrupted,
    encode_client_message,
)
from kamerton.transports.browser.server import BrowserTransport
from kamerton.webapi.app import StandCatalogue, build_app
from kamerton.webapi.server import WebServer
from kamerton.webapi.settings import WebSettings

pytestmark = pytest.mark.socket


class Page:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._audio = b""
        self._told: list[dict[str, Any]] = []

    @classmethod
    async def dial(cls, port: int) -> "Page":
        page = cls(await connect(f"ws://127.0.0.1:{port}/api/v1/call", proxy=None, compression=None))
        await page._connection.send(encode_client_message(StartDemoCall("Анна")))
        while not page._of("demo_call_started"):
            await page._read()
        return page

    @property
    def format(self) -> AudioFormat:
        return WIDEBAND

    async def speak(self, pcm: bytes) -> None:
        await self._connection.send(pcm)

    async def hear(self, size: int) -> bytes:
        while len(self._audio) < size:
            await self._read()
        heard, self._audio = self._audio[:size], self._audio[size:]
        return heard

    async def press(self, digit: str) -> None:
        raise NotImplementedError("a page has no keys")

    async def interrupt(self) -> None:
        await self._connection.send(encode_client_message(UserInterrupted()))

    async def hang_up(self) -> None:
        await self._connection.send(encode_client_message(HangUp()))

    async def goodbye(self) -> bool:
        while True:
            try:
                await self._read()
            except ConnectionClosed:
                ended = self._of("call_ended")
                assert len(ended) <= 1
                return bool(ended) and self._told[-1] is ended[0]

    def clearings(self) -> int:
        return len(self._of("clear_audio"))

    async def aclose(self) -> None:
        await self._connection.close()

    async def _read(self) -> None:
        message = await self._connection.recv()
        if isinstance(message, bytes):
            self._audio += message
        else:
            self._told.append(json.loads(message))

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self._told if message["type"] == kind]


class BrowserUnderTest:
    has_interrupt = True

    async def run(self, handler: CallHandler, scene: Callable[[CallFactory], Awaitable[None]]) -> None:
        calls = BrowserTransport()
        settings = WebSettings(port=0)
        app = build_app(calls, settings, StandCatalogue(), registry=CollectorRegistry(), not_ready=lambda: ())

        async def dial(port: object) -> Caller:
            assert isinstance(port, int)
            return await Page.dial(port)

        await ServedCalls.run(WebServer(app, calls, settings).serve, handler, dial, scene)


class TestBrowserMedia(MediaConformance):
    @pytest.fixture
    def transport_under_test(self) -> BrowserUnderTest:
        return BrowserUnderTest()
