"""Piper as a voice: neural, natural, needs the optional package `piper-tts` (1.3 or later, GPL-3.0) and a voice file.

A voice is an `.onnx` file with its `.onnx.json` beside it. `PiperVoice.synthesize(text)` yields chunks of one sentence
each, with `audio_int16_bytes` and `sample_rate` (piper-tts 1.8).
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError, ModelError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.tts.voices.clause_speech import finished_clause, speak_clauses

_log = logging.getLogger(__name__)


class PiperTextToSpeech:
    """Speaks the language of one Piper voice file. Clauses of all calls take turns: the model uses every core itself.

    Args:
        voice_file: the `.onnx` file.

    Raises:
        ModelError: the package or the file is missing, or the file is no Piper voice.
    """

    def __init__(self, voice_file: Path) -> None:
        self._language = _language_of(voice_file)
        self._name = f"piper-{voice_file.stem}"
        self._voice = _load(voice_file)
        self._limiter = anyio.CapacityLimiter(1)

    @property
    def name(self) -> str:
        """Identity for cache keys."""
        return self._name

    @property
    def capabilities(self) -> TtsCapabilities:
        """The voice's own language; text may come in pieces."""
        return TtsCapabilities((self._language,), streams_text=True)

    def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield a chunk per clause.

        Raises:
            EngineError: the voice speaks another language, or the model failed.
        """
        if language != self._language:
            raise EngineError(f"{self._name} speaks '{self._language}', not '{language}'; configure another voice file")
        return speak_clauses(text, audio_format, partial(self._render, audio_format))

    async def aclose(self) -> None:
        """Let go of the model."""
        self._voice = None

    async def _render(self, audio_format: AudioFormat, clause: str) -> bytes:
        if not any(character.isalnum() for character in clause):
            return b""
        return await anyio.to_thread.run_sync(self._synthesise, clause, audio_format, limiter=self._limiter)

    def _synthesise(self, clause: str, audio_format: AudioFormat) -> bytes:
        if self._voice is None:
            raise EngineError(f"{self._name} is closed; make a new one")
        try:
            chunks = list(self._voice.synthesize(clause))
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(f"{self._name} failed at a clause of {len(clause)} characters: {error}") from error
        if not chunks:
            return b""
        pcm = b"".join(chunk.audio_int16_bytes for chunk in chunks)
        return finished_clause(pcm, AudioFormat(int(chunks[0].sample_rate)), audio_format)


def _language_of(voice_file: Path) -> str:
    """The language in the voice's description: its family («ru»), or the start of its code («uk_UA»)."""
    description = voice_file.with_name(f"{voice_file.name}.json")
    for path in (voice_file, description):
        if not path.is_file():
            raise ModelError(f"Piper voice file {path} is missing; put the .onnx file and its .onnx.json there")
    try:
        content = json.loads(description.read_text("utf-8"))
        language = content["language"]
        return str(language.get("family") or language["code"]).split("_")[0]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{description} is no description of a Piper voice ({error!r}); download it again") from error


def _load(voice_file: Path) -> Any:
    try:
        from piper import PiperVoice
    except ImportError as error:
        raise ModelError(f"Piper is not installed, so {voice_file} cannot speak; run: pip install piper-tts") from error
    try:
        voice = PiperVoice.load(voice_file)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ModelError(f"Piper cannot load {voice_file} ({error}); download the voice again") from error
    _log.info("Piper voice loaded", extra={"voice": voice_file.stem})
    return voice
