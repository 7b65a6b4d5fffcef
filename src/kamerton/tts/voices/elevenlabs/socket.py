"""One multi-context WebSocket: a task that carries it, contexts that its users hold. What is sent never waits.

`websockets` is imported with this module: it is loaded when a voice is opened, not when the settings are read.
"""

from __future__ import annotations

import logging
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from kamerton.domain.errors import VendorError
from kamerton.tts.voices.elevenlabs import faults, protocol
from kamerton.tts.voices.elevenlabs.contexts import ContextBook
from kamerton.tts.voices.elevenlabs.protocol import AudioPiece, ContextEnded, Nonsense, Received, Refused

_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.WARNING)
"""The library logs the headers, and the key with them, below this level."""

_CLOSE_S: Final = 1.0
_TICK_S: Final = 1.0
_LONGEST_OUTBOX: Final = 1000
"""Messages that wait to be sent; beyond that the network has stopped."""


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """Of every WebSocket of a voice. Seconds."""

    key: str = field(repr=False)
    where: str = "ElevenLabs"
    send_s: float = 3.0
    """Longest wait for the network to take a message."""
    ping_s: float = 15.0
    """A ping this often, and this long a wait for its answer: a connection that died in silence is noticed."""
    keep_alive_s: float = 10.0
    """A context whose text has not come for so long is kept alive."""
    drain_s: float = 10.0
    """A closed context that the vendor does not end for so long has cost its slot: the connection is replaced."""
    longest_audio_s: float = 600.0
    """Of one context, untaken; beyond that it fails."""


@dataclass(slots=True)
class SocketCounts:
    """Totals over all WebSockets of a voice."""

    late: int = 0
    """Messages for contexts that nobody listened to any more; dropped."""
    unknown: int = 0
    """Messages for contexts that were not ours, or had ended."""


