"""The AudioSocket wire format, sans-I/O: bytes to events and back, for both ends.

A message is a kind (one byte), a payload length (two bytes, big-endian) and the payload; audio is signed 16-bit
little-endian mono. Facts are from the source of Asterisk 18 to 23 (res_audiosocket, app_audiosocket).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from uuid import UUID

KIND_TERMINATE: Final = 0x00
KIND_UUID: Final = 0x01
KIND_DTMF: Final = 0x03
KIND_ERROR: Final = 0xFF
AUDIO_RATES_HZ: Final[Mapping[int, int]] = {
    0x10: 8000,
    0x11: 12000,
    0x12: 16000,
    0x13: 24000,
    0x14: 32000,
    0x15: 44100,
    0x16: 48000,
    0x17: 96000,
    0x18: 192000,
}
"""Sample rate by audio kind. Asterisk has the kinds above 0x10 since 20.17, 21.12, 22.7 and 23.1."""

HEADER_BYTES: Final = 3
UUID_BYTES: Final = 16
MAX_PAYLOAD_BYTES: Final = 0xFFFF
MAX_SKIPPED_IN_A_ROW: Final = 1000
"""Messages without audio or meaning that a peer may send one after another before it is taken to be broken."""
DTMF_DIGITS: Final = frozenset("0123456789*#ABCD")

TERMINATE: Final = bytes((KIND_TERMINATE, 0, 0))
"""Ends a call. Sent before the socket is closed: Asterisk up to 20.13 spins at full load on a bare close."""

_KIND_BY_RATE_HZ: Final = {rate_hz: kind for kind, rate_hz in AUDIO_RATES_HZ.items()}


class CallIdentified(NamedTuple):
    """The first message: the call's UUID."""

    uuid: UUID


class AudioReceived(NamedTuple):
    """Audio, of whatever length the peer's packets have."""

    rate_hz: int
    pcm: bytes


class DtmfReceived(NamedTuple):
    """A key was pressed."""

    digit: str


class TerminateReceived(NamedTuple):
    """The far end ends the call. Asterisk itself never sends this; test clients and other servers do."""


class ErrorReceived(NamedTuple):
    """The far end reports an error, with its code as sent."""

    code: bytes


class MessageSkipped(NamedTuple):
    """A message without meaning here: an unknown kind, an unknown key, or empty audio."""

    kind: int
    length: int


class WireBroken(NamedTuple):
    """The peer does not speak the protocol. Nothing follows this event."""

    reason: str


AudioSocketEvent = (
    CallIdentified | AudioReceived | DtmfReceived | TerminateReceived | ErrorReceived | MessageSkipped | WireBroken
)


