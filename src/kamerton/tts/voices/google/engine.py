"""Google Cloud Text-to-Speech among the voices that can be chosen by name."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.google.endpoints import GLOBAL, address_of
from kamerton.vendors.rpc.endpoint import Endpoint

if TYPE_CHECKING:
    from kamerton.domain.synthesis import TextToSpeech

CODES: Final = {"ru": "ru-RU", "uk": "uk-UA", "en": "en-US"}
"""Languages that can be asked for, and what Google calls them."""
RATES_HZ: Final = (8000, 16000)
"""Rates of calls; the vendor delivers both."""
SERVICE: Final = "texttospeech.googleapis.com"


@dataclass(frozen=True, slots=True)
class GoogleVoiceOptions:
    """The voice, how it sounds, and the bounds of talking to the vendor. Seconds."""

    voice: str = ""
    """As Google lists it (`uk-UA-Chirp3-HD-Kore`), or its end (`Kore`), which serves every language; empty: the best
    that is listed for the language, Chirp 3 HD before WaveNet before Standard."""
    voice_ru: str = ""
    """For Russian, if it is another one than `voice`."""
    voice_uk: str = ""
    """For Ukrainian, if it is another one than `voice`."""
    speaking_rate: float | None = None
    """0.25 to 2.0; None: as the voice speaks by itself."""
    streaming: bool = True
    """Play audio as it is made, where the voice can (Chirp 3 HD); False: whole sentences only."""
    unit: Literal["sentence", "clause"] = "sentence"
    """What is asked for at once. Clauses start sooner with voices that do not stream, and sound less connected."""
    max_bytes: int = 900
    """Longest text of a request, as UTF-8; 800 to 3000. Google takes 5000, but no sentences that are «too long»."""
    concurrency: int = 20
    """Requests at once, of all calls together."""
    queue_s: float = 4.0
    """Longest wait for one of the `concurrency` places."""
    open_s: float = 3.0
    """Longest wait for an access token, and for the list of voices."""
    first_audio_s: float = 2.5
    """Longest wait for the first audio of a stream, connecting included."""
    gap_s: float = 2.5
    """Longest wait between two pieces of audio."""
    whole_s: float = 5.0
    """Longest wait for a sentence that is not streamed."""
    location: str = GLOBAL
    """Where it is made: `global`, or a region that has an endpoint of its own (`eu`, `us`)."""
    endpoint: str = ""
    """`host:port` instead of the location's own at Google."""
    ca_file: Path | None = None
    """Root certificates (PEM) for a server of one's own; gRPC's when None."""
    tls: bool = True
    """Off only for a server on the same machine: the token would travel in the open."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: an option is out of its range.
        """
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise ConfigurationError(f"voice.google.{name} is {value}; it must be from {low:g} to {high:g}")
        if not re.fullmatch(r"[a-z0-9-]+", self.location):
            raise ConfigurationError(f"voice.google.location '{self.location}' is none; set global, eu or us")
        for name in ("voice", "voice_ru", "voice_uk"):
            if not re.fullmatch(r"[\w-]*", getattr(self, name)):
                raise ConfigurationError(f"voice.google.{name} '{getattr(self, name)}' is no name of a voice")
        _ = self.served_at

    @property
    def served_at(self) -> Endpoint:
        """Where requests go."""
        return Endpoint(self.endpoint or address_of(SERVICE, self.location), self.ca_file, self.tls)

    def voice_for(self, language: str) -> str:
        """The voice that was set for a language; empty: none was."""
        return {"ru": self.voice_ru, "uk": self.voice_uk}.get(language) or self.voice


_RANGES: Final[tuple[tuple[str, float, float], ...]] = (
    ("speaking_rate", 0.25, 2.0),
    ("max_bytes", 800, 3000),
    ("concurrency", 1, 500),
    ("queue_s", 0.1, 30.0),
    ("open_s", 0.1, 30.0),
    ("first_audio_s", 0.1, 30.0),
    ("gap_s", 0.1, 30.0),
    ("whole_s", 0.1, 60.0),
)


async def _open(options: GoogleVoiceOptions, context: EngineContext) -> TextToSpeech:
    from kamerton.tts.voices.google.opening import open_voice

    return await open_voice(options, context)


async def _check(options: GoogleVoiceOptions, context: EngineContext) -> Check:
    from kamerton.tts.voices.google.opening import check_voice

    return await check_voice(options, context)


ENGINE: Final = EngineType("google", GoogleVoiceOptions, _open, _check, tuple(CODES))
"""The settings of the voice, `voice.google`."""
