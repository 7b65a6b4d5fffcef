"""Festival as an engine that the settings can name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from kamerton.domain.errors import ModelError
from kamerton.domain.synthesis import TextToSpeech
from kamerton.vendors.engine import EngineContext, EngineType


@dataclass(frozen=True, slots=True)
class FestivalOptions:
    """Debian's Festival with its Russian voice."""

    processes: Annotated[int, Field(ge=1, le=16)] = 2
    """Clauses that are made at once; each process takes 190 to 460 MB."""


async def _open(options: FestivalOptions, context: EngineContext) -> TextToSpeech:
    from kamerton.tts.voices.festival.voice import FestivalTextToSpeech, why_unavailable

    reason = why_unavailable()
    if reason is not None:
        raise ModelError(reason)
    return FestivalTextToSpeech(processes=options.processes)


ENGINE: Final = EngineType("festival", FestivalOptions, _open, languages=("ru",))
