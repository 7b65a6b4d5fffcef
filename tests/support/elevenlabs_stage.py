"""A voice of ElevenLabs beside its stand-in, with short deadlines."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import EngineError
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.voices.elevenlabs.engine import ElevenLabsVoiceOptions
from kamerton.tts.voices.elevenlabs.http_stream import HttpSettings, HttpVoice
from kamerton.tts.voices.elevenlabs.socket import SocketSettings
from kamerton.tts.voices.elevenlabs.voice import ElevenLabsVoice
from kamerton.tts.voices.elevenlabs.wire_double import ElevenLabsDouble, VendorScript, serve_elevenlabs
from kamerton.vendors.accounts.elevenlabs import ElevenLabsAccount
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.usage import Usage

TEXT = "Добрый день! Вас приветствует страховая компания. Сколько лошадиных сил у вашей машины?"
KEY = VendorScript().key


class Bill:
    """What was used."""

    def __init__(self) -> None:
        self.usages: list[Usage] = []

    def record(self, usage: Usage) -> None:
        self.usages.append(usage)


@dataclass
class Stage:
    """The voice and what it talks to."""

    voice: ElevenLabsVoice
    vendor: ElevenLabsDouble
    bill: Bill

    async def say(self, text: Any = TEXT, *, language: str = "ru", audio_format: AudioFormat = PHONE) -> str:
        """The words of the chunks of a speech."""
        return words_of(await self.chunks(text, language=language, audio_format=audio_format))

    async def chunks(
        self, text: Any = TEXT, *, language: str = "ru", audio_format: AudioFormat = PHONE
    ) -> list[SpeechChunk]:
        """All chunks of a speech."""
        chunks, error = await self.until_failure(text, language=language, audio_format=audio_format)
        if error is not None:
            raise error
        return chunks

    async def until_failure(
        self, text: Any = TEXT, *, language: str = "ru", audio_format: AudioFormat = PHONE
    ) -> tuple[list[SpeechChunk], EngineError | None]:
        """The chunks that came, and why no more did."""
        chunks: list[SpeechChunk] = []
        with anyio.fail_after(20):
            try:
                speech = self.voice.speak(text, language=language, audio_format=audio_format)
                async with aclosing(speech):
                    async for chunk in speech:
                        chunks.append(chunk)  # noqa: PERF401 - what came before a failure counts
            except EngineError as error:
                return chunks, error
        return chunks, None


def words_of(chunks: Sequence[SpeechChunk]) -> str:
    """The text of chunks."""
    return " ".join(chunk.text for chunk in chunks if chunk.text)


def context_for(key: str = KEY, language: str = "ru") -> EngineContext:
    """What the engine is given."""
    return EngineContext(language, Path("unused"), (ElevenLabsAccount(SecretStr(key)),))


@asynccontextmanager
async def stage(
    script: VendorScript | None = None,
    *,
    key: str = KEY,
    server_tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    wire: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Stage]:
    """A voice that is run, and closed in the end; no connection may be left open at the stand-in."""
    wanted: dict[str, Any] = {"first_audio_s": 0.4, "gap_s": 0.4, "connect_s": 0.6, **options}
    async with serve_elevenlabs(script, tls=server_tls) as vendor:
        chosen = ElevenLabsVoiceOptions(url=vendor.url, voice_uk="voice-uk", **wanted)
        where = "ElevenLabs"
        http_settings = HttpSettings(
            vendor.url, key, where, chosen.connect_s, chosen.first_audio_s, chosen.gap_s, chosen.concurrency
        )
        tls = client_tls or ssl.create_default_context()
        bill = Bill()
        voice = ElevenLabsVoice(
            chosen,
            HttpVoice(http_settings, tls),
            replace(SocketSettings(key, where), **(wire or {})),
            tls,
            language="ru",
            usage=bill,
        )
        async with anyio.create_task_group() as group:
            await group.start(voice.run)
            try:
                yield Stage(voice, vendor, bill)
            finally:
                with anyio.CancelScope(shield=True):
                    await voice.aclose()
                    with anyio.fail_after(5):
                        await vendor.seen.until(lambda seen: seen.sockets_open == 0)