class AudioSocketDecoder:
    """Cuts a byte stream into events, the same however the stream was split into pieces.

    On the server's side the first message must be the UUID; a client's decoder is made with `expect_uuid=False`.
    Payloads of kinds other than audio are limited to `max_control_bytes`.
    """

    __slots__ = ("_buffer", "_expect_uuid", "_max_control_bytes", "_over", "_skipped_in_a_row")

    def __init__(self, *, expect_uuid: bool = True, max_control_bytes: int = 1024) -> None:
        self._expect_uuid = expect_uuid
        self._max_control_bytes = max_control_bytes
        self._buffer = b""
        self._over = False
        self._skipped_in_a_row = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._buffer)

    def one_audio(self, data: bytes, rate_hz: int) -> bytes | None:
        """The audio, when the next bytes are exactly one whole message of it at a rate, as nearly always; else None.

        With None nothing has been taken: `feed` has to get the same bytes.
        """
        size = len(data) - HEADER_BYTES
        if (
            size > 0
            and not size & 1
            and data[0] == _KIND_BY_RATE_HZ.get(rate_hz)
            and data[1] << 8 | data[2] == size
            and not (self._buffer or self._expect_uuid or self._over)
        ):
            self._skipped_in_a_row = 0
            return data[HEADER_BYTES:]
        return None

    def feed(self, data: bytes) -> list[AudioSocketEvent]:
        """Take the next bytes and return the events that they complete. Never raises."""
        if self._over:
            return []
        if self._buffer:
            data = self._buffer + data
        size = len(data)
        events: list[AudioSocketEvent] = []
        offset = 0
        while size - offset >= HEADER_BYTES:
            kind = data[offset]
            length = data[offset + 1] << 8 | data[offset + 2]
            fault = self._fault(kind, length)
            if fault:
                return self._broken(events, fault)
            end = offset + HEADER_BYTES + length
            if end > size:
                break
            event = self._event(kind, data[offset + HEADER_BYTES : end])
            offset = end
            events.append(event)
            if isinstance(event, MessageSkipped):
                self._skipped_in_a_row += 1
                if self._skipped_in_a_row > MAX_SKIPPED_IN_A_ROW:
                    return self._broken(events, f"more than {MAX_SKIPPED_IN_A_ROW} messages without meaning in a row")
            else:
                self._skipped_in_a_row = 0
            if isinstance(event, TerminateReceived | ErrorReceived):
                self._over = True
                offset = size
        self._buffer = data[offset:]
        return events

    def _broken(self, events: list[AudioSocketEvent], reason: str) -> list[AudioSocketEvent]:
        self._over = True
        self._buffer = b""
        events.append(WireBroken(reason))
        return events

    def _fault(self, kind: int, length: int) -> str:
        """Why a header is not acceptable here, or nothing."""
        if self._expect_uuid:
            if kind != KIND_UUID or length != UUID_BYTES:
                return (
                    f"the first message has kind 0x{kind:02x} and {length} bytes instead of the call's UUID "
                    f"(kind 0x01, {UUID_BYTES} bytes); is this an AudioSocket client?"
                )
            return ""
        if kind in AUDIO_RATES_HZ:
            if length & 1:
                return f"audio of {length} bytes is not whole 16-bit samples; Dial(AudioSocket/…) needs c(slin)"
            return ""
        if length > self._max_control_bytes:
            return f"a message of kind 0x{kind:02x} has {length} bytes; at most {self._max_control_bytes} are accepted"
        if kind == KIND_UUID:
            return "a second UUID message"
        if kind == KIND_DTMF and length != 1:
            return f"a DTMF message of {length} bytes instead of 1"
        return ""

    def _event(self, kind: int, payload: bytes) -> AudioSocketEvent:
        """The event of a complete message whose header was accepted."""
        rate_hz = AUDIO_RATES_HZ.get(kind)
        if rate_hz is not None:
            return AudioReceived(rate_hz, payload) if payload else MessageSkipped(kind, 0)
        if kind == KIND_TERMINATE:
            return TerminateReceived()
        if kind == KIND_UUID:
            self._expect_uuid = False
            return CallIdentified(UUID(bytes=payload))
        if kind == KIND_DTMF:
            digit = payload.decode("latin-1").upper()
            return DtmfReceived(digit) if digit in DTMF_DIGITS else MessageSkipped(kind, 1)
        if kind == KIND_ERROR:
            return ErrorReceived(payload)
        return MessageSkipped(kind, len(payload))


def audio_header(rate_hz: int, payload_bytes: int) -> bytes:
    """The header of an audio message, for senders whose payloads always have one length.

    Raises:
        ValueError: the protocol has no kind for the rate, or the payload does not fit into a message.
    """
    kind = _KIND_BY_RATE_HZ.get(rate_hz)
    if kind is None:
        raise ValueError(f"AudioSocket has no kind for audio at {rate_hz} Hz; it has {sorted(_KIND_BY_RATE_HZ)}")
    if not 0 < payload_bytes <= MAX_PAYLOAD_BYTES or payload_bytes % 2:
        raise ValueError(f"{payload_bytes} bytes cannot be the audio of one message (2 to 65534, even)")
    return bytes((kind, payload_bytes >> 8, payload_bytes & 0xFF))


def encode_audio(rate_hz: int, pcm: bytes) -> bytes:
    """One audio message.

    Raises:
        ValueError: the protocol has no kind for the rate, or the audio does not fit into a message.
    """
    return audio_header(rate_hz, len(pcm)) + pcm


def encode_uuid(call_id: UUID) -> bytes:
    """The first message of a client."""
    return bytes((KIND_UUID, 0, UUID_BYTES)) + call_id.bytes


def encode_dtmf(digit: str) -> bytes:
    """A key press. Only clients send this: Asterisk ends a call that receives it.

    Raises:
        ValueError: not one of 0-9 * # A-D.
    """
    if digit not in DTMF_DIGITS:
        raise ValueError(f"{digit!r} is not a telephone key; use one of 0-9 * # A B C D")
    return bytes((KIND_DTMF, 0, 1)) + digit.encode("ascii")
