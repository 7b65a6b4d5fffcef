"""The live-stand protocol, sans-I/O: JSON text messages `{"type", "payload"}` to and from typed values.

Binary messages carry PCM and need no codec: 16-bit little-endian mono at 16 kHz, 20 ms (640 bytes) from the server,
any whole number of samples from the client. docs/live-stand-protocol.md describes the protocol and
docs/schemas/live_stand.schema.json holds its schema.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from kamerton.domain.audio import SAMPLE_BYTES, WIDEBAND
from kamerton.domain.errors import ProtocolError
from kamerton.domain.notices import (
    AudioCleared,
    BargeInDecided,
    CallFinished,
    CallStarted,
    ConditionNoted,
    ErrorOccurred,
    LLMTextReceived,
    MindStateChanged,
    Notice,
    SpeculationRecord,
    TranscriptUpdated,
    TurnFinished,
)

PROTOCOL_VERSION: Final = 1
"""Grows when a client that follows the older description would misbehave."""
MAX_TEXT_CHARACTERS: Final = 4096
"""Longest text message a client may send; the longest in the protocol is below 300."""
MAX_AUDIO_BYTES: Final = WIDEBAND.rate_hz * SAMPLE_BYTES
"""Largest binary message a client may send: one second."""
MAX_USER_NAME_CHARACTERS: Final = 100
MAX_NESTING: Final = 8
"""Depth to which entities and variables are shown; anything deeper is written as text."""


@dataclass(frozen=True, slots=True)
class StartDemoCall:
    """The client's first message: begin the call."""

    user_name: str = ""


@dataclass(frozen=True, slots=True)
class UserInterrupted:
    """The caller pressed «stop talking»."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """The caller hangs up."""


@dataclass(frozen=True, slots=True)
class Playback:
    """Where the client plays now, in samples of the stream it was sent."""

    played_samples: int


ClientMessage = StartDemoCall | UserInterrupted | HangUp | Playback


def parse_client_message(text: str) -> ClientMessage:
    """Read one text message of the client.

    Raises:
        ProtocolError: not a message of this protocol; the text is fit to be sent back.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ProtocolError(f"the message has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} are allowed")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError('the message is not JSON; send {"type": ..., "payload": {...}}') from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError('the message has no "type"; send {"type": ..., "payload": {...}}')
    payload = message.get("payload", {})
    if not isinstance(payload, dict):
        raise ProtocolError('"payload" must be an object')
    match message["type"]:
        case "start_demo_call":
            return StartDemoCall(_user_name(payload))
        case "user_interrupted":
            return UserInterrupted()
        case "hang_up":
            return HangUp()
        case "playback":
            return Playback(_played_samples(payload))
        case other:
            raise ProtocolError(f"unknown message type {other[:40]!r}; this server speaks version {PROTOCOL_VERSION}")


def _user_name(payload: dict[str, Any]) -> str:
    name = payload.get("user_name", "")
    if not isinstance(name, str):
        raise ProtocolError('"user_name" must be text')
    printable = "".join(character if character.isprintable() else " " for character in name)
    return " ".join(printable.split())[:MAX_USER_NAME_CHARACTERS]


def _played_samples(payload: dict[str, Any]) -> int:
    played = payload.get("played_samples")
    if isinstance(played, bool) or not isinstance(played, int) or played < 0:
        raise ProtocolError('"played_samples" must be a whole number of samples, 0 or more')
    return played


def encode_client_message(message: ClientMessage) -> str:
    """Write a client's message: for clients in Python and for tests."""
    match message:
        case StartDemoCall(user_name):
            return _encode("start_demo_call", {"user_name": user_name})
        case UserInterrupted():
            return _encode("user_interrupted", {})
        case HangUp():
            return _encode("hang_up", {})
        case Playback(played_samples):
            return _encode("playback", {"played_samples": played_samples})


def encode_started(session_id: str) -> str:
    """The server's first message: the call is up, and how audio is to be exchanged."""
    return _encode(
        "demo_call_started",
        {"session_id": session_id, "protocol_version": PROTOCOL_VERSION, "sample_rate_hz": WIDEBAND.rate_hz},
    )


def encode_clear_audio(next_sample: int) -> str:
    """Drop whatever is not played yet; the next binary message begins at stream position `next_sample`."""
    return _encode("clear_audio", {"next_sample": next_sample})


def encode_error(message: str, where: str = "") -> str:
    """Something failed; the text is fit for people."""
    return _encode("error_occurred", {"message": message, "where": where})


def encode_ended(ended: CallFinished) -> str:
    """The server's last message. What the call cost is no business of the caller's."""
    payload = _fields(ended)
    del payload["call_id"], payload["bill"]
    return _encode("call_ended", payload)


def encode_notice(notice: Notice) -> str | None:
    """Write the message for a notice, or None for what the transport itself tells (start, clearing) and conditions."""
    match notice:
        case MindStateChanged():
            return _encode("bot_mind_state_update", {"state": notice.state.value, "details": notice.details})
        case LLMTextReceived(chunk):
            return _encode("llm_text_chunk", {"chunk": chunk})
        case TranscriptUpdated():
            return _encode("transcript", _fields(notice))
        case TurnFinished():
            payload = _fields(notice)
            return _encode("turn_metrics", {**payload, "speculation": _fields(payload["speculation"])})
        case BargeInDecided():
            return _encode("barge_in", _fields(notice))
        case ErrorOccurred(message, where):
            return encode_error(message, where)
        case CallFinished():
            return encode_ended(notice)
        case CallStarted() | AudioCleared() | ConditionNoted():
            return None


def _fields(notice: Notice | SpeculationRecord) -> dict[str, Any]:
    """The fields as they are: `dataclasses.asdict` would copy what they hold, and fail on read-only mappings."""
    return {field.name: getattr(notice, field.name) for field in fields(notice)}


def _encode(kind: str, payload: Mapping[str, Any]) -> str:
    text = json.dumps({"type": kind, "payload": _plain(payload)}, ensure_ascii=False, allow_nan=False)
    # A lone surrogate, from a broken recogniser say, must not break the connection.
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(value: Any, depth: int = 0) -> Any:
    """Reduce what scenario code may have left in entities and variables to what JSON can carry."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth < MAX_NESTING:
        if isinstance(value, Mapping):
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_plain(item, depth + 1) for item in value]
    return str(value)
