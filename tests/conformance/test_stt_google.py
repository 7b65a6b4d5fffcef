"""Google Speech against its stand-in at the wire: what every recogniser does, ends of its own and lost connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest
from google_speech import WORDS, recogniser

from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.google.wire_double import SpeechScript, serve_google_speech, spoken
from kamerton.testing.stt_conformance import ConnectedSttConformance, SttUnderTest, UtteranceEndingConformance

pytestmark = [pytest.mark.socket, pytest.mark.usefixtures("grpc_settles")]

FIRST: Final = "раз два три"
SECOND: Final = "четыре пять"


class TestGoogleSpeech(ConnectedSttConformance, UtteranceEndingConformance):
    @pytest.fixture(params=[PHONE, WIDEBAND], ids=["8 kHz", "16 kHz"])
    async def stt_under_test(self, request: pytest.FixtureRequest) -> AsyncIterator[SttUnderTest]:
        audio_format = request.param
        rate_hz = audio_format.rate_hz

        async with serve_google_speech(SpeechScript(WORDS)) as vendor:

            async def make() -> SpeechToText:
                return recogniser(vendor)

            yield SttUnderTest(
                make=make,
                format=audio_format,
                turns=[(spoken(text, WORDS, rate_hz), text) for text in (FIRST, SECOND)],
                split=(
                    spoken(FIRST, WORDS, rate_hz, silence_ms=900) + spoken(SECOND, WORDS, rate_hz, silence_ms=900),
                    f"{FIRST} {SECOND}",
                ),
                interrupt=lambda _: vendor.interrupt(),
            )
