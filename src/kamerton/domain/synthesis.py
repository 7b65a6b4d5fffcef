"""Text to speech: what the voice of an assistant is asked for and what it yields."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from typing import Protocol

from kamerton.domain.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of synthesised audio. `text` is what this piece says; empty when it continues the piece before."""

    pcm: bytes
    format: AudioFormat
    text: str = ""


@dataclass(frozen=True, slots=True)
class TtsCapabilities:
    """What a voice can do, checked once at wiring."""

    languages: tuple[str, ...]
    streams_text: bool
    """True when audio starts before the last piece of text is known."""


class TextToSpeech(Protocol):
    """A voice shared by all calls."""

    @property
    def name(self) -> str:
        """Stable identity of engine and voice; a part of every cache key."""
        ...

    @property
    def capabilities(self) -> TtsCapabilities:
        """What it can do."""
        ...

    def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield audio clause by clause, in order, at the asked format's rate.

        The text is already spelled out (numbers as words). Closing the generator stops the work.

        Raises:
            EngineError: the engine failed; nothing more will come.
        """
        ...

    async def aclose(self) -> None:
        """Free processes, models and connections."""
