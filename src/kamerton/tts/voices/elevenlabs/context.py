"""One context of a WebSocket, as the speech that holds it sees it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Protocol

import anyio

from kamerton.domain.errors import VendorError
from kamerton.tts.voices.elevenlabs import faults, protocol
from kamerton.tts.voices.elevenlabs.protocol import AudioPiece


class ContextOwner(Protocol):
    """The WebSocket of a context. Plain calls."""

    @property
    def where(self) -> str:
        """The service, for messages."""
        ...

    def tell(self, name: str, message: str) -> None:
        """Send a message of a context that is open, or that it opens."""
        ...

    def close(self, name: str) -> None:
        """Have a context spoken to its end."""
        ...

    def leave(self, name: str) -> None:
        """Nobody listens to a context any more."""
        ...


class Context:
    """One context: the share of a WebSocket that a speech holds. Plain calls but for `next`."""

    def __init__(self, socket: ContextOwner, name: str) -> None:
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
            what = f"no audio for {limit_s:g} s; check the network and the vendor's status page"
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
