"""ElevenLabs as an engine that the settings can name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.synthesis import TextToSpeech
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType

RATES_HZ: Final = (8000, 16000)
"""Rates of calls; the vendor delivers both, so nothing is resampled."""


@dataclass(frozen=True, slots=True)
class ElevenLabsVoiceOptions:
    """The voice, how it sounds, and the bounds of talking to the vendor. Seconds."""

    model: str = "eleven_flash_v2_5"
    """Flash answers first (some 75 ms at the vendor's) and costs half; `eleven_multilingual_v2` sounds better."""
    voice: str = "JBFqnCBsd6RMkjVDRZzb"
    """Voice id; the default is one of the vendor's own («George»). Ids are in the voice library of the account."""
    voice_ru: str = ""
    """For Russian, if it is another one than `voice`."""
    voice_uk: str = ""
    """For Ukrainian, if it is another one than `voice`."""
    stability: float | None = None
    """0 (lively) to 1 (monotonous); None: as it is set for the voice at the vendor's."""
    similarity: float | None = None
    """0 to 1: how closely it keeps to the original speaker; None: as set for the voice."""
    speed: float | None = None
    """0.7 to 1.2; None: as set for the voice."""
    concurrency: int = 4
    """Speeches made at once: at most what the plan allows (Flash: Free 4, Starter 6, Creator 10, Pro 20)."""
    sockets: int = 2
    """WebSockets for each voice and rate; each carries five speeches at once."""
    warm_rates_hz: tuple[int, ...] = (8000,)
    """Rates for which a connection is opened ahead although none was asked for yet: 8000 the phone, 16000 the page."""
    websocket: bool = True
    """False: HTTP only, where a proxy lets no WebSocket through. Models of the third generation know HTTP only."""
    websocket_rest_s: float = 15.0
    """Once it failed twice in a row HTTP is used for so long, doubling to 5 minutes; then one speech tries it again."""
    connect_s: float = 2.0
    """Longest wait for a connection to open."""
    first_audio_s: float = 2.0
    """Longest wait for the first audio of a speech, and after that once more over HTTP."""
    gap_s: float = 2.5
    """Longest wait between two pieces of audio."""
    queue_s: float = 4.0
    """Longest wait for one of the `concurrency` places."""
    idle_s: float = 60.0
    """A connection for which no call is expected is closed after this."""
    inactivity_s: int = 180
    """Told to the vendor: it closes a context, or a connection, that was told nothing for so long (180 at most)."""
    url: str = "https://api.elevenlabs.io"
    """`https://api.eu.residency.elevenlabs.io` where the account keeps its data in the EU."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's: for a proxy of one's own."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: a value is out of its range, or the address is none.
        """
        self._check_ranges()
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigurationError(f"voice.elevenlabs.url '{self.url}' is no address; set https://api.elevenlabs.io")
        if address.username or address.password or address.query:
            raise ConfigurationError("voice.elevenlabs.url holds a login or a query; leave only the address in it")
        for name in ("model", "voice"):
            if not getattr(self, name).strip():
                raise ConfigurationError(f"voice.elevenlabs.{name} is empty; set it, or leave it out for the default")
        odd = [rate for rate in self.warm_rates_hz if rate not in RATES_HZ]
        if odd:
            raise ConfigurationError(f"voice.elevenlabs.warm_rates_hz has {odd[0]}; calls have 8000 and 16000 only")

    def _check_ranges(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise ConfigurationError(f"voice.elevenlabs.{name} is {value}; it must be from {low:g} to {high:g}")

    def voice_settings(self) -> dict[str, float]:
        """What is told of how the voice sounds; nothing is told of what was not set."""
        wanted = {"stability": self.stability, "similarity_boost": self.similarity, "speed": self.speed}
        return {name: value for name, value in wanted.items() if value is not None}

    def voice_for(self, language: str) -> str:
        """Id of the voice that speaks a language."""
        return {"ru": self.voice_ru, "uk": self.voice_uk}.get(language) or self.voice


_RANGES: Final[tuple[tuple[str, float, float], ...]] = (
    ("stability", 0.0, 1.0),
    ("similarity", 0.0, 1.0),
    ("speed", 0.7, 1.2),
    ("concurrency", 1, 100),
    ("sockets", 1, 20),
    ("websocket_rest_s", 0.0, 300.0),
    ("connect_s", 0.1, 30.0),
    ("first_audio_s", 0.1, 30.0),
    ("gap_s", 0.1, 30.0),
    ("queue_s", 0.1, 30.0),
    ("idle_s", 0.1, 3600.0),
    ("inactivity_s", 20, 180),
)


async def _open(options: ElevenLabsVoiceOptions, context: EngineContext) -> TextToSpeech:
    from kamerton.tts.voices.elevenlabs.opening import open_voice  # websockets and an HTTP client, 0.3 s

    return await open_voice(options, context)


async def _check(options: ElevenLabsVoiceOptions, context: EngineContext) -> Check:
    from kamerton.tts.voices.elevenlabs.opening import check_voice

    return await check_voice(options, context)


ENGINE: Final = EngineType("elevenlabs", ElevenLabsVoiceOptions, _open, _check)
