"""The vendor's errors in our words: over HTTP, at the WebSocket's handshake, in a message, and when it closes.

Source: its API reference, the clients of pipecat and livekit, and their issues (pipecat 4114, 4126, 4556;
livekit agents-js 1985).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kamerton.domain.errors import Fault, VendorError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line

TOO_MANY_CONTEXTS: Final = "max_active_conversations"
"""The error of a sixth open context; the WebSocket is closed with it."""

_FAULTS: Final[dict[str, Fault]] = {
    "invalid_api_key": "unauthorised",
    "missing_permissions": "unauthorised",
    "needs_authorization": "unauthorised",
    "unauthorized": "unauthorised",
    "detected_unusual_activity": "unauthorised",
    "quota_exceeded": "quota",
    "subscription_required": "quota",
    "payment_required": "quota",
    "too_many_concurrent_requests": "rate_limited",
    "rate_limit_exceeded": "rate_limited",
    TOO_MANY_CONTEXTS: "rate_limited",
    "system_busy": "failed",
    "input_timeout_exceeded": "timeout",
    "voice_not_found": "rejected",
    "model_not_found": "rejected",
    "invalid_voice_id": "rejected",
    "unsupported_language": "rejected",
    "invalid_output_format": "rejected",
    "output_format_not_allowed": "rejected",
    "max_character_limit_exceeded": "rejected",
}
_ADVICE: Final[dict[Fault, str]] = {
    "unauthorised": "it refuses the API key; set accounts.elevenlabs.api_key to one that may use Text to Speech",
    "quota": "the characters of the plan are used up or the plan does not allow this; raise or renew it",
    "rate_limited": "too many requests at once for the plan; lower `concurrency` of the voice or raise the plan",
    "timeout": "it waited too long for text; check the load of this machine",
    "rejected": "it refuses the request; check voice, model and language",
    "failed": "it failed; look at the vendor's status page",
    "connection": "the connection was cut off; check the network and the vendor's status page",
    "broken": "what it sends makes no sense; check that `url` leads to ElevenLabs",
}
_LONGEST_WAIT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Remark:
    """What an error body tells."""

    word: str = ""
    """The vendor's stable word for it: `quota_exceeded`."""
    message: str = ""


def remark_of(body: object) -> Remark:
    """An error as the vendor writes it: `{"detail": {"status", "message"}}`, or `{"error", "message"}` in a message."""
    found = body
    if isinstance(found, (bytes, str)):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            return Remark()
    if isinstance(found, dict) and "detail" in found:
        found = found["detail"]
    if isinstance(found, list) and found:
        found = found[0]
    if isinstance(found, str):
        return Remark(message=found)
    return _remark_of_fields(found) if isinstance(found, dict) else Remark()


def _remark_of_fields(found: Mapping[str, Any]) -> Remark:
    words = [found.get(name) for name in ("status", "error", "code", "type")]
    word = next((word for word in words if isinstance(word, str) and word), "")
    message = next((text for name in ("message", "msg") if isinstance(text := found.get(name), str)), "")
    return Remark(word, message)


def of_status(where: str, status: int, body: object, retry_after: str | None, key: str) -> VendorError:
    """The error of an HTTP response, also of one that refuses the WebSocket."""
    remark = remark_of(body)
    fault = _FAULTS.get(remark.word) or _of_status(status)
    return _error(where, fault, f"HTTP {status}", remark, _seconds(retry_after), key)


def of_handshake(where: str, status: int, body: object, retry_after: str | None, key: str) -> VendorError:
    """The error of a response instead of a WebSocket: the vendor's, or that of a proxy that lets none through."""
    if remark_of(body) == Remark() and status not in (401, 402, 429) and status < 500:
        return broken(where, f"it opens no WebSocket (HTTP {status}); does a proxy let none through?")
    return of_status(where, status, body, retry_after, key)


def of_message(where: str, remark: Remark, code: int | None, key: str) -> VendorError:
    """The error that a message of the WebSocket tells."""
    fault = _FAULTS.get(remark.word) or ("unauthorised" if "api key" in remark.message.lower() else "failed")
    return _error(where, fault, f"code {code}" if code else "", remark, None, key)


def of_close(where: str, code: int | None, reason: str, key: str) -> VendorError:
    """The error of a WebSocket that closed without saying why in a message."""
    word = next((word for word in _FAULTS if word in reason), "")
    fault: Fault = _FAULTS.get(word, "failed" if code == 1008 else "connection")
    return _error(where, fault, f"closed, code {code}" if code else "cut off", Remark(word, reason), None, key)


def of_fault(where: str, fault: Fault, what: str) -> VendorError:
    """An error that we see ourselves; `what` says what happened and what to do."""
    return VendorError(f"{where}: {what}", fault)


def broken(where: str, what: str) -> VendorError:
    """An answer that makes no sense."""
    return VendorError(f"{where}: {what}; {_ADVICE['broken']}", "broken")


def goes_by_http(error: VendorError) -> bool:
    """Whether a request that failed over the WebSocket may succeed over HTTP, which would refuse some as well."""
    if error.code == TOO_MANY_CONTEXTS:
        return True
    return error.fault not in ("unauthorised", "quota", "rejected", "rate_limited")


def _of_status(status: int) -> Fault:
    if status in (401, 403):
        return "unauthorised"
    if status in (402, 429):
        return "quota" if status == 402 else "rate_limited"
    return "failed" if status >= 500 else "rejected"


def _error(where: str, fault: Fault, told: str, remark: Remark, retry_after_s: float | None, key: str) -> VendorError:
    said = shown_line(remark.message.replace(key, "***") if key else remark.message, LONGEST_REMARK)
    word = shown_line(remark.word.replace(key, "***") if key else remark.word, 60)
    details = ", ".join(part for part in (told, word, said) if part)
    code = TOO_MANY_CONTEXTS if remark.word == TOO_MANY_CONTEXTS else ""
    return VendorError(f"{where}: {_ADVICE[fault]} ({details})", fault, retry_after_s=retry_after_s, code=code)


def _seconds(retry_after: str | None) -> float | None:
    """The header's seconds; a date or nonsense counts as nothing."""
    try:
        value = float(retry_after or "")
    except ValueError:
        return None
    return min(value, _LONGEST_WAIT_S) if value >= 0 else None
