"""What strangers may do to the web server's sockets: every request has deadlines, and connections are bounded.

uvicorn has neither for requests over HTTP/1.1: a client that sends half a request keeps its socket for ever, and with
enough of them no telephone call finds one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Self

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from kamerton.transports.allowance import Allowance
from kamerton.transports.seldom_log import SeldomLog
from kamerton.transports.waiting_room import WaitingRoom
from kamerton.webapi.settings import WebSettings

logger = logging.getLogger(__name__)

MAX_FRAGMENTS = 64
"""Of one WebSocket message. Browsers send a message in one piece."""
MAX_UNSENT_BYTES = 262_144
"""Answers to pings that may wait for a page that does not read; its audio is bounded elsewhere."""
FRAMES_PER_S = 200.0
"""From a page that talks come 50 of audio in a second, and a few more."""
MOST_FRAMES = 600.0
"""At once: what a page has kept back over a stall of 5 s, and as much again."""
SLICE_BYTES = 4096
"""Parsed at once, so that a flood of small frames is noticed before it has cost more than some milliseconds."""
CLOSE_S = 2.0
"""How long a WebSocket may take to close once nobody serves it any more."""


class HttpDoor:
    """Knows the open HTTP connections of a server, and the WebSockets that are closing; calls are counted elsewhere."""

    def __init__(self, settings: WebSettings) -> None:
        self.request_timeout_s = settings.request_timeout_s
        self.response_timeout_s = settings.response_timeout_s
        self._open: WaitingRoom[GuardedHttp] = WaitingRoom(settings.max_connections)
        self._closing: WaitingRoom[GuardedWebSocket] = WaitingRoom(settings.max_connections)
        self._closed_early = SeldomLog(logger, "a web connection is closed")
        self.counters: Counter[str] = Counter()
        """Totals since start: connections `accepted`, `crowded_out` by newer ones, `too_slow`."""

    def entered(self, connection: GuardedHttp) -> None:
        """A connection was made."""
        self.counters["accepted"] += 1
        self.spoke(connection)

    def spoke(self, connection: GuardedHttp) -> None:
        """A connection is in use; the one that was not for longest may have to go."""
        crowded_out = self._open.enter(connection.client[0] if connection.client else "", connection)
        if crowded_out is not None:
            self.close_early(crowded_out, "crowded_out")

    def left(self, connection: GuardedHttp) -> None:
        """A connection is closed, or has become a WebSocket."""
        self._open.leave(connection)

    def close_early(self, connection: GuardedHttp, why: str) -> None:
        """Cut a connection off."""
        self._open.leave(connection)
        self.counters[why] += 1
        self._closed_early.warn(peer=connection.client[0] if connection.client else "", reason=why)
        connection.transport.abort()

    def closing(self, page: GuardedWebSocket) -> None:
        """Nobody serves a WebSocket any more; it may take a moment to close."""
        crowded_out = self._closing.enter(page.client[0] if page.client else "", page)
        if crowded_out is not None:
            crowded_out.transport.abort()

    def closed(self, page: GuardedWebSocket) -> None:
        """A WebSocket is closed."""
        self._closing.leave(page)


class GuardedHttp(H11Protocol):
    """One HTTP connection. A whole request is due in time, and so is the client's taking of the answer.

    The deadline of a request begins when the connection is made, or when the answer before is complete.
    """

    door: HttpDoor

    @classmethod
    def of(cls, door: HttpDoor) -> type[Self]:
        """The class of the connections that come in by a door; uvicorn makes the instances."""
        return type(cls.__name__, (cls,), {"door": door})

    _deadline: asyncio.TimerHandle | None = None
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The socket is connected."""
        super().connection_made(transport)
        self._expect(self.door.request_timeout_s)
        self.door.entered(self)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """The answer has been sent."""
        super().on_response_complete()
        self._follow()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The connection becomes a WebSocket: a call has deadlines of its own."""
        self._expect(None)
        self.door.left(self)
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._expect(None)
        self.door.left(self)
        super().connection_lost(exc)

    def _follow(self) -> None:
        """Another request is being answered than before, or none: its deadline counts."""
        answering = self.cycle if self.cycle is not None and not self.cycle.response_complete else None
        if answering is self._answering:
            return
        self._answering = answering
        if answering is None:
            self._expect(self.door.request_timeout_s)
        else:
            self._expect(self.door.response_timeout_s)
            self.door.spoke(self)

    def _expect(self, within_s: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(within_s, self._too_slow) if within_s is not None else None

    def _too_slow(self) -> None:
        self.door.close_early(self, "too_slow")


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket, with bounds on what the framework leaves open.

    These are frames in a second, fragments of a message, unread answers to pings, and the time to close.
    """

    door: HttpDoor

    @classmethod
    def of(cls, door: HttpDoor) -> type[Self]:
        """The class of the WebSockets that come in by a door; uvicorn makes the instances."""
        return type(cls.__name__, (cls,), {"door": door})

    _deadline: asyncio.TimerHandle | None = None
    _frames_parsed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection has become a WebSocket."""
        super().connection_made(transport)
        self._allowance = Allowance(FRAMES_PER_S, MOST_FRAMES, self.loop.time())

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        for at in range(0, len(data), SLICE_BYTES):
            self._frames_parsed = 0
            super().data_received(data[at : at + SLICE_BYTES])
            if not self._allowance.covers(self._frames_parsed, self.loop.time()):
                self._cut_off("too many messages")
            if self.transport.is_closing():
                return

    def handle_text(self, event: Frame) -> None:
        """A text message begins."""
        self._frames_parsed += 1
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """A binary message begins."""
        self._frames_parsed += 1
        super().handle_bytes(event)

    def handle_pong(self, event: Frame) -> None:
        """The page is there."""
        self._frames_parsed += 1
        super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """A further fragment of a message."""
        self._frames_parsed += 1
        if len(self.frames) >= MAX_FRAGMENTS:
            self._cut_off("a message in too many fragments")
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """The page asks whether we are there."""
        self._frames_parsed += 1
        if self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._cut_off("pings whose answers are not read")
            return
        super().handle_ping()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The call is over. A page that neither reads nor closes must not keep the socket."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._deadline = self.loop.call_later(CLOSE_S, self.transport.abort)
            self.door.closing(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        if self._deadline is not None:
            self._deadline.cancel()
        self.door.closed(self)
        super().connection_lost(exc)

    def _cut_off(self, reason: str) -> None:
        logger.warning("a page is cut off", extra={"peer": self.client[0] if self.client else "", "reason": reason})
        self.transport.abort()
