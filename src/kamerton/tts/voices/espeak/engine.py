"""eSpeak NG as an engine that the settings can name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import anyio.to_thread

from kamerton.domain.synthesis import TextToSpeech
from kamerton.vendors.engine import EngineContext, EngineType


@dataclass(frozen=True, slots=True)
class EspeakOptions:
    """eSpeak NG, which comes in a package and speaks everywhere; there is nothing to set."""


async def _open(options: EspeakOptions, context: EngineContext) -> TextToSpeech:
    from kamerton.tts.voices.espeak.voice import EspeakTextToSpeech

    return await anyio.to_thread.run_sync(EspeakTextToSpeech)


ENGINE: Final = EngineType("espeak", EspeakOptions, _open, languages=("ru", "uk"))
