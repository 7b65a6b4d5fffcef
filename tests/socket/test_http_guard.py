"""The web server's sockets against those that only want to hold them. Real loopback sockets."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import psutil
import pytest
from anyio.abc import SocketStream
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from kamerton.testing.media_stage import Operator
from kamerton.transports.browser.server import BrowserTransport
from kamerton.transports.browser.settings import BrowserSettings
from kamerton.webapi.app import StandCatalogue, build_app
from kamerton.webapi.server import WebServer
from kamerton.webapi.settings import WebSettings

pytestmark = [pytest.mark.anyio, pytest.mark.socket]

HOST = "127.0.0.1"
HALF = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
START = '{"type": "start_demo_call", "payload": {}}'


async def served(
    scene: Callable[[WebServer], Awaitable[None]],
    settings: WebSettings,
    *,
    page: Path | None = None,
    browser: BrowserSettings | None = None,
    operator: Operator | None = None,
) -> WebServer:
    """Serve while the scene plays."""
    calls = BrowserTransport(browser)
    app = build_app(calls, settings, StandCatalogue(page_folder=page), registry=CollectorRegistry(), not_ready=tuple)
    server = WebServer(app, calls, settings)
    async with anyio.create_task_group() as serving:
        await serving.start(server.serve, operator or Operator())
        with anyio.fail_after(20):
            await scene(server)
        serving.cancel_scope.cancel()
    return server


async def rest(stream: SocketStream) -> bytes:
    """All bytes until the server closes, cleanly or not."""
    received = b""
    while True:
        try:
            received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return received


async def healthy(server: WebServer) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://{HOST}:{server.port}/healthz")).status_code == 200


async def test_half_sent_requests_neither_keep_their_sockets_nor_keep_out_others() -> None:
    async def scene(server: WebServer) -> None:
        async with AsyncExitStack() as stack:
            slow = [await stack.enter_async_context(await anyio.connect_tcp(HOST, server.port)) for _ in range(60)]
            for stream in slow[30:]:
                await stream.send(HALF)
            await healthy(server)
            for stream in slow:
                assert await rest(stream) == b""
        await healthy(server)

    server = await served(scene, WebSettings(port=0, max_connections=20, accept_at_once=8, request_timeout_s=0.4))
    assert server.http_counters["crowded_out"] >= 40
    assert server.http_counters["too_slow"] >= 19


async def test_a_request_that_drips_is_cut_off_at_its_deadline() -> None:
    async def scene(server: WebServer) -> None:
        async with await anyio.connect_tcp(HOST, server.port) as stream:
            await stream.send(HALF)

            async def drip() -> None:
                with anyio.move_on_after(10):
                    while True:
                        await stream.send(b"x")
                        await anyio.sleep(0.02)

            async with anyio.create_task_group() as group:
                group.start_soon(drip)
                assert await rest(stream) == b""
                group.cancel_scope.cancel()

    server = await served(scene, WebSettings(port=0, request_timeout_s=0.4))
    assert server.http_counters["too_slow"] == 1


async def test_a_body_that_drips_after_its_answer_is_cut_off_too() -> None:
    async def scene(server: WebServer) -> None:
        async with await anyio.connect_tcp(HOST, server.port) as stream:
            await stream.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n")
            received = b""
            with anyio.move_on_after(10):
                while True:
                    try:
                        await stream.send(b"x")
                        with anyio.move_on_after(0.02):
                            received += await stream.receive()
                    except (anyio.EndOfStream, anyio.BrokenResourceError):
                        break
            assert b'"ok"' in received

    server = await served(scene, WebSettings(port=0, request_timeout_s=0.4))
    assert server.http_counters["too_slow"] == 1


async def test_an_answer_that_nobody_reads_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("x")
    (tmp_path / "large.bin").write_bytes(bytes(20_000_000))

    async def scene(server: WebServer) -> None:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((HOST, server.port))
            slow.sendall(b"GET /large.bin HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await until(lambda: server.http_counters["too_slow"] == 1)

    await served(scene, WebSettings(port=0, response_timeout_s=0.4), page=tmp_path)


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not holds():
            await anyio.lowlevel.checkpoint()


async def test_a_connection_that_is_used_again_and_again_stays() -> None:
    async def scene(server: WebServer) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(8):
                answer = await client.get(f"http://{HOST}:{server.port}/healthz")
                assert answer.status_code == 200
                with anyio.move_on_after(0.1):
                    await anyio.sleep_forever()

    server = await served(scene, WebSettings(port=0, request_timeout_s=0.4))
    assert dict(server.http_counters) == {"accepted": 1}


async def test_calls_are_not_counted_among_the_connections_and_outlive_their_deadlines() -> None:
    async def scene(server: WebServer) -> None:
        async with AsyncExitStack() as stack:
            pages = []
            for _ in range(6):
                page = await stack.enter_async_context(connect(f"ws://{HOST}:{server.port}/api/v1/call", proxy=None))
                await page.send(START)
                assert "demo_call_started" in str(await page.recv())
                pages.append(page)
            with anyio.move_on_after(1.0):
                await pages[0].recv()
            await healthy(server)
            for page in pages:
                await (await page.ping())

    settings = WebSettings(port=0, max_connections=2, accept_at_once=2, request_timeout_s=0.3, response_timeout_s=0.3)
    server = await served(scene, settings)
    assert dict(server.http_counters) == {"accepted": 7}


@pytest.mark.parametrize("opcode", [Opcode.CONT, Opcode.PING])
async def test_endless_fragments_and_unread_pings_are_bounded(opcode: Opcode) -> None:
    async def scene(server: WebServer) -> None:
        page = await connect(f"ws://{HOST}:{server.port}/api/v1/call", proxy=None, max_queue=1)
        await page.send(START)
        await page.recv()
        page.transport.pause_reading()
        wire = page.transport
        if opcode is Opcode.CONT:
            wire.write(Frame(Opcode.TEXT, b"x", fin=False).serialize(mask=True))
        message = Frame(opcode, b"" if opcode is Opcode.CONT else bytes(125), fin=opcode is Opcode.PING)
        with anyio.move_on_after(10):
            while not wire.is_closing():
                wire.write(message.serialize(mask=True) * 200)
                await anyio.sleep(0.001)
        assert wire.is_closing()
        await page.wait_closed()

    await served(scene, WebSettings(port=0))


async def test_a_flood_of_small_messages_cuts_its_page_off() -> None:
    async def scene(server: WebServer) -> None:
        async with connect(f"ws://{HOST}:{server.port}/api/v1/call", proxy=None) as page:
            await page.send(START)
            await page.recv()
            page.transport.write(Frame(Opcode.BINARY, b"\0\0").serialize(mask=True) * 20_000)
            await page.wait_closed()
            assert page.close_code == 1006
        await healthy(server)

    await served(scene, WebSettings(port=0))


async def test_five_seconds_kept_back_by_a_stall_are_no_flood() -> None:
    async def scene(server: WebServer) -> None:
        async with connect(f"ws://{HOST}:{server.port}/api/v1/call", proxy=None) as page:
            await page.send(START)
            await page.recv()
            page.transport.write(Frame(Opcode.BINARY, bytes(640)).serialize(mask=True) * 300)
            await (await page.ping())

    await served(scene, WebSettings(port=0))


async def test_a_page_that_neither_reads_nor_closes_does_not_keep_its_socket() -> None:
    async def scene(server: WebServer) -> None:
        def sockets() -> int:
            places = [(wire.laddr, wire.raddr) for wire in psutil.Process().net_connections("tcp")]
            return sum(bool(far) and near[1] == server.port for near, far in places)

        page = await connect(f"ws://{HOST}:{server.port}/api/v1/call", proxy=None, max_queue=1)
        await page.send(START)
        media = await operator.answer()
        page.transport.pause_reading()
        while not operator.sink.hang_ups:
            media.send(bytes(640))
            await anyio.lowlevel.checkpoint()
        assert operator.sink.hang_ups == [("hang_up", "not_reading")]
        operator.released.set()
        await until(lambda: sockets() == 0)
        page.transport.abort()
        await page.wait_closed()

    operator = Operator()
    await served(scene, WebSettings(port=0), browser=BrowserSettings(not_reading_s=0.2), operator=operator)
