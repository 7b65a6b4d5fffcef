"""The voice of Yandex SpeechKit as an engine that the settings can name."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.synthesis import TextToSpeech
from kamerton.tts.voices.yandex.speakers import LANGUAGES
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.rpc.endpoint import Endpoint

LONGEST_REQUEST: Final = 250
"""Characters of one request (the vendor's API reference: 250 characters and 24 seconds)."""
LONGEST_REQUEST_UNSAFE: Final = 5000
"""Characters of one request that the vendor cuts by itself (its questions and answers on synthesis)."""
LIVE_MODEL: Final = "livetts"


@dataclass(frozen=True, slots=True)
class YandexVoiceOptions:
    """The voice, how it sounds, and the bounds of talking to the vendor. Seconds."""

    voice: str = "marina"
    """A Russian voice: marina, alena, dasha, julia, lera, masha, alexander, filipp, anton, kirill, ermil, … or the name
    of a Brand Voice of one's own."""
    role: str = ""
    """How it speaks: `neutral`, `friendly`, `good` (cheerful), `strict`, `whisper`, as the voice has it; empty: its
    usual one."""
    speed: float = 1.0
    """0.1 to 3."""
    pitch_hz: float = 0.0
    """Raises the voice, or lowers it when negative: -1000 to 1000."""
    loudness: Literal["lufs", "peak"] = "lufs"
    """How the vendor makes its audio equally loud: by EBU R 128, or by the highest sample."""
    volume: float | None = None
    """The level of that: -145 to below 0 for `lufs` (usual -19), above 0 to 1 for `peak` (usual 0.7)."""
    model: str = ""
    """Empty for the usual one, as the vendor advises; `livetts`, or the model of a Brand Voice."""
    quick_start: bool = True
    """The first clause of a text is a request of its own, so that speech begins sooner. False: requests as long as may
    be from the start, which costs less, because the vendor is paid by the request."""
    unsafe_mode: bool = False
    """Let the vendor cut texts of over 250 characters, and bill by the pieces; it warns of lower quality. False: they
    are cut here, between clauses."""
    concurrency: int = 20
    """Requests at once; the vendor's quota is 40 a second, shared by all that the account does."""
    first_audio_s: float = 3.0
    """Longest wait for the first audio of a request, connecting included."""
    gap_s: float = 2.5
    """How far the audio may fall behind the voice that it is for."""
    queue_s: float = 4.0
    """Longest wait for one of the `concurrency` places."""
    idle_s: float = 60.0
    """A connection that was not used for so long is replaced when a call begins to ring: something on the way may have
    forgotten it. 0: always."""
    requests_per_connection: int = 50
    """Requests at once that share a connection; further ones open another."""
    endpoint: str = "tts.api.cloud.yandex.net:443"
    """`host:port` of the service."""
    ca_file: Path | None = None
    """Root certificates (PEM) for a server of one's own; gRPC's when None."""
    tls: bool = True
    """Off only for a server on the same machine: the key would travel in the open."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: an option is out of its range, or contradicts another.
        """
        _ = self.where
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigurationError(f"voice.yandex.{name} is {value}; it must be from {low:g} to {high:g}")
        self._check_volume()
        for name in ("voice", "role", "model"):
            if not re.fullmatch(r"[\w:.@/-]*", getattr(self, name), re.ASCII):
                raise ConfigurationError(f"voice.yandex.{name} has characters that no name has; see the vendor's list")
        if not self.voice:
            raise ConfigurationError("voice.yandex.voice is empty; set it, or leave it out for 'marina'")
        if self.model == LIVE_MODEL and (self.speed != 1.0 or self.pitch_hz or self.loudness == "peak"):
            raise ConfigurationError(
                "voice.yandex.model 'livetts' knows no speed, pitch_hz and loudness 'peak'; leave them out"
            )

    def _check_volume(self) -> None:
        if self.volume is None:
            return
        peak = self.loudness == "peak"
        if not (0 < self.volume <= 1 if peak else -145 <= self.volume < 0):
            wanted = "above 0 and at most 1" if peak else "from -145 to below 0"
            raise ConfigurationError(f"voice.yandex.volume is {self.volume}; for '{self.loudness}' it must be {wanted}")

    @property
    def where(self) -> Endpoint:
        """The service's endpoint."""
        return Endpoint(self.endpoint, self.ca_file, self.tls)

    @property
    def longest_request(self) -> int:
        """Characters that one request may have: those that are said in the vendor's 24 s, whatever the speed."""
        if self.unsafe_mode:
            return LONGEST_REQUEST_UNSAFE
        return min(LONGEST_REQUEST, int(LONGEST_REQUEST * self.speed))


_RANGES: Final[tuple[tuple[str, float, float], ...]] = (
    ("speed", 0.1, 3.0),
    ("pitch_hz", -1000.0, 1000.0),
    ("concurrency", 1, 1000),
    ("first_audio_s", 0.1, 30.0),
    ("gap_s", 0.1, 30.0),
    ("queue_s", 0.1, 30.0),
    ("idle_s", 0.0, 3600.0),
    ("requests_per_connection", 1, 1000),
)


async def _open(options: YandexVoiceOptions, context: EngineContext) -> TextToSpeech:
    from kamerton.tts.voices.yandex.opening import open_voice

    return await open_voice(options, context)


async def _check(options: YandexVoiceOptions, context: EngineContext) -> Check:
    from kamerton.tts.voices.yandex.opening import check_voice

    return await check_voice(options, context)


ENGINE: Final = EngineType("yandex", YandexVoiceOptions, _open, _check, LANGUAGES)
