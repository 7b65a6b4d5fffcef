"""An AudioSocket server for a test's scene, and what scenes do with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import anyio
import anyio.lowlevel
from anyio.abc import SocketStream

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.media import CallHandler
from kamerton.transports.audiosocket.client import AudioSocketCaller
from kamerton.transports.audiosocket.server import AudioSocketTransport
from kamerton.transports.audiosocket.settings import AudioSocketSettings

HOST = "127.0.0.1"
QUICK = AudioSocketSettings(port=0, rate_hz=8000, close_timeout_s=0.3)


async def served(
    transport: AudioSocketTransport, handler: CallHandler, scene: Callable[[int], Awaitable[None]]
) -> AudioSocketTransport:
    """Serve while the scene plays; `scene` gets the port."""
    async with anyio.create_task_group() as serving:
        port = await serving.start(transport.serve, handler)
        with anyio.fail_after(20):
            await scene(port)
        serving.cancel_scope.cancel()
    assert transport.port == 0
    return transport


async def everything(stream: SocketStream) -> bytes:
    """All bytes until the server closes."""
    received = b""
    while True:
        try:
            received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return received


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not holds():
            await anyio.lowlevel.checkpoint()


async def dial(port: int, audio_format: AudioFormat = PHONE, call_id: UUID | None = None) -> AudioSocketCaller:
    return await AudioSocketCaller.dial(HOST, port, call_id or uuid4(), audio_format)
