"""The voice of ElevenLabs against its stand-in: over the WebSocket, over HTTP, and with times told wrongly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from kamerton.domain.synthesis import KeepsWarm, TextToSpeech
from kamerton.testing.tts_conformance import TextToSpeechConformance, nothing_left_over
from kamerton.tts.voices.elevenlabs.engine import ENGINE, ElevenLabsVoiceOptions
from kamerton.tts.voices.elevenlabs.wire_double import VendorScript, serve_elevenlabs
from kamerton.vendors.accounts.elevenlabs import ElevenLabsAccount
from kamerton.vendors.engine import EngineContext

pytestmark = pytest.mark.socket


class ElevenLabsConformance(TextToSpeechConformance):
    script = VendorScript()
    run = True

    @asynccontextmanager
    async def voice(self) -> AsyncIterator[TextToSpeech]:
        with nothing_left_over():
            async with serve_elevenlabs(self.script) as vendor:
                account = ElevenLabsAccount(SecretStr(vendor.script.key))
                options = ElevenLabsVoiceOptions(url=vendor.url, voice_uk="voice-uk", concurrency=5)
                voice = await ENGINE.open(options, EngineContext(self.language, Path("unused"), (account,)))
                assert isinstance(voice, KeepsWarm)
                async with anyio.create_task_group() as group:
                    if self.run:
                        group.start_soon(voice.run)
                        await anyio.lowlevel.checkpoint()
                    try:
                        yield voice
                    finally:
                        await voice.aclose()
            assert vendor.seen.breaches == []
            assert bool(vendor.seen.contexts) <= self.run
            assert vendor.seen.sockets_open == 0


class TestWebSocket(ElevenLabsConformance):
    pass


class TestWebSocketInUkrainian(ElevenLabsConformance):
    language = "uk"
    script = VendorScript(spelling="snake", odd_bytes=True, late_audio=2)


class TestHttp(ElevenLabsConformance):
    run = False


class TestWithoutTimes(ElevenLabsConformance):
    script = VendorScript(times="none")


class TestTimesThatRunBackwards(ElevenLabsConformance):
    script = VendorScript(times="backwards")


class TestTimesBeyondTheAudio(ElevenLabsConformance):
    script = VendorScript(times="beyond")


class TestTimesFromTheStart(ElevenLabsConformance):
    script = VendorScript(times="from_start")


del ElevenLabsConformance, TextToSpeechConformance
