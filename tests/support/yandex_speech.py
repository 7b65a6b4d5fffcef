"""What tests of the Yandex recogniser share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from kamerton.domain.audio import PHONE, AudioFormat, AudioFrame
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.yandex.engine import ENGINE
from kamerton.stt.yandex.options import YandexSttOptions
from kamerton.stt.yandex.wire_double import SpeechKitDouble, spoken
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.usage import Uncounted, Usage

KEY: Final = "AQVN-stand-in-secret-key"
WORDS: Final = ("раз", "два", "три", "четыре", "пять", "шесть", "семь", "восемь")


class Meter(Uncounted):
    """Keeps what is recorded."""

    def __init__(self) -> None:
        self.taken: list[Usage] = []

    def record(self, usage: Usage) -> None:
        self.taken.append(usage)

    @property
    def seconds(self) -> float:
        """Audio that was sent."""
        return sum(usage.amount for usage in self.taken)


def context_for(
    account: YandexAccount | None = None, *, language: str = "ru", meter: Meter | None = None
) -> EngineContext:
    """As the settings make it."""
    account = account or YandexAccount(api_key=SecretStr(KEY))
    return EngineContext(language, Path("unused"), (account,), meter or Meter())


def options_for(vendor: SpeechKitDouble, **options: Any) -> YandexSttOptions:
    """Those of a stand-in without TLS."""
    return YandexSttOptions(endpoint=vendor.address, **{"tls": False} | options)


async def recogniser(
    vendor: SpeechKitDouble, *, account: YandexAccount | None = None, meter: Meter | None = None, **options: Any
) -> SpeechToText:
    """The adapter as its user gets it."""
    stt = await ENGINE.open(options_for(vendor, **options), context_for(account, meter=meter))
    assert isinstance(stt.name, str)
    return stt


@asynccontextmanager
async def opened(vendor: SpeechKitDouble, **options: Any) -> AsyncIterator[Any]:
    """One call's stream, at 8 kHz."""
    stt = await recogniser(vendor, **options)
    try:
        async with stt.open(PHONE) as stream:
            yield stream
    finally:
        await stt.aclose()


def frames(text: str, audio_format: AudioFormat = PHONE, *, silence_ms: int = 0) -> list[AudioFrame]:
    """Words as whole frames."""
    pcm, size = spoken(text, WORDS, audio_format.rate_hz, silence_ms=silence_ms), audio_format.frame_bytes
    pcm += bytes(-len(pcm) % size)
    return [AudioFrame(pcm[at : at + size], audio_format, at // 2) for at in range(0, len(pcm), size)]
