"""Whisper as an engine that the settings can name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import anyio.to_thread
from pydantic import Field

from kamerton.domain.recognition import SpeechToText
from kamerton.models.storage import hold, model_folder
from kamerton.stt.decoding_engines import decoding_engines
from kamerton.vendors.engine import EngineContext, EngineType

Threads = Annotated[int, Field(ge=1, le=64)]


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """Whisper on this machine."""

    model: Path | None = None
    """A model that `kamerton models get` fetched, by its name, or the folder of one; None: the base model that is
    installed with Kamerton."""
    engines: Threads | None = None
    """Turns that are decoded at the same time; by default one per core, of every eighth core one less.

    The rest of a call costs a tenth of what its recognition does.
    """
    threads: Threads = 1
    """CPU threads of one decode."""
    max_calls: Annotated[int, Field(ge=1)] | None = None
    """Calls that it is trusted with; by default what its speed, measured at the start, carries."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a graphics card that works, else the processor."""


async def _open(options: WhisperOptions, context: EngineContext) -> SpeechToText:
    from kamerton.stt.whisper.model_files import prepare_whisper_model
    from kamerton.stt.whisper.recognizer import WhisperSettings, WhisperSpeechToText

    engines = decoding_engines(options.engines)
    settings = WhisperSettings(engines, options.threads, options.max_calls, device=options.device)
    if options.model is None:
        packaged = await anyio.to_thread.run_sync(prepare_whisper_model, context.data_dir)
        return await WhisperSpeechToText.load(packaged, settings)
    folder = await anyio.to_thread.run_sync(model_folder, context.data_dir, options.model)
    held = await anyio.to_thread.run_sync(hold, context.data_dir, folder)
    try:
        return await WhisperSpeechToText.load(folder, settings, held.release)
    except BaseException:
        held.release()
        raise


ENGINE: Final = EngineType("whisper", WhisperOptions, _open, languages=("ru", "uk"))
