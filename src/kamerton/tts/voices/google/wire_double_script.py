"""What the stand-in for Google's Text-to-Speech does and has seen, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Method = Literal["list", "whole", "stream"]

VOICES: Mapping[str, tuple[str, ...]] = {
    "ru-RU-Standard-A": ("ru-RU",),
    "ru-RU-Wavenet-A": ("ru-RU",),
    "ru-RU-Chirp3-HD-Charon": ("ru-RU",),
    "ru-RU-Chirp3-HD-Kore": ("ru-RU",),
    "uk-UA-Wavenet-B": ("uk-UA",),
    "uk-UA-Chirp3-HD-Kore": ("uk-UA",),
}


@dataclass(frozen=True, slots=True)
class Misdeed:
    """What befalls requests of one method."""

    kind: Literal["refuse", "hang", "end", "garbage", "slow", "endless", "short_wav", "silence"]
    """`refuse`: end with the status. `hang`: answer nothing more. `end`: end as if all were well. `garbage`: bytes that
    are no message. `slow`: a sample at a time. `endless`: never end. `short_wav`: less audio than its header says.
    `silence`: audio in which nothing is to be heard."""
    method: Method = "stream"
    after_pieces: int = 0
    """Pieces of audio that are sent before, in a stream."""
    status: str = "UNAVAILABLE"
    details: str = "Socket closed"
    retry_after_s: float | None = None
    """Told as Google does, in the rich status."""
    requests: int = 1
    """How many requests it befalls, one after another."""


@dataclass(slots=True)
class VoiceScript:
    """How the stand-in behaves; may be changed while it runs."""

    voices: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(VOICES))
    """Languages by the name of the voice."""
    token: str | None = None
    """The only one that lets in; None: any."""
    misdeeds: list[Misdeed] = field(default_factory=list)
    ms_per_character: float = 65.0
    piece_ms: float = 45.0
    odd_pieces: bool = False
    """Pieces of a stream end in the middle of samples."""
    natural_rate_hz: int | None = None
    """Whole answers come at this rate whatever was asked for."""
    stream_rates_hz: tuple[int, ...] = (8000, 16000, 24000)


@dataclass(slots=True)
class SeenRequest:
    """A request as the stand-in saw it."""

    method: Method
    authorization: str = ""
    code: str = ""
    voice: str = ""
    text: str = ""
    rate_hz: int = 0
    encoding: int = 0
    speaking_rate: float = 0.0
    pieces: int = 0
    """Pieces of audio that were sent."""
    ended: Literal["", "well", "status", "cancelled"] = ""
