"""One AudioSocket connection: its bytes, its deadlines and its end. Plain protocol callbacks, no task.

The far end must always be drained (a full socket makes Asterisk drop the call), so reading is never paused.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

import anyio

from kamerton.domain.audio import PHONE, SAMPLE_BYTES
from kamerton.domain.errors import ProtocolError
from kamerton.transports.allowance import Allowance
from kamerton.transports.audiosocket.codec import (
    TERMINATE,
    AudioReceived,
    AudioSocketDecoder,
    AudioSocketEvent,
    CallIdentified,
    DtmfReceived,
    ErrorReceived,
    MessageSkipped,
    TerminateReceived,
    WireBroken,
)
from kamerton.transports.audiosocket.inbound import InboundAudio
from kamerton.transports.audiosocket.reading import RowReader
from kamerton.transports.audiosocket.settings import AudioSocketSettings

logger = logging.getLogger(__name__)

_SEND_BUFFER_BYTES = 16384
"""Kernel send buffer: small, so that a far end that does not read is noticed after a second, not after a minute."""
_MESSAGES_PER_S = 500.0
"""Asterisk sends a hundred at most, and what it kept back over a stall at once."""
_MOST_MESSAGES = 2000.0
_KEEPALIVE_PROBES = 3
_HUNG_UP = (ConnectionResetError, BrokenPipeError)
"""How a hang-up looks when the far end closed with our audio unread, as one does that hangs up while we speak."""


class ConnectionOwner(Protocol):
    """Who is told what becomes of a connection."""

    def connected(self, connection: AudioSocketConnection) -> None:
        """The socket is up; nobody knows which call it is."""
        ...

    def identified(self, connection: AudioSocketConnection, uuid: UUID) -> None:
        """The UUID has come; who is not welcome is finished here."""
        ...

    def begin(self, connection: AudioSocketConnection, rate_hz: int | None) -> InboundAudio | None:
        """The call can start, at the rate of its first audio; None: there was none in time.

        Returns what takes the call's audio, or None when there is no call.
        """
        ...

    def closed(self, connection: AudioSocketConnection) -> None:
        """The socket is closed."""
        ...


class AudioSocketConnection(asyncio.Protocol):
    """The wire of one call.

    `end_reason` is set when the call is over, which may be earlier than the socket's close. The transport writes;
    `reader` reads, for all connections of a server together.
    """

    def __init__(self, settings: AudioSocketSettings, reader: RowReader, owner: ConnectionOwner) -> None:
        self._settings = settings
        self._reader = reader
        self._owner = owner
        self._decoder = AudioSocketDecoder(max_control_bytes=settings.max_control_bytes)
        self._transport: asyncio.Transport | None = None
        self._fd = -1
        self._loop = asyncio.get_running_loop()
        self._inbound: InboundAudio | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._skip_logged = False
        self.connected_s = self._loop.time()
        self._allowance = Allowance(_MESSAGES_PER_S, _MOST_MESSAGES, self.connected_s)
        self.peer = ""
        self.host = ""
        self.uuid: UUID | None = None
        self.paused = False
        self.end_reason: str | None = None
        self.closed = anyio.Event()

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        address = transport.get_extra_info("peername")
        self.host = str(address[0]) if isinstance(address, tuple) else str(address)
        self.peer = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
        connected = transport.get_extra_info("socket")
        try:
            _tune(connected, self._settings.dead_peer_s)
        except OSError:
            # Gone before we looked at it.
            transport.abort()
            return
        # Not before asyncio has begun to read by itself: up to Python 3.11.3 it would begin although it was paused.
        self._loop.call_soon(self._hand_to_reader, transport, connected.fileno())
        high = int((self._settings.rate_hz or PHONE.rate_hz) * SAMPLE_BYTES * self._settings.unsent_ms / 1000)
        transport.set_write_buffer_limits(high=high, low=high // 4)
        self._after(self._settings.identify_timeout_s, "identify", self._not_identified)
        self._owner.connected(self)

    def received(self, data: bytes, now_s: float) -> None:
        """Bytes arrived; `now_s` is the loop's instant."""
        if self.end_reason is not None:
            return
        inbound = self._inbound
        if inbound is not None:
            pcm = self._decoder.one_audio(data, inbound.rate_hz)
            if pcm is not None:
                if inbound.linear_check is None:
                    inbound.intake.audio(pcm, now_s)
                else:
                    self._take_audio(inbound, inbound.rate_hz, pcm, now_s)
                return
        events = self._decoder.feed(data)
        if not self._allowance.covers(len(events), now_s):
            logger.warning("an AudioSocket connection is closed: it sends too many messages", extra=self._where())
            self.finish("protocol_error")
        for event in events:
            if isinstance(event, AudioReceived):
                self._hear(event, now_s)
            else:
                self._take(event)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived before the reader had taken over."""
        self.received(data, self._loop.time())

    def eof_received(self) -> bool:
        """The far end closed before the reader had taken over."""
        self.finish("hung_up")
        return False

    def far_end_closed(self) -> None:
        """The far end closed: a caller's hang-up, for Asterisk says it in no other way."""
        self.finish("hung_up")
        if self._transport is not None:
            self._transport.close()

    def read_failed(self, error: Exception) -> None:
        """The socket broke, or what it brought could not be handled."""
        self.finish(_reason_of(error))
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is about to be closed."""
        self._reader.remove(self._fd)
        self.finish("hung_up" if exc is None else _reason_of(exc))
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._transport = None
        self._inbound = None
        self.closed.set()
        self._owner.closed(self)

    def pause_writing(self) -> None:
        """Too much waits for the far end."""
        self.paused = True
        if self.end_reason is None:
            self._after(self._settings.not_reading_s, "not_reading", lambda: self.finish("not_reading"))

    def resume_writing(self) -> None:
        """The far end reads again."""
        self.paused = False
        self._cancel("not_reading")

    def _hand_to_reader(self, transport: asyncio.Transport, fd: int) -> None:
        if transport.is_closing():
            return
        transport.pause_reading()
        try:
            self._reader.add(fd, self)
        except OSError as error:
            logger.error("a connection cannot be read", exc_info=error, extra=self._where())
            self.read_failed(error)
            return
        self._fd = fd

    # What the call's media asks for.

    @property
    def write(self) -> Callable[[bytes], None]:
        """Sends one whole message in one write. Its user checks `end_reason` and `paused` before each.

        Raises:
            RuntimeError: the socket is not connected.
        """
        if self._transport is None:
            raise RuntimeError("an AudioSocket connection was to be written to before it was made or after it was lost")
        return self._transport.write

    @property
    def unsent_bytes(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def finish(self, reason: str) -> None:
        """End the call: tell its sink, say good-bye to the far end if it is there, and see the socket closed.

        The good-bye is the terminate message and the end of our side; then we go on reading until the far end closes,
        since a socket closed with unread data is reset and the reset may overtake the good-bye. Safe to repeat.
        """
        if self.end_reason is not None:
            return
        self.end_reason = reason
        for name in ("identify", "format"):
            self._cancel(name)
        if self._inbound is not None:
            self._inbound.hang_up(reason)
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self.paused:
            transport.abort()
            return
        transport.write(TERMINATE)
        try:
            transport.write_eof()
        except OSError:
            # The far end has reset the connection, and asyncio has not noticed yet.
            transport.abort()
            return
        self._after(self._settings.close_timeout_s, "close", transport.abort)

    def abort(self) -> None:
        """Close the socket now, whatever is on its way."""
        if self._transport is not None:
            self._transport.abort()

    # Events and deadlines.

    def _hear(self, event: AudioReceived, now_s: float) -> None:
        if self._inbound is None:
            self._begin(event.rate_hz)
        if self._inbound is not None:
            self._take_audio(self._inbound, event.rate_hz, event.pcm, now_s)

    def _take_audio(self, inbound: InboundAudio, rate_hz: int, pcm: bytes, now_s: float) -> None:
        try:
            inbound.audio(rate_hz, pcm, now_s)
        except ProtocolError as error:
            logger.warning(
                "an AudioSocket call is ended: its audio makes no sense", extra=self._where(reason=str(error))
            )
            self.finish("not_linear")

    def _take(self, event: AudioSocketEvent) -> None:
        """Everything but audio."""
        match event:
            case CallIdentified(uuid):
                self._identified(uuid)
            case DtmfReceived(digit):
                if self._inbound is None:
                    self._begin(None)
                if self._inbound is not None:
                    self._inbound.dtmf(digit)
            case TerminateReceived():
                self.finish("hung_up")
            case ErrorReceived(code):
                logger.warning("the AudioSocket peer reports an error", extra=self._where(code=code.hex()))
                self.finish("far_error")
            case WireBroken(reason):
                logger.warning(
                    "an AudioSocket connection is closed: it breaks the protocol", extra=self._where(reason=reason)
                )
                self.finish("protocol_error")
            case MessageSkipped(kind, length) if not self._skip_logged:
                self._skip_logged = True
                logger.info(
                    "an AudioSocket message without meaning here is skipped; further ones are skipped silently",
                    extra=self._where(kind=kind, length=length),
                )

    def _identified(self, uuid: UUID) -> None:
        self._cancel("identify")
        self.uuid = uuid
        self._owner.identified(self, uuid)
        if self.end_reason is not None:
            return
        if self._settings.rate_hz is not None:
            self._begin(self._settings.rate_hz)
        else:
            self._after(self._settings.format_wait_ms / 1000, "format", lambda: self._begin(None))

    def _begin(self, rate_hz: int | None) -> None:
        """As much is known of the call's format as will be: hand it over, unless it is over already."""
        if self.end_reason is not None:
            return
        self._cancel("format")
        try:
            self._inbound = self._owner.begin(self, rate_hz)
        except Exception:  # the boundary to one call: a connection without a call must not stay
            logger.exception("an AudioSocket call cannot begin", extra=self._where())
            self.finish("error")

    def _not_identified(self) -> None:
        logger.warning(
            "an AudioSocket connection is closed: it sent no UUID in time",
            extra=self._where(timeout_s=self._settings.identify_timeout_s),
        )
        self.finish("no_uuid")

    def _after(self, delay_s: float, name: str, action: Callable[[], None]) -> None:
        self._cancel(name)
        self._timers[name] = self._loop.call_later(delay_s, action)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _where(self, **values: object) -> dict[str, object]:
        return {"peer": self.peer, "call_id": str(self.uuid or ""), **values}


def _reason_of(error: Exception) -> str:
    if isinstance(error, _HUNG_UP):
        return "hung_up"
    return "connection_lost" if isinstance(error, OSError) else "error"


def _tune(connection: socket.socket, dead_peer_s: float) -> None:
    """Small messages leave at once; a dead peer is noticed by the kernel; little waits unseen in it.

    Raises:
        OSError: the connection is broken already.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    for name, value in (
        ("TCP_KEEPIDLE", max(1, int(dead_peer_s / 2))),
        ("TCP_KEEPINTVL", max(1, int(dead_peer_s / 2 / _KEEPALIVE_PROBES))),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", max(1, int(dead_peer_s * 1000))),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
