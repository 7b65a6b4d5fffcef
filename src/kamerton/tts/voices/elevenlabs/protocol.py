"""The multi-context WebSocket in messages: what is sent, and what a received one says. No I/O.

The client writes `context_id`, the server answers `contextId`; both spellings are read, as are `isFinal` and
`is_final`, `charDurationsMs` and `charsDurationsMs` (the vendor's types and its own example differ).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from kamerton.tts.voices.elevenlabs.faults import Remark, remark_of
from kamerton.tts.voices.spoken_words import Alignment

MAX_CONTEXTS: Final = 5
"""Open contexts of one WebSocket; a sixth one closes it (pipecat issue 4114)."""
MAX_MESSAGE_BYTES: Final = 16 * 2**20
"""Of one message (pipecat's and livekit's clients)."""
_FAR_MS: Final = 1e9
LONGEST_INACTIVITY_S: Final = 180
"""The longest `inactivity_timeout` that the vendor takes."""


@dataclass(frozen=True, slots=True)
class AudioPiece:
    """Audio of a context, raw as it came: it may end in half a sample."""

    context: str
    pcm: bytes
    alignment: Alignment | None = None
    last: bool = False
    """Nothing more follows for the context."""


@dataclass(frozen=True, slots=True)
class ContextEnded:
    """Nothing more follows for a context."""

    context: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An error; without a context it is the whole connection's."""

    context: str | None
    remark: Remark
    code: int | None


@dataclass(frozen=True, slots=True)
class Nonsense:
    """A message that cannot be understood; without a context nobody knows whom it was for."""

    context: str | None
    what: str


Received = AudioPiece | ContextEnded | Refused | Nonsense


def begin(context: str, voice_settings: Mapping[str, float]) -> str:
    """Open a context. Voice settings are allowed in this message only (pipecat issue 4556)."""
    message: dict[str, Any] = {"text": " ", "context_id": context}
    if voice_settings:
        message["voice_settings"] = dict(voice_settings)
    return json.dumps(message)


def say(context: str, text: str, *, flush: bool) -> str:
    """Text for a context, ending in one space as the vendor wants it; `flush`: without waiting for more."""
    message: dict[str, Any] = {"text": f"{text} ", "context_id": context}
    if flush:
        message["flush"] = True
    return json.dumps(message, ensure_ascii=False)


def close(context: str) -> str:
    """Have a context spoken to its end and closed; `ContextEnded` follows."""
    return json.dumps({"context_id": context, "close_context": True})


def keep_alive(context: str) -> str:
    """Keep an open context from being closed while its text has not come. Never for another: it would open one."""
    return json.dumps({"context_id": context, "text": ""})


def websocket_url(base_url: str, voice: str, query: Mapping[str, str]) -> str:
    """Address of the WebSocket of a voice; `https` becomes `wss`."""
    address = urlsplit(base_url)
    scheme = {"https": "wss", "http": "ws"}[address.scheme]
    path = f"{address.path.rstrip('/')}/v1/text-to-speech/{quote(voice, safe='')}/multi-stream-input"
    return urlunsplit((scheme, address.netloc, path, urlencode(query), ""))


def read(message: str | bytes) -> Received:
    """What a message of the server says. Never raises."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return Nonsense(None, "a message that is no JSON")
    if not isinstance(found, dict):
        return Nonsense(None, "a message that is no JSON object")
    context = _context_of(found)
    if found.get("error") or (found.get("message") and not found.get("audio")):
        code = found.get("code")
        return Refused(context, remark_of(found), code if isinstance(code, int) else None)
    if context is None:
        return Nonsense(None, "a message without a context")
    last = found.get("isFinal") is True or found.get("is_final") is True
    if found.get("audio"):
        return _audio_of(context, found, last)
    if last:
        return ContextEnded(context)
    return AudioPiece(context, b"", _times_of(found))


def websocket_alignment(found: object) -> Alignment | None:
    """The times of a message of the WebSocket; None when there are none or they make no sense."""
    if not isinstance(found, dict):
        return None
    durations = _times(found.get("charDurationsMs", found.get("charsDurationsMs")))
    characters, starts = found.get("chars"), _times(found.get("charStartTimesMs"))
    if starts is None or durations is None or not isinstance(characters, list):
        return None
    ends = [start + duration for start, duration in zip(starts, durations, strict=False)]
    return _alignment(characters, starts, ends)


def http_alignment(found: object) -> Alignment | None:
    """The times of a line of `/stream/with-timestamps`, which has other names and seconds."""
    if not isinstance(found, dict):
        return None
    characters = found.get("characters")
    starts = _times(found.get("character_start_times_seconds"))
    ends = _times(found.get("character_end_times_seconds"))
    if starts is None or ends is None or not isinstance(characters, list):
        return None
    return _alignment(characters, [1000 * start for start in starts], [1000 * end for end in ends])


def decoded_audio(found: object) -> bytes | None:
    """Audio out of base64; None when it is none."""
    if not isinstance(found, str):
        return None
    try:
        return base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError):
        return None


def _audio_of(context: str, found: Mapping[str, Any], last: bool) -> AudioPiece | Nonsense:
    pcm = decoded_audio(found["audio"])
    if pcm is None:
        return Nonsense(context, "audio that is no base64")
    return AudioPiece(context, pcm, _times_of(found), last)


def _times_of(found: Mapping[str, Any]) -> Alignment | None:
    """Times of the text as it was sent, else of the text as the vendor reads it, which is nearly the same."""
    return websocket_alignment(found.get("alignment")) or websocket_alignment(found.get("normalizedAlignment"))


def _context_of(found: Mapping[str, Any]) -> str | None:
    context = found.get("contextId", found.get("context_id"))
    return context if isinstance(context, str) else None


def _alignment(characters: list[Any], starts: list[float], ends: list[float]) -> Alignment | None:
    """Characters with times; what has no time, or no character, is left out."""
    size = min(len(characters), len(starts), len(ends))
    if not size or not all(isinstance(character, str) for character in characters[:size]):
        return None
    return Alignment(tuple(characters[:size]), tuple(starts[:size]), tuple(ends[:size]))


def _times(found: object) -> list[float] | None:
    """A list of numbers that may be times, neither infinite nor as long as a week; None when it is something else."""
    if not isinstance(found, list):
        return None
    times = [value for value in found if isinstance(value, (int, float)) and -_FAR_MS < value < _FAR_MS]
    return times if len(times) == len(found) else None
