"""SpeechKit in messages: how it is named, and what a person can do when it refuses."""

from __future__ import annotations

from typing import Final

from kamerton.domain.errors import Fault
from kamerton.vendors.rpc.failures import Service

_ADVICE: Final[dict[Fault, str]] = {
    "unauthorised": "check accounts.yandex: the key, its scope and the service account's roles for SpeechKit; and the "
    "folder",
    "quota": "raise the quota in Yandex Cloud's console, or wait until it is renewed",
    "rate_limited": "fewer requests at once, or a higher quota in Yandex Cloud's console",
    "broken": "a fault of the service, or of something between",
}


def speechkit_at(address: str) -> Service:
    """SpeechKit at `host:port`."""
    return Service(f"Yandex SpeechKit at {address}", _ADVICE)
