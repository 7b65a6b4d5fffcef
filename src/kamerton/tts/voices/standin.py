"""Voices that say nothing: tones and babble, for load tests and simulated calls. No threads, no CPU to speak of."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from functools import lru_cache
from typing import Final

import anyio

from kamerton.audio.babble import babble
from kamerton.audio.tone import tone
from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.tts.clause_buffer import clauses_of

_LANGUAGES: Final = ("ru", "uk", "en")
_FREQUENCY_HZ: Final = 440.0
_INDEX_STEP_HZ: Final = 50.0
_LOWEST_HZ: Final = 300.0

_shared_tone = lru_cache(maxsize=64)(tone)


def _check_language(language: str) -> None:
    if language not in _LANGUAGES:
        raise EngineError(f"the stand-in voice plays {', '.join(_LANGUAGES)}, not '{language}'; choose one of them")


class BabbleTextToSpeech:
    """Answers any text at once with speech-like sound of a fixed length: each text has its own, always the same one.

    For load tests: heard again as an echo it is taken for somebody who speaks, as a real voice is.

    Args:
        duration_ms: length of the sound, whatever the text.
    """

    def __init__(self, *, duration_ms: float = 3000.0) -> None:
        self._duration_ms = duration_ms

    @property
    def name(self) -> str:
        """Identity for cache keys."""
        return f"babble-{self._duration_ms:g}ms"

    @property
    def capabilities(self) -> TtsCapabilities:
        """Every assistant's language; a streamed text is awaited to its end."""
        return TtsCapabilities(_LANGUAGES, streams_text=False)

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the sound; nothing for a text without words.

        Raises:
            EngineError: a language that no assistant has.
        """
        _check_language(language)
        async with aclosing(clauses_of(text)) as clauses:
            whole = " ".join([clause async for clause in clauses])
        if any(character.isalnum() for character in whole):
            seed = zlib.crc32(whole.encode("utf-8"))
            yield SpeechChunk(babble(seed, self._duration_ms, audio_format), audio_format, whole)

    async def aclose(self) -> None:
        """Nothing to free."""


class PacedToneTextToSpeech:
    """Behaves in time as a vendor's voice does: a wait, then a clause that is as long as when a person says it.

    Args:
        first_audio_ms: wait before each clause.
        ms_per_character: length of a clause's tone; 65 ms is a calm Russian reader.
    """

    def __init__(self, *, first_audio_ms: float = 150.0, ms_per_character: float = 65.0) -> None:
        self._first_audio_s = first_audio_ms / 1000
        self._ms_per_character = ms_per_character

    @property
    def name(self) -> str:
        """Identity for cache keys."""
        return f"paced-tones-{self._ms_per_character:g}ms"

    @property
    def capabilities(self) -> TtsCapabilities:
        """Every assistant's language; text may come in pieces."""
        return TtsCapabilities(_LANGUAGES, streams_text=True)

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield a tone per clause, each after its wait.

        Raises:
            EngineError: a language that no assistant has.
        """
        _check_language(language)
        async with aclosing(clauses_of(text)) as clauses:
            async for clause in clauses:
                if any(character.isalnum() for character in clause):
                    await anyio.sleep(self._first_audio_s)
                    duration_ms = self._ms_per_character * len(clause)
                    yield SpeechChunk(_shared_tone(_FREQUENCY_HZ, duration_ms, audio_format), audio_format, clause)

    async def aclose(self) -> None:
        """Nothing to free."""


class IndexedToneTextToSpeech:
    """Speaks each clause as a tone whose pitch tells which clause it was: the n-th different one that it was asked for.

    Args:
        ms_per_character: length of a clause's tone.
    """

    def __init__(self, *, ms_per_character: float = 10.0) -> None:
        self._ms_per_character = ms_per_character
        self._spoken: dict[str, int] = {}

    @property
    def name(self) -> str:
        """Identity for cache keys."""
        return "indexed-tones"

    @property
    def capabilities(self) -> TtsCapabilities:
        """Every assistant's language; text may come in pieces."""
        return TtsCapabilities(_LANGUAGES, streams_text=True)

    def frequency_hz(self, clause: str) -> float:
        """The pitch of a clause: 300 Hz for the first one asked for, 50 Hz more for each next one."""
        return _LOWEST_HZ + _INDEX_STEP_HZ * self._spoken.setdefault(clause, len(self._spoken))

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield a tone per clause.

        Raises:
            EngineError: a language that no assistant has.
        """
        _check_language(language)
        async with aclosing(clauses_of(text)) as clauses:
            async for clause in clauses:
                if any(character.isalnum() for character in clause):
                    duration_ms = self._ms_per_character * len(clause)
                    yield SpeechChunk(tone(self.frequency_hz(clause), duration_ms, audio_format), audio_format, clause)

    async def aclose(self) -> None:
        """Nothing to free."""
