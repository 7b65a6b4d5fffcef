"""One voice of a chain and how it fares, for all calls."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from kamerton.audio.onset import is_audible
from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError, ModelError
from kamerton.domain.synthesis import SpeechChunk, TextToSpeech
from kamerton.vendors.breaker import BreakerSettings
from kamerton.vendors.link import FirstResultLink

_log = logging.getLogger(__name__)

VOICE_BREAKER: Final = BreakerSettings(failures=1, rest_s=30.0)
"""One failure is enough: a voice that comes and goes within an answer is worse than the next one."""


class VoiceLink(FirstResultLink):
    """A voice, when it is passed over, and how soon it usually sounds.

    Args:
        name: as in the settings.
        voice: the chain closes it.
        is_service: somebody else's server: it has a deadline, and another voice may be asked beside it.
        breaker: when it is passed over.
        patience_s: a request that was given up after so long without audio counts as a failure.
    """

    def __init__(
        self,
        name: str,
        voice: TextToSpeech,
        *,
        is_service: bool = False,
        breaker: BreakerSettings | None = None,
        patience_s: float = math.inf,
    ) -> None:
        super().__init__(name, "voice", breaker or VOICE_BREAKER, patience_s)
        self.voice = voice
        self.is_service = is_service

    async def speak(
        self, text: str, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk | None, None]:
        """What the voice yields, and None at its end: a text that says nothing is no failure.

        Silence before the first sound is held until that comes, so that the first result is one that is heard.

        Raises:
            EngineError: it failed; silence that was held has not been said.
        """
        self.counts["requests"] += 1
        silence: list[SpeechChunk] = []
        heard = False
        try:
            async with aclosing(self.voice.speak(text, language=language, audio_format=audio_format)) as chunks:
                async for chunk in chunks:
                    heard = heard or is_audible(chunk.pcm, chunk.format)
                    if not heard:
                        silence.append(chunk)
                        continue
                    while silence:
                        yield silence.pop(0)
                    yield chunk
        except EngineError:
            raise
        except ModelError as error:
            raise EngineError(str(error)) from error
        except Exception as fault:  # the boundary to an engine: its bug costs its speech
            _log.exception("a voice's adapter broke", extra={"voice": self.name})
            raise EngineError(f"{self.name} broke ({type(fault).__name__}: {fault}); see the log") from fault
        for chunk in silence:
            yield chunk
        yield None
