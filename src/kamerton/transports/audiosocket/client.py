"""The other end: an AudioSocket caller, for tests, load and trying a server out without Asterisk."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self
from uuid import UUID

import anyio
from anyio.abc import SocketStream

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import CallEnded
from kamerton.transports.audiosocket.codec import (
    TERMINATE,
    AudioReceived,
    AudioSocketDecoder,
    TerminateReceived,
    encode_audio,
    encode_dtmf,
    encode_uuid,
)

_READ_BYTES = 65536


class AudioSocketCaller:
    """One call to an AudioSocket server, driven step by step. Made with `dial`; an async context manager."""

    def __init__(self, stream: SocketStream, audio_format: AudioFormat) -> None:
        self._stream = stream
        self._format = audio_format
        self._decoder = AudioSocketDecoder(expect_uuid=False)
        self._heard: deque[bytes] = deque()
        self._told = False
        self._over = False
        self._hung_up = False

    @classmethod
    async def dial(cls, host: str, port: int, call_id: UUID, audio_format: AudioFormat) -> Self:
        """Connect and say which call this is.

        Raises:
            OSError: nobody answers there.
        """
        stream = await anyio.connect_tcp(host, port)
        caller = cls(stream, audio_format)
        await stream.send(encode_uuid(call_id))
        return caller

    @property
    def format(self) -> AudioFormat:
        """Format in which audio is sent."""
        return self._format

    async def speak(self, pcm: bytes) -> None:
        """Send audio of any length as one message.

        Raises:
            CallEnded: the server has closed the call.
        """
        await self._send(encode_audio(self._format.rate_hz, pcm))

    async def press(self, digit: str) -> None:
        """Press a key.

        Raises:
            CallEnded: the server has closed the call.
        """
        await self._send(encode_dtmf(digit))

    async def hear(self, size: int) -> bytes:
        """The next `size` bytes of audio, waiting for them.

        Raises:
            CallEnded: the call ended before so much arrived.
        """
        collected = bytearray()
        while len(collected) < size:
            if not self._heard:
                if self._over:
                    raise CallEnded(f"the call ended after {len(collected)} of {size} bytes of audio")
                await self._read()
                continue
            piece = self._heard.popleft()
            wanted = size - len(collected)
            collected += piece[:wanted]
            if len(piece) > wanted:
                self._heard.appendleft(piece[wanted:])
        return bytes(collected)

    async def hang_up(self) -> None:
        """End our side as a caller's hang-up does: without a word, the end of the stream."""
        if not self._over and not self._hung_up:
            self._hung_up = True
            await self._stream.send_eof()

    async def goodbye(self) -> bool:
        """Wait for the end of the call; True when the server sent a terminate message before it closed."""
        while not self._over:
            await self._read()
        return self._told

    async def aclose(self) -> None:
        """Close the socket. If the call is up, the server is told first."""
        if not self._over and not self._hung_up:
            with anyio.move_on_after(1):
                try:
                    await self._stream.send(TERMINATE)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    self._over = True
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.aclose()

    async def _send(self, message: bytes) -> None:
        try:
            await self._stream.send(message)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise CallEnded("the server has closed the call") from error

    async def _read(self) -> None:
        try:
            data = await self._stream.receive(_READ_BYTES)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._over = True
            return
        for event in self._decoder.feed(data):
            if isinstance(event, AudioReceived):
                self._heard.append(event.pcm)
            elif isinstance(event, TerminateReceived):
                self._told = True
