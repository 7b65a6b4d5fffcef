"""A voice of Yandex SpeechKit beside its stand-in, with short deadlines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import EngineError
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.voices.yandex.engine import YandexVoiceOptions
from kamerton.tts.voices.yandex.opening import open_voice
from kamerton.tts.voices.yandex.voice import YandexVoice
from kamerton.tts.voices.yandex.wire_double import SpeechKitDouble, serve_speechkit_tts
from kamerton.tts.voices.yandex.wire_double_relay import Relay, Spoil, serve_relay
from kamerton.tts.voices.yandex.wire_double_script import SpeechKitScript
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.usage import Usage

TEXT = "Добрый день! Вас приветствует страховая компания. Сколько лошадиных сил у вашей машины?"
KEY = "AQVN-test-key"


class Bill:
    """What was used."""

    def __init__(self) -> None:
        self.usages: list[Usage] = []

    def record(self, usage: Usage) -> None:
        self.usages.append(usage)

    def of(self, unit: str) -> float:
        """All that was used of it."""
        return sum(usage.amount for usage in self.usages if usage.unit == unit)


@dataclass
class Stage:
    """The voice and what it talks to."""

    voice: YandexVoice
    vendor: SpeechKitDouble
    bill: Bill
    relay: Relay | None = None

    async def say(self, text: Any = TEXT, *, audio_format: AudioFormat = PHONE) -> str:
        """The words of the chunks of a speech."""
        chunks, error = await self.until_failure(text, audio_format=audio_format)
        if error is not None:
            raise error
        return words_of(chunks)

    async def until_failure(
        self, text: Any = TEXT, *, audio_format: AudioFormat = PHONE
    ) -> tuple[list[SpeechChunk], EngineError | None]:
        """The chunks that came, and why no more did."""
        chunks: list[SpeechChunk] = []
        with anyio.fail_after(20):
            try:
                async with aclosing(self.voice.speak(text, language="ru", audio_format=audio_format)) as speech:
                    async for chunk in speech:
                        chunks.append(chunk)  # noqa: PERF401 - what came before a failure counts
            except EngineError as error:
                return chunks, error
        return chunks, None


def words_of(chunks: Sequence[SpeechChunk]) -> str:
    """The text of chunks."""
    return " ".join(chunk.text for chunk in chunks if chunk.text)


def context_for(account: YandexAccount | None = None, bill: Bill | None = None, language: str = "ru") -> EngineContext:
    """What the engine is given."""
    account = account or YandexAccount(SecretStr(KEY))
    return EngineContext(language, Path("unused"), (account,), bill or Bill())


@asynccontextmanager
async def stage(
    script: SpeechKitScript | None = None,
    *,
    account: YandexAccount | None = None,
    spoil: Spoil | None = None,
    relayed: bool = False,
    **options: Any,
) -> AsyncIterator[Stage]:
    """A voice, closed in the end; no request may be left open at the stand-in.

    Args:
        script: how the stand-in behaves.
        account: its credentials.
        spoil: what a relay between them does to the bytes.
        relayed: have the relay all the same.
        options: of the voice.
    """
    wanted: dict[str, Any] = {"first_audio_s": 0.8, "gap_s": 0.5, "tls": False, **options}
    async with serve_speechkit_tts(script) as vendor, AsyncExitStack() as exits:
        relay = None
        if spoil is not None or relayed:
            relay = await exits.enter_async_context(serve_relay(vendor.address, spoil))
        chosen = YandexVoiceOptions(endpoint=relay.address if relay else vendor.address)
        bill = Bill()
        voice = await open_voice(replace(chosen, **wanted), context_for(account, bill))
        try:
            yield Stage(voice, vendor, bill, relay)
        finally:
            with anyio.CancelScope(shield=True):
                await voice.aclose()
                with anyio.fail_after(5):
                    await vendor.seen.until(lambda seen: seen.open == 0)
