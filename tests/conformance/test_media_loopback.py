"""The in-memory transport, on the virtual clock, against the suite of all transports."""

from collections.abc import Awaitable, Callable

import pytest

from kamerton.domain.audio import WIDEBAND, AudioFormat
from kamerton.domain.media import CallHandler
from kamerton.testing.loopback_media import FarBuffer, LoopbackMedia, LoopbackTransport
from kamerton.testing.media_conformance import MediaConformance
from kamerton.testing.media_stage import Caller, CallFactory, ServedCalls
from kamerton.testing.virtual_loop import VirtualLoop


class LoopbackCaller:
    def __init__(self, media: LoopbackMedia) -> None:
        self._media = media
        self._read_bytes = 0

    @property
    def format(self) -> AudioFormat:
        return self._media.info.format

    async def speak(self, pcm: bytes) -> None:
        self._media.speak(pcm)

    async def hear(self, size: int) -> bytes:
        heard = b"".join(frame.pcm for frame in self._media.heard)
        assert len(heard) >= self._read_bytes + size, "the far end plays what was sent at once"
        self._read_bytes += size
        return heard[self._read_bytes - size : self._read_bytes]

    async def press(self, digit: str) -> None:
        self._media.press(digit)

    async def interrupt(self) -> None:
        self._media.interrupt()

    async def hang_up(self) -> None:
        self._media.leave()

    async def goodbye(self) -> bool:
        await self._media.ended.wait()
        return self._media.goodbye

    def clearings(self) -> int:
        return len(self._media.cleared_at_s)

    async def aclose(self) -> None:
        self._media.leave()


class LoopbackUnderTest:
    has_interrupt = True

    def __init__(self, far_buffer: FarBuffer) -> None:
        self._far_buffer = far_buffer

    async def run(self, handler: CallHandler, scene: Callable[[CallFactory], Awaitable[None]]) -> None:
        transport = LoopbackTransport(WIDEBAND, self._far_buffer)

        async def dial(place: object) -> Caller:
            return LoopbackCaller(transport.call())

        await ServedCalls.run(transport.serve, handler, dial, scene)


class TestLoopbackMedia(MediaConformance):
    @pytest.fixture
    def anyio_backend(self) -> object:
        return ("asyncio", {"loop_factory": VirtualLoop})

    @pytest.fixture(
        params=[FarBuffer(), FarBuffer(delay_ms=100), FarBuffer(delay_ms=40, can_clear=False)],
        ids=["no buffer", "clearable buffer", "telephone"],
    )
    def transport_under_test(self, request: pytest.FixtureRequest) -> LoopbackUnderTest:
        return LoopbackUnderTest(request.param)