class Context:
    """One context: the share of a WebSocket that a speech holds. Plain calls but for `next`."""

    def __init__(self, socket: Socket, name: str) -> None:
        self._socket = socket
        self.name = name
        self._pieces: deque[AudioPiece] = deque()
        self._bytes = 0
        self._error: VendorError | None = None
        self._ended = False
        self._changed = anyio.Event()

    @property
    def failed(self) -> bool:
        """Whether it will not be completed."""
        return self._error is not None

    def begin(self, voice_settings: Mapping[str, float]) -> None:
        """Open it at the vendor's."""
        self._socket.tell(self.name, protocol.begin(self.name, voice_settings))

    def say(self, text: str, *, flush: bool) -> None:
        """Send a piece of text; with `flush` it is spoken at once."""
        self._socket.tell(self.name, protocol.say(self.name, text, flush=flush))

    def finish(self) -> None:
        """No more text follows: have it spoken to the end."""
        self._socket.close(self.name)

    def drop(self) -> None:
        """Nobody listens any more: close it, and forget whatever still comes for it."""
        self._socket.leave(self.name)

    async def next(self, limit_s: float) -> AudioPiece | None:
        """The next piece of audio, or None at the end.

        Raises:
            VendorError: the vendor refused, the connection was lost, or nothing came within the limit.
        """
        try:
            with anyio.fail_after(limit_s):
                while not self._pieces and not self._ended and self._error is None:
                    await self._changed.wait()
        except TimeoutError:
            what = f"no audio for {limit_s:g} s; check the network and its status page"
            raise faults.of_fault(self._socket.where, "timeout", what) from None
        if self._pieces:
            piece = self._pieces.popleft()
            self._bytes -= len(piece.pcm)
            return piece
        if self._error is not None:
            raise self._error
        return None

    def take(self, piece: AudioPiece, longest_bytes: int) -> None:
        """Audio for it has come."""
        if self._bytes + len(piece.pcm) > longest_bytes:
            self.fail(faults.broken(self._socket.where, "more audio than any text has"))
            return
        self._pieces.append(piece)
        self._bytes += len(piece.pcm)
        self._notify()

    def end(self) -> None:
        """The vendor has ended it."""
        self._ended = True
        self._notify()

    def fail(self, error: VendorError) -> None:
        """It will not be completed; what has come is still given out."""
        self._error = self._error or error
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Socket:
    """A `Connection` of a `WarmPool`.

    Args:
        link: an open WebSocket, which is closed when `run` ends.
        settings: of it.
        counts: where late messages are counted.
        changed: called whenever a slot is taken or free, and when it is lost.
        longest_bytes: audio of one context that may wait.
    """

    def __init__(
        self,
        link: ClientConnection,
        settings: SocketSettings,
        counts: SocketCounts,
        changed: Callable[[], None],
        longest_bytes: int,
    ) -> None:
        self._link = link
        self._settings = settings
        self._counts = counts
        self._report = changed
        self._longest_bytes = longest_bytes
        self._book = ContextBook()
        self._contexts: dict[str, Context] = {}
        self._outbox: deque[str] = deque()
        self._posted = anyio.Event()
        self._lost: VendorError | None = None
        self._worn = False

    @property
    def where(self) -> str:
        """The service, for messages."""
        return self._settings.where

    @property
    def usable(self) -> bool:
        """Whether it takes further contexts, now or later."""
        return self._lost is None and not self._worn

    @property
    def free(self) -> int:
        """Contexts that may be opened now."""
        return self._book.free if self.usable else 0

    @property
    def busy(self) -> bool:
        """Whether a context is open; of a worn one only those count that somebody listens to."""
        return bool(self._contexts) if self._worn else self._book.busy

    def reserve(self) -> Context:
        """Take a slot."""
        context = Context(self, self._book.reserve(anyio.current_time()))
        self._contexts[context.name] = context
        self._report()
        return context

    def tell(self, name: str, message: str) -> None:
        """Send a message of an open context, or open it; nothing for one that is closed, which it would open anew."""
        if self._lost is None and self._book.told(name, anyio.current_time()):
            self._post(message)

    def close(self, name: str) -> None:
        """Have a context spoken to its end."""
        if self._lost is None and self._book.close(name, anyio.current_time()):
            self._post(protocol.close(name))

    def leave(self, name: str) -> None:
        """Nobody listens to a context any more."""
        self._contexts.pop(name, None)
        self.close(name)
        self._report()

    async def run(self) -> None:
        """Carry it until it is lost; cancelling closes it. Raises nothing itself."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._write)
                group.start_soon(self._watch)
                await self._read()
                group.cancel_scope.cancel()
        finally:
            self._lose(faults.of_fault(self.where, "connection", "the connection was closed; start the voice again"))
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await self._link.close()
            self._link.transport.abort()

    async def _read(self) -> None:
        while self._lost is None:
            try:
                message = await self._link.recv()
            except ConnectionClosed as closed:
                frame = closed.rcvd
                code, reason = (frame.code, frame.reason) if frame is not None else (None, "")
                self._lose(faults.of_close(self.where, code, reason, self._settings.key))
                return
            self._take(protocol.read(message))

    async def _write(self) -> None:
        """Send what is posted, in order."""
        while True:
            while self._outbox:
                if not await self._send(self._outbox.popleft()):
                    return
            self._posted = anyio.Event()
            await self._posted.wait()

    async def _send(self, message: str) -> bool:
        limit_s = self._settings.send_s
        try:
            with anyio.fail_after(limit_s):
                await self._link.send(message)
        except ConnectionClosed:
            return False
        except TimeoutError:
            what = f"it took no text for {limit_s:g} s; check the network and its status page"
            self._lose(faults.of_fault(self.where, "timeout", what))
            self._link.transport.abort()
            return False
        return True

    async def _watch(self) -> None:
        """Keep contexts alive whose text is awaited; notice ends that do not come."""
        while True:
            await anyio.sleep(min(_TICK_S, self._settings.keep_alive_s / 2, self._settings.drain_s / 2))
            now_s = anyio.current_time()
            for name in self._book.keep_alive(now_s, self._settings.keep_alive_s):
                self._post(protocol.keep_alive(name))
            if self._book.stuck(now_s, self._settings.drain_s) and not self._worn:
                self._worn = True
                self._report()

    def _post(self, message: str) -> None:
        if len(self._outbox) >= _LONGEST_OUTBOX:
            self._lose(faults.of_fault(self.where, "timeout", "the network takes nothing more; check it"))
            self._link.transport.abort()
            return
        self._outbox.append(message)
        self._posted.set()

    def _take(self, received: Received) -> None:
        context = self._contexts.get(received.context) if received.context is not None else None
        match received:
            case AudioPiece():
                self._take_audio(received, context)
            case ContextEnded():
                self._end(received.context, context)
            case Refused() | Nonsense() if received.context is None:
                self._lose(self._error_of(received))
            case Refused() | Nonsense() if context is not None:
                context.fail(self._error_of(received))
                self.leave(context.name)
            case _:
                self._counts.late += 1

    def _take_audio(self, piece: AudioPiece, context: Context | None) -> None:
        if context is None:
            self._counts.late += 1
        else:
            context.take(piece, self._longest_bytes)
        self._book.heard(piece.context, anyio.current_time())
        if piece.last:
            self._end(piece.context, context)

    def _end(self, name: str, context: Context | None) -> None:
        if not self._book.ended(name):
            self._counts.unknown += 1
        self._contexts.pop(name, None)
        if context is not None:
            context.end()
        self._report()

    def _error_of(self, received: Refused | Nonsense) -> VendorError:
        if isinstance(received, Nonsense):
            return faults.broken(self.where, f"it sends {received.what}")
        return faults.of_message(self.where, received.remark, received.code, self._settings.key)

    def _lose(self, error: VendorError) -> None:
        """It serves nobody any more; the first reason counts."""
        if self._lost is not None:
            return
        self._lost = error
        for context in self._contexts.values():
            context.fail(error)
        self._contexts.clear()
        self._report()


@dataclass(frozen=True, slots=True)
class SocketOpener:
    """Opens WebSockets of one voice at one rate."""

    url: str
    settings: SocketSettings
    tls: ssl.SSLContext | None
    counts: SocketCounts
    longest_bytes: int

    async def open(self, changed: Callable[[], None]) -> Socket:
        """A WebSocket; the caller sets the deadline. Safe to cancel.

        Raises:
            VendorError: it could not be opened; the reason names the address, never the key.
        """
        link, failure = await self._connected()
        if link is None:
            raise failure or faults.of_fault(self.settings.where, "connection", "it opens no WebSocket")
        return Socket(link, self.settings, self.counts, changed, self.longest_bytes)

    async def _connected(self) -> tuple[ClientConnection | None, VendorError | None]:
        """The link, or why there is none. The library's own error is left behind: it holds what the vendor echoed."""
        where, key = self.settings.where, self.settings.key
        try:
            link = await connect(
                self.url,
                additional_headers={"xi-api-key": key},
                ssl=self.tls if self.url.startswith("wss:") else None,
                compression=None,
                open_timeout=None,
                ping_interval=self.settings.ping_s,
                ping_timeout=self.settings.ping_s,
                close_timeout=_CLOSE_S,
                max_size=protocol.MAX_MESSAGE_BYTES,
                logger=_wire_log,
            )
        except InvalidStatus as refused:
            response = refused.response
            retry_after = response.headers.get("retry-after")
            return None, faults.of_handshake(where, response.status_code, bytes(response.body), retry_after, key)
        except ssl.SSLError as error:
            what = f"TLS failed ({error.reason or 'unknown'}); check `url`, the clock and `ca_file`"
            return None, faults.of_fault(where, "connection", what)
        except (InvalidHandshake, InvalidURI, ValueError, EOFError) as error:
            return None, faults.broken(where, f"it opens no WebSocket ({type(error).__name__})")
        except OSError as error:
            what = f"cannot be reached ({error.strerror or type(error).__name__}); check `url` and the network"
            return None, faults.of_fault(where, "connection", what)
        return link, None
