"""One voice of a chain and how it fares, for all calls."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import anyio

from kamerton.audio.onset import is_audible
from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError, ModelError, VendorError
from kamerton.domain.synthesis import SpeechChunk, TextToSpeech
from kamerton.vendors.breaker import BreakerSettings, ServiceBreaker
from kamerton.vendors.health import FirstResultTimes

_log = logging.getLogger(__name__)

VOICE_BREAKER: Final = BreakerSettings(failures=1, rest_s=30.0)
"""One failure is enough: a voice that comes and goes within an answer is worse than the next one."""


class VoiceLink:
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
        self.name = name
        self.voice = voice
        self.is_service = is_service
        self.breaker = ServiceBreaker(breaker or VOICE_BREAKER)
        self.times = FirstResultTimes()
        """To the first audio."""
        self.counts: Counter[str] = Counter()
        """`requests`, `answers`, `overtaken` by another voice, and `failures:FAULT`."""
        self._patience_s = patience_s

    @property
    def failures(self) -> int:
        """How often it failed."""
        return sum(count for what, count in self.counts.items() if what.startswith("failures:"))

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

    def failed(self, error: EngineError, waited_s: float, *, begun: bool = False) -> None:
        """It failed, or its deadline passed; with `begun` it had begun to speak."""
        fault = error.fault if isinstance(error, VendorError) else None
        if fault == "timeout" and not begun:
            self.times.record(waited_s)
        self.counts[f"failures:{fault or 'broken'}"] += 1
        asked_s = error.retry_after_s if isinstance(error, VendorError) else None
        rests = self.breaker.failed(anyio.current_time(), str(error), fault, asked_s)
        _log.warning("a voice failed", extra={"voice": self.name, "reason": str(error), "rests": rests})

    def overtaken(self, waited_s: float) -> None:
        """Another voice was faster."""
        self.times.record(waited_s)
        self.counts["overtaken"] += 1
        self.breaker.given_up()

    def given_up(self, waited_s: float) -> None:
        """Nobody waits for it any more."""
        if waited_s < self._patience_s:
            self.breaker.given_up()
        else:
            self.failed(VendorError(f"no audio for {waited_s:.1f} s, then it was given up", "timeout"), waited_s)

    def served(self) -> None:
        """It said its text, or as much of it as anybody wanted to hear."""
        self.counts["answers"] += 1
        self.breaker.succeeded()

    def left(self, silent_s: float) -> None:
        """What it began to say was listened to no further, after it had told nothing more for so long."""
        if silent_s < self._patience_s:
            self.served()
        else:
            silence = VendorError(f"it fell silent for {silent_s:.1f} s in its speech", "timeout")
            self.failed(silence, silent_s, begun=True)
