"""Text to speech: what the voice of an assistant is asked for and what it yields."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kamerton.domain.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of synthesised audio. `text` is what this piece says; empty when it continues the piece before."""

    pcm: bytes
    format: AudioFormat
    text: str = ""
    goes_on: bool = False
    """It has words of its own, but goes on with the clause of the piece before: the same level, no place to end or to
    resume at. Voices whose vendor tells when each word is said use it, so that what was heard is known to the word."""


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


@runtime_checkable
class KeepsWarm(Protocol):
    """A part that talks to a service over connections which are better open before they are needed.

    Whoever owns the part runs `run` in a task group from the moment it is opened until it is closed, and calls `expect`
    whenever a call begins to ring or is over. A part that is not run still works, over connections of the moment.
    """

    def expect(self, calls: int) -> None:
        """So many calls are up or ringing: have connections ready for them. Never blocks, never raises."""
        ...

    @property
    def figures(self) -> Mapping[str, int]:
        """Counts for metrics: totals since the start, and what is held now (`open`, `busy`, `waiting`)."""
        ...

    async def run(self) -> None:
        """Hold the connections until cancelled or closed, then close them. Faults of the service do not end it."""
        ...
