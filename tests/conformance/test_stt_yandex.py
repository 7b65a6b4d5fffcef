"""Yandex SpeechKit against its stand-in at the wire: what every recogniser does, and what connected ones do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, ClassVar, Final

import anyio
import pytest
from yandex_speech import WORDS, recogniser

from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.yandex.wire_double import SpeechKitScript, serve_speechkit, spoken
from kamerton.testing.stt_conformance import ConnectedSttConformance, SttUnderTest, UtteranceEndingConformance

pytestmark = [pytest.mark.socket, pytest.mark.usefixtures("grpc_settles")]

FIRST: Final = "раз два три"
SECOND: Final = "четыре пять"


class TestYandexSpeechKit(ConnectedSttConformance, UtteranceEndingConformance):
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(params=[PHONE, WIDEBAND], ids=["8 kHz", "16 kHz"])
    async def stt_under_test(self, request: pytest.FixtureRequest) -> AsyncIterator[SttUnderTest]:
        audio_format = request.param
        rate_hz = audio_format.rate_hz

        async with serve_speechkit(self.scripted()) as vendor:

            async def make() -> SpeechToText:
                return await recogniser(vendor, **self.options)

            yield SttUnderTest(
                make=make,
                format=audio_format,
                turns=[(spoken(text, WORDS, rate_hz), text) for text in (FIRST, SECOND)],
                split=(
                    spoken(FIRST, WORDS, rate_hz, silence_ms=900) + spoken(SECOND, WORDS, rate_hz, silence_ms=100),
                    f"{FIRST} {SECOND}",
                ),
                interrupt=lambda _: vendor.interrupt(),
            )
            with anyio.fail_after(5):
                await vendor.until(lambda: not vendor.under_way)

    def scripted(self) -> SpeechKitScript:
        """How the stand-in behaves."""
        return SpeechKitScript(WORDS, own_ends_after_ms=600.0)


class TestWithEverythingTwice(TestYandexSpeechKit):
    def scripted(self) -> SpeechKitScript:
        return SpeechKitScript(WORDS, own_ends_after_ms=600.0, repeats=True, finals_each=2)


class TestWithNormalisedWords(TestYandexSpeechKit):
    options: ClassVar[dict[str, Any]] = {"normalization": True}

    def scripted(self) -> SpeechKitScript:
        return SpeechKitScript(WORDS, own_ends_after_ms=600.0, repeats=True, orphan_refinements=True)
