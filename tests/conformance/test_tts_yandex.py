"""The voice of Yandex SpeechKit against its stand-in: times right, wrong and missing, cut samples, both models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from kamerton.domain.synthesis import KeepsWarm, TextToSpeech
from kamerton.testing.tts_conformance import TextToSpeechConformance, nothing_left_over
from kamerton.tts.voices.yandex.engine import ENGINE, YandexVoiceOptions
from kamerton.tts.voices.yandex.wire_double import serve_speechkit_tts
from kamerton.tts.voices.yandex.wire_double_script import SpeechKitScript
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.engine import EngineContext

pytestmark = [pytest.mark.socket, pytest.mark.usefixtures("grpc_settles")]

ACCOUNT = YandexAccount(SecretStr("AQVN-test-key"))


class YandexConformance(TextToSpeechConformance):
    script = SpeechKitScript()
    options = YandexVoiceOptions(tls=False)

    @asynccontextmanager
    async def voice(self) -> AsyncIterator[TextToSpeech]:
        # The stand-in comes first: gRPC's one thread for all of the process is its own.
        async with serve_speechkit_tts(self.script) as vendor:
            with nothing_left_over():
                options = replace(self.options, endpoint=vendor.address)
                voice = await ENGINE.open(options, EngineContext(self.language, Path("unused"), (ACCOUNT,)))
                assert isinstance(voice, KeepsWarm)
                async with anyio.create_task_group() as group:
                    group.start_soon(voice.run)
                    voice.expect(1)
                    try:
                        yield voice
                    finally:
                        await voice.aclose()
                with anyio.fail_after(5):
                    await vendor.seen.until(lambda seen: seen.open == 0)
            assert vendor.seen.breaches == []
            assert voice.figures["open"] == 0


class TestWithTimesOfWords(YandexConformance):
    pass


class TestCutInTheMiddleOfSamplesAndToldTwice(YandexConformance):
    script = SpeechKitScript(odd_bytes=True, doubled=True)


class TestWithoutTimes(YandexConformance):
    script = SpeechKitScript(times="none")


class TestTimesThatRunBackwards(YandexConformance):
    script = SpeechKitScript(times="backwards")


class TestTimesBeyondTheAudio(YandexConformance):
    script = SpeechKitScript(times="beyond")


class TestTimesBeforeTheAudio(YandexConformance):
    script = SpeechKitScript(times="early")


class TestTimesFromTheStartOfEachPiece(YandexConformance):
    script = SpeechKitScript(times="from_piece")


class TestLiveModel(YandexConformance):
    options = YandexVoiceOptions(model="livetts", tls=False)


class TestCutByTheVendor(YandexConformance):
    options = YandexVoiceOptions(unsafe_mode=True, tls=False)


class TestSlowVoice(YandexConformance):
    """Its clauses are too long for one request."""

    options = YandexVoiceOptions(speed=0.5, pitch_hz=-20, role="friendly", volume=-23.0, tls=False)


class TestLongestRequestsFromTheStart(YandexConformance):
    options = YandexVoiceOptions(quick_start=False, loudness="peak", volume=0.8, voice="filipp", tls=False)
    script = SpeechKitScript(characters_in_piece=12)


del YandexConformance, TextToSpeechConformance
