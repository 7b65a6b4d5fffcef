"""What the stand-in for SpeechKit's synthesis says: a tone for each character, and when each word is said."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kamerton.tts.voices.yandex.wire_double_script import SpeechKitScript

_LEAD_MS = 20
_TAIL_MS = 120


@dataclass(frozen=True, slots=True)
class SpokenPiece:
    """Audio and its words, with their start and length in milliseconds as they are told."""

    pcm: bytes
    text: str
    start_ms: int
    length_ms: int
    words: tuple[tuple[str, int, int], ...]


def pieces_of(text: str, rate_hz: int, script: SpeechKitScript, speed: float) -> Iterator[SpokenPiece]:
    """The audio of a text in pieces that end between words."""
    step_ms = max(1, round(script.ms_per_character / speed))
    parts, start_ms, at = list(_parts(text, script.characters_in_piece)), 0, 0
    for number, part in enumerate(parts):
        lead_ms = _LEAD_MS if number == 0 else 0
        tail_ms = _TAIL_MS if number == len(parts) - 1 else 0
        length_ms = lead_ms + step_ms * len(part) + tail_ms
        sound = [_silence(lead_ms, rate_hz), _tone(at, step_ms * len(part), rate_hz), _silence(tail_ms, rate_hz)]
        words = _told(tuple(_words(part, start_ms + lead_ms, step_ms)), start_ms, script)
        yield SpokenPiece(np.concatenate(sound).astype("<i2").tobytes(), part, start_ms, length_ms, words)
        start_ms += length_ms
        at += len(part)


def speakable(text: str) -> bool:
    """Whether the vendor's Russian voices would find anything to say."""
    return any(char.isdigit() or "a" <= char.lower() <= "z" or "а" <= char.lower() <= "ё" for char in text)


def wav_file(pcm: bytes, rate_hz: int) -> bytes:
    """Samples with the header that nobody asked for."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return file.getvalue()


def odd_parts(pcm: bytes) -> tuple[bytes, bytes]:
    """Audio cut in the middle of a sample."""
    cut = len(pcm) // 4 * 2 + 1
    return pcm[:cut], pcm[cut:]


def _words(part: str, start_ms: int, step_ms: int) -> Iterator[tuple[str, int, int]]:
    """Each word as the vendor tells it: in lower case, without signs."""
    at = 0
    for word in part.split():
        place = part.index(word, at)
        at = place + len(word)
        bare = "".join(char for char in word if char.isalnum()).lower()
        if bare:
            yield bare, start_ms + step_ms * place, step_ms * len(word)


def _told(
    words: tuple[tuple[str, int, int], ...], before_ms: int, script: SpeechKitScript
) -> tuple[tuple[str, int, int], ...]:
    """The times as they are told, which may be wrong."""
    if script.times == "none":
        return ()
    if script.times == "backwards":
        starts = [start for _, start, _ in words][::-1]
        return tuple((word, start, length) for (word, _, length), start in zip(words, starts, strict=True))
    shift = {"beyond": 60_000, "from_piece": -before_ms, "early": -5_000}.get(script.times, 0)
    return tuple((word, start + shift, length) for word, start, length in words)


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
