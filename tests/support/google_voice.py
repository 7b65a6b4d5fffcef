"""A voice of Google's beside its stand-in, with short deadlines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import anyio
from google_speech import TOKEN, FixedTokens

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import EngineError
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.voices.google.engine import GoogleVoiceOptions
from kamerton.tts.voices.google.requests import Requests
from kamerton.tts.voices.google.voice import GoogleVoice
from kamerton.tts.voices.google.wire_double import GoogleVoiceDouble, VoiceScript, serve_google_voice
from kamerton.vendors.google.credentials import GoogleCredentials
from kamerton.vendors.usage import Usage

TEXT: Final = "Добрый день! Вас приветствует страховая компания. Сколько лошадиных сил у вашей машины?"
__all__ = ["TEXT", "TOKEN", "Bill", "FixedTokens", "Stage", "stage", "words_of"]


@dataclass
class Bill:
    """What was used."""

    usages: list[Usage] = field(default_factory=list)

    def record(self, usage: Usage) -> None:
        self.usages.append(usage)


@dataclass
class Stage:
    """The voice and what it talks to."""

    voice: GoogleVoice
    vendor: GoogleVoiceDouble
    bill: Bill

    async def say(self, text: Any = TEXT, *, language: str = "ru", audio_format: AudioFormat = PHONE) -> str:
        """The words of the chunks of a speech."""
        chunks, error = await self.until_failure(text, language=language, audio_format=audio_format)
        if error is not None:
            raise error
        return words_of(chunks)

    async def until_failure(
        self, text: Any = TEXT, *, language: str = "ru", audio_format: AudioFormat = PHONE
    ) -> tuple[list[SpeechChunk], EngineError | None]:
        """The chunks that came, and why no more did."""
        chunks: list[SpeechChunk] = []
        with anyio.fail_after(20):
            try:
                async with aclosing(self.voice.speak(text, language=language, audio_format=audio_format)) as speech:
                    async for chunk in speech:
                        chunks.append(chunk)  # noqa: PERF401 - what came before a failure counts
            except EngineError as error:
                return chunks, error
        return chunks, None


def words_of(chunks: Sequence[SpeechChunk]) -> str:
    """The text of chunks."""
    return " ".join(chunk.text for chunk in chunks if chunk.text)


@asynccontextmanager
async def stage(
    script: VoiceScript | None = None,
    *,
    tokens: FixedTokens | None = None,
    tls: tuple[bytes, bytes] | None = None,
    roots: bytes | None = None,
    address: str = "",
    **options: Any,
) -> AsyncIterator[Stage]:
    """A voice that nobody runs, closed in the end; no request may be left under way at the stand-in."""
    wanted: dict[str, Any] = {"first_audio_s": 0.8, "gap_s": 0.6, "whole_s": 0.8, "open_s": 1.0, **options}
    async with serve_google_voice(script, tls=tls) as vendor:
        where = GoogleVoiceOptions(endpoint=address or vendor.address, tls=tls is not None)
        chosen, bill = replace(where, **wanted), Bill()
        requests = Requests(chosen, GoogleCredentials(tokens or FixedTokens(), ""), roots)
        voice = GoogleVoice(chosen, requests, language="ru", usage=bill)
        try:
            yield Stage(voice, vendor, bill)
        finally:
            with anyio.CancelScope(shield=True):
                await voice.aclose()
                with anyio.fail_after(5):
                    await vendor.until(lambda: vendor.under_way == 0)
