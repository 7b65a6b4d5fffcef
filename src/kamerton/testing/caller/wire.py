"""The AudioSocket wire as Asterisk's side speaks it: one kind byte, a big-endian length, the payload.

Written apart from the server's codec on purpose: a fault in one must not hide behind the same fault in the other.
"""

from __future__ import annotations

import uuid
from typing import Final

KIND_HANG_UP: Final = 0x00
KIND_UUID: Final = 0x01
KIND_DTMF: Final = 0x03
AUDIO_RATES_HZ: Final = {0x10: 8000, 0x12: 16000}
"""Audio kinds a caller may be sent: signed linear 16-bit little-endian, 8 or 16 kHz."""

_HEADER_BYTES: Final = 3


def encode(kind: int, payload: bytes = b"") -> bytes:
    """One message, to be written in one piece."""
    return bytes((kind,)) + len(payload).to_bytes(2, "big") + payload


def encode_uuid(call_id: uuid.UUID) -> bytes:
    """The first message of a call."""
    return encode(KIND_UUID, call_id.bytes)


def encode_audio(pcm: bytes, rate_hz: int) -> bytes:
    """Audio of one frame, labelled with the kind of its rate."""
    kind = next(kind for kind, rate in AUDIO_RATES_HZ.items() if rate == rate_hz)
    return encode(kind, pcm)


def encode_dtmf(digit: str) -> bytes:
    """A pressed key."""
    return encode(KIND_DTMF, digit.encode("ascii"))


class WireReader:
    """Cuts a byte stream into messages, however TCP has split or joined it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that are complete now, as (kind, payload)."""
        data = self._rest + data if self._rest else data
        messages = []
        at = 0
        while len(data) - at >= _HEADER_BYTES:
            end = at + _HEADER_BYTES + (data[at + 1] << 8 | data[at + 2])
            if end > len(data):
                break
            messages.append((data[at], data[at + _HEADER_BYTES : end]))
            at = end
        self._rest = data[at:]
        return messages

    @property
    def partial_bytes(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._rest)
