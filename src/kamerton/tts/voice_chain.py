"""One voice made of several: when the best one fails, the next one goes on where it stopped."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import anyio

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import ConfigurationError, EngineError, ModelError
from kamerton.domain.synthesis import KeepsWarm, SpeechChunk, TextToSpeech

_log = logging.getLogger(__name__)


class VoiceChain:
    """Voices in order of preference. One that failed is passed over for a while, unless no other is left.

    Args:
        voices: best first; at least one. The chain closes them.
        rest_s: how long a voice that failed is passed over.
    """

    def __init__(self, voices: Sequence[TextToSpeech], *, rest_s: float) -> None:
        if not voices:
            raise ConfigurationError("an assistant needs at least one voice; configure one")
        self._voices = tuple(voices)
        self._rest_s = rest_s
        self._resting_until: dict[str, float] = {}
        self._failures: Counter[str] = Counter()

    @property
    def warm(self) -> Sequence[KeepsWarm]:
        """Voices that keep connections open ahead."""
        return [voice for voice in self._voices if isinstance(voice, KeepsWarm)]

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each voice failed."""
        return self._failures

    @property
    def preferred(self) -> TextToSpeech:
        """The voice that speaks next."""
        if not self._resting_until:
            return self._voices[0]
        return self._order()[0]

    async def speak(
        self, text: str, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[tuple[str, SpeechChunk], None]:
        """Yield chunks, each with the name of the voice that speaks it.

        Raises:
            EngineError: every voice failed.
        """
        rest, reasons = text, []
        for voice in self._order():
            try:
                async with aclosing(voice.speak(rest, language=language, audio_format=audio_format)) as chunks:
                    async for chunk in chunks:
                        rest = _after(rest, chunk.text)
                        yield voice.name, chunk
            except (EngineError, ModelError) as error:
                reasons.append(f"{voice.name}: {error}")
                self._note_failure(voice, error)
            else:
                self._resting_until.pop(voice.name, None)
                return
            if not rest:
                return
        raise EngineError("no voice could speak; " + "; ".join(reasons))

    async def aclose(self) -> None:
        """Close every voice, also when some fail to."""
        with anyio.CancelScope(shield=True):
            for voice in self._voices:
                try:
                    await voice.aclose()
                except (EngineError, OSError) as error:
                    _log.warning("a voice did not close", extra={"voice": voice.name, "reason": str(error)})

    def _order(self) -> list[TextToSpeech]:
        now = anyio.current_time()
        return sorted(self._voices, key=lambda voice: self._resting_until.get(voice.name, 0.0) > now)

    def _note_failure(self, voice: TextToSpeech, error: Exception) -> None:
        self._failures[voice.name] += 1
        self._resting_until[voice.name] = anyio.current_time() + self._rest_s
        _log.warning(
            "a voice failed; the next one speaks",
            extra={"voice": voice.name, "reason": str(error), "rest_s": self._rest_s},
        )


def _after(text: str, said: str) -> str:
    """What is left of a text once a clause of it has been said."""
    at = text.find(said) if said else -1
    return text[at + len(said) :].lstrip() if at >= 0 else text
