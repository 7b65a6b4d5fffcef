"""What the stand-in for ElevenLabs says: a tone for each character, and when each is said."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kamerton.tts.voices.elevenlabs.wire_double_script import VendorScript

_LEAD_MS = 20
_TAIL_MS = 160


@dataclass(frozen=True, slots=True)
class SpokenPiece:
    """Audio, its characters and when each begins and ends, in milliseconds from the start of the piece."""

    pcm: bytes
    characters: list[str]
    starts_ms: list[int]
    ends_ms: list[int]


def pieces_of(text: str, rate_hz: int, script: VendorScript, *, at: int = 0) -> Iterator[SpokenPiece]:
    """The audio of a text in pieces that end between words.

    Args:
        text: to be said.
        rate_hz: of the audio.
        script: how long a character is and a piece may be, and how times are told.
        at: characters of the context that were said before, for the pitch.
    """
    parts = list(_parts(text, script.characters_in_piece))
    for number, part in enumerate(parts):
        lead_ms = _LEAD_MS if number == 0 else 0
        step = script.ms_per_character
        starts = [lead_ms + step * place for place in range(len(part))]
        tail_ms = _TAIL_MS if number == len(parts) - 1 else 0
        samples = [_silence(lead_ms, rate_hz), _tone(at, step * len(part), rate_hz), _silence(tail_ms, rate_hz)]
        pcm = np.concatenate(samples).astype("<i2").tobytes()
        yield SpokenPiece(pcm, list(part), starts, [start + step for start in starts])
        at += len(part)


def told_times(piece: SpokenPiece, before_ms: int, script: VendorScript) -> tuple[list[int], list[int]] | None:
    """Starts and ends as they are told, which may be wrong."""
    if script.times == "none":
        return None
    starts, ends = list(piece.starts_ms), list(piece.ends_ms)
    if script.times == "backwards":
        return starts[::-1], ends[::-1]
    shift = {"beyond": 60_000, "from_start": before_ms}.get(script.times, 0)
    return [start + shift for start in starts], [end + shift for end in ends]


def websocket_alignment(piece: SpokenPiece, before_ms: int, script: VendorScript) -> dict[str, Any] | None:
    """As a message of the WebSocket tells it."""
    times = told_times(piece, before_ms, script)
    if times is None:
        return None
    starts, ends = times
    name = "charDurationsMs" if script.spelling == "camel" else "charsDurationsMs"
    lengths = [end - start for start, end in zip(starts, ends, strict=True)]
    return {"chars": piece.characters, "charStartTimesMs": starts, name: lengths}


def http_alignment(piece: SpokenPiece, before_ms: int, script: VendorScript) -> dict[str, Any] | None:
    """As a line of the HTTP stream tells it: in seconds from the start of the response."""
    times = told_times(piece, 0, script)
    if times is None:
        return None
    starts, ends = times
    return {
        "characters": piece.characters,
        "character_start_times_seconds": [(before_ms + start) / 1000 for start in starts],
        "character_end_times_seconds": [(before_ms + end) / 1000 for end in ends],
    }


def encoded(pcm: bytes) -> str:
    """Audio as it travels."""
    return base64.b64encode(pcm).decode()


def _parts(text: str, size: int) -> Iterator[str]:
    while len(text) > size:
        cut = text.rfind(" ", 1, size) + 1 or size
        yield text[:cut]
        text = text[cut:]
    if text:
        yield text


def _tone(at: int, length_ms: int, rate_hz: int) -> np.ndarray[Any, Any]:
    times = np.arange(rate_hz * length_ms // 1000) / rate_hz
    return 6000 * np.sin(2 * np.pi * (200 + 20 * (at % 10)) * times)


def _silence(length_ms: int, rate_hz: int) -> np.ndarray[Any, Any]:
    return np.zeros(rate_hz * length_ms // 1000)
