"""The web server inside our own task group: uvicorn without its signals, its logs and its exit codes."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.types import ASGIApp

from kamerton.domain.media import CallHandler
from kamerton.transports.addresses import listen_error
from kamerton.transports.browser.server import BrowserTransport
from kamerton.webapi.http_guard import GuardedHttp, GuardedWebSocket, HttpDoor
from kamerton.webapi.settings import WebSettings

logger = logging.getLogger(__name__)

_BACKLOG = 256
_MAX_MESSAGE_BYTES = 65536


class WebServer:
    """`Transport` for browser pages: serves the application and runs the calls that come in over it.

    One instance serves once. When it is cancelled the calls end first, each page being told, and then the server.
    """

    def __init__(self, app: ASGIApp, calls: BrowserTransport, settings: WebSettings) -> None:
        self._app = app
        self._calls = calls
        self._settings = settings
        self._door = HttpDoor(settings)
        self._port = 0

    @property
    def name(self) -> str:
        """Name for logs and metrics."""
        return self._calls.name

    @property
    def port(self) -> int:
        """The port it listens on; 0 while it does not."""
        return self._port

    @property
    def http_counters(self) -> Mapping[str, int]:
        """Of HTTP connections, totals since start: see `HttpDoor.counters`."""
        return self._door.counters

    async def serve(self, handler: CallHandler, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled.

        Reports the port through `task_status`, so that `await group.start(server.serve, handler)` returns it.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        listening = _bind(self._settings.host, self._settings.port)
        self._port = listening.getsockname()[1]
        server = _EmbeddedServer(self._config())
        stopped = anyio.Event()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_run, server, listening, stopped)
                try:
                    await group.start(self._calls.serve, handler)
                    logger.info("the web server listens", extra={"host": self._settings.host, "port": self._port})
                    task_status.started(self._port)
                    await stopped.wait()
                finally:
                    # Level-triggered cancellation ends the calls' group too; only then is the server told to stop.
                    with anyio.CancelScope(shield=True):
                        with anyio.move_on_after(self._settings.stop_timeout_s):
                            await self._calls.stopped()
                        server.should_exit = True
                        await stopped.wait()
        finally:
            self._port = 0
            listening.close()

    def _config(self) -> uvicorn.Config:
        settings = self._settings
        return uvicorn.Config(
            self._app,
            http=GuardedHttp.of(self._door),
            ws=GuardedWebSocket.of(self._door),
            ws_max_size=_MAX_MESSAGE_BYTES,
            ws_ping_interval=settings.ping_interval_s,
            ws_ping_timeout=settings.ping_interval_s,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=settings.accept_at_once,
            timeout_graceful_shutdown=settings.stop_timeout_s,
        )


class _EmbeddedServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to the process."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            # asyncio has one number for the kernel's queue and for what it takes from it in one go.
            listening.listen(_BACKLOG)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _run(server: _EmbeddedServer, listening: socket.socket, stopped: anyio.Event) -> None:
    """Run uvicorn until it is told to exit; shielded, so that its own stopping procedure always completes."""
    try:
        with anyio.CancelScope(shield=True):
            await server.serve(sockets=[listening])
    finally:
        stopped.set()


def _bind(host: str, port: int) -> socket.socket:
    """A listening socket, so that clients can connect from now on and a busy port is our error, not an exit."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise listen_error("web server", host, port, error) from error
    return listening
