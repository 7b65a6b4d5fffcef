"""Piper as an engine that the settings can name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio.to_thread

from kamerton.domain.errors import ModelError
from kamerton.domain.synthesis import TextToSpeech
from kamerton.models.storage import voice_file
from kamerton.vendors.engine import EngineContext, EngineType


@dataclass(frozen=True, slots=True)
class PiperOptions:
    """A Piper voice on this machine."""

    voice_file: Path | None = None
    """A voice that `kamerton models get` fetched, by its name, or the path of an `.onnx` with its `.onnx.json`.

    Without it Piper is passed over.
    """


async def _open(options: PiperOptions, context: EngineContext) -> TextToSpeech:
    from kamerton.tts.voices.piper.voice import PiperTextToSpeech

    if options.voice_file is None:
        raise ModelError("no voice file is configured (voice.piper.voice_file)")
    file = await anyio.to_thread.run_sync(voice_file, context.data_dir, options.voice_file)
    voice = await anyio.to_thread.run_sync(PiperTextToSpeech, file)
    if context.language not in voice.capabilities.languages:
        await voice.aclose()
        raise ModelError(f"{voice.name} speaks {', '.join(voice.capabilities.languages)}, not '{context.language}'")
    return voice


ENGINE: Final = EngineType("piper", PiperOptions, _open)
