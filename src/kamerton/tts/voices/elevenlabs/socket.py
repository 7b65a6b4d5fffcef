"""One multi-context WebSocket: a task that carries it, contexts that its users hold. What is sent never waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from kamerton.domain.errors import VendorError
from kamerton.tts.voices.elevenlabs import faults, protocol
from kamerton.tts.voices.elevenlabs.context import Context
from kamerton.tts.voices.elevenlabs.context_book import ContextBook
from kamerton.tts.voices.elevenlabs.protocol import AudioPiece, ContextEnded, Nonsense, Received, Refused

CLOSE_S: Final = 1.0
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
            with anyio.move_on_after(CLOSE_S, shield=True):
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
            what = f"it took no text for {limit_s:g} s; check the network and the vendor's status page"
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
