"""Whisper as an engine that the settings can name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import anyio.to_thread
from pydantic import Field

from kamerton.domain.recognition import SpeechToText
from kamerton.stt.decoding_engines import decoding_engines
from kamerton.vendors.engine import EngineContext, EngineType

Threads = Annotated[int, Field(ge=1, le=64)]


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """Whisper on this machine."""

    engines: Threads | None = None
    """Turns that are decoded at the same time; by default one per core, of every eighth core one less.

    The rest of a call costs a tenth of what its recognition does.
    """
    threads: Threads = 1
    """CPU threads of one decode."""
    max_calls: Annotated[int, Field(ge=1)] | None = None
    """Calls that it is trusted with; by default what its speed, measured at the start, carries."""


async def _open(options: WhisperOptions, context: EngineContext) -> SpeechToText:
    from kamerton.stt.whisper.model_files import prepare_whisper_model
    from kamerton.stt.whisper.recognizer import WhisperSettings, WhisperSpeechToText

    folder = await anyio.to_thread.run_sync(prepare_whisper_model, context.data_dir)
    settings = WhisperSettings(decoding_engines(options.engines), options.threads, options.max_calls)
    return await WhisperSpeechToText.load(folder, settings)


ENGINE: Final = EngineType("whisper", WhisperOptions, _open, languages=("ru", "uk"))
