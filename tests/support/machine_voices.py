"""The voices of this machine, as a chain opens them."""

from __future__ import annotations

from pathlib import Path

from kamerton.domain.synthesis import TextToSpeech
from kamerton.tts.voices.espeak.engine import ENGINE as ESPEAK
from kamerton.tts.voices.festival.engine import ENGINE as FESTIVAL
from kamerton.vendors.engine import EngineContext


async def machine_voices(language: str) -> list[TextToSpeech]:
    """Festival in one process where it speaks the language, and eSpeak NG."""
    context = EngineContext(language, Path())
    voices = [await ESPEAK.open(ESPEAK.options(), context)]
    if language == "ru":
        voices.insert(0, await FESTIVAL.open(FESTIVAL.options(processes=1), context))
    return voices
