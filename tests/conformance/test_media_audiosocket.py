"""AudioSocket, over real loopback sockets, against the suite of all transports."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat
from kamerton.domain.media import CallHandler
from kamerton.testing.media_conformance import MediaConformance
from kamerton.testing.media_stage import Caller, CallFactory, ServedCalls
from kamerton.transports.audiosocket.client import AudioSocketCaller
from kamerton.transports.audiosocket.server import AudioSocketTransport
from kamerton.transports.audiosocket.settings import AudioSocketSettings

pytestmark = pytest.mark.socket


class Telephone(AudioSocketCaller):
    async def interrupt(self) -> None:
        raise NotImplementedError("a telephone has no stop button")

    def clearings(self) -> int:
        return 0


class AudioSocketUnderTest:
    has_interrupt = False

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format

    async def run(self, handler: CallHandler, scene: Callable[[CallFactory], Awaitable[None]]) -> None:
        transport = AudioSocketTransport(AudioSocketSettings(port=0, rate_hz=self._format.rate_hz, close_timeout_s=0.3))

        async def dial(port: object) -> Caller:
            assert isinstance(port, int)
            return await Telephone.dial("127.0.0.1", port, uuid4(), self._format)

        await ServedCalls.run(transport.serve, handler, dial, scene)


class TestAudioSocketMedia(MediaConformance):
    @pytest.fixture(params=[PHONE, WIDEBAND], ids=["8 kHz", "16 kHz"])
    def transport_under_test(self, request: pytest.FixtureRequest) -> AudioSocketUnderTest:
        return AudioSocketUnderTest(request.param)
