"""RTP (RFC 3550), keys in it (RFC 4733) and the sound that it carries: bytes to values and back, no I/O."""

from __future__ import annotations

import random
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from kamerton.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from kamerton.domain.audio import FRAME_MS, PHONE, WIDEBAND, AudioFormat

KEYS: Final = "0123456789*#ABCD"
"""In the order of their event numbers."""
KEY_PAYLOAD_TYPE: Final = 101
KEY_CLOCK_HZ: Final = 8000
KEY_FRAMES: Final = 8
"""How long a key is held: 160 ms."""
KEY_GAP_FRAMES: Final = 5
"""Between two keys: 100 ms."""

_HEADER: Final = struct.Struct("!BBHII")
_EVENT: Final = struct.Struct("!BBH")
_VERSION: Final = 0x80
_MARKER: Final = 0x80
_END: Final = 0x80
_ENDS_SENT: Final = 3
"""The last packet of a key is sent three times, since nobody repeats a lost one."""
_FIRST_DURATION: Final = (KEY_CLOCK_HZ * FRAME_MS // 1000).to_bytes(2, "big")
_LOW_HZ: Final = (697, 770, 852, 941)
_HIGH_HZ: Final = (1209, 1336, 1477, 1633)
_KEYPAD: Final = ("123A", "456B", "789C", "*0#D")
_TONE_AMPLITUDE: Final = 4000


def _swapped(pcm: bytes) -> bytes:
    return np.frombuffer(pcm, "<i2", count=len(pcm) // 2).astype(">i2").tobytes()


@dataclass(frozen=True, slots=True)
class PhoneCodec:
    """An encoding of sound, as SDP names it."""

    payload_type: int
    name: str
    format: AudioFormat
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]


ALAW: Final = PhoneCodec(8, "PCMA/8000", PHONE, encode_alaw, decode_alaw)
ULAW: Final = PhoneCodec(0, "PCMU/8000", PHONE, encode_ulaw, decode_ulaw)
LINEAR16: Final = PhoneCodec(118, "L16/16000", WIDEBAND, _swapped, _swapped)
"""Uncompressed 16 kHz (RFC 3551 L16, big-endian)."""


class RtpPacket(NamedTuple):
    """What of a packet matters here."""

    payload_type: int
    sequence: int
    timestamp: int
    payload: bytes


def parse_rtp(data: bytes) -> RtpPacket | None:
    """A packet; None for what is none. Contributing sources and extensions are skipped."""
    if len(data) < _HEADER.size or data[0] & 0xC0 != _VERSION:
        return None
    first, second, sequence, timestamp, _ = _HEADER.unpack_from(data)
    at = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < at + 4:
            return None
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    return RtpPacket(second & 0x7F, sequence, timestamp, data[at:]) if at <= len(data) else None


class RtpSender:
    """Makes the packets of one stream, one tick of 20 ms after the other.

    `seed` fixes the random starts that RFC 3550 asks for. Without `first_sequence` sequence numbers begin so low that a
    call of some minutes does not come to 32768, where Asterisk's jitter buffer loses the stream (docs/asterisk.md).
    """

    def __init__(self, codec: PhoneCodec, seed: int, first_sequence: int | None = None) -> None:
        start = random.Random(seed)
        self._codec = codec
        self._source = start.getrandbits(32)
        self._sequence = start.getrandbits(14) if first_sequence is None else first_sequence - 1
        self._timestamp = start.getrandbits(32)
        self._key_frames: deque[tuple[bytes, ...]] = deque()
        self._key_down = 0
        self._resumed = True

    def press(self, key: str) -> None:
        """Send a key with the next ticks, in place of sound."""
        event = KEYS.index(key)
        step = KEY_CLOCK_HZ * FRAME_MS // 1000
        for frame in range(1, KEY_FRAMES + 1):
            last = frame == KEY_FRAMES
            payload = _EVENT.pack(event, _END if last else 0, frame * step)
            self._key_frames.append((payload,) * (_ENDS_SENT if last else 1))
        self._key_frames.extend(((),) * KEY_GAP_FRAMES)

    def tick(self, pcm: bytes) -> list[bytes]:
        """The packets of the next 20 ms; sound gives way to a key that is held."""
        if self._key_frames:
            packets = self._key_frame(self._key_frames.popleft())
        else:
            sound = self._codec.encode(pcm)
            packets = [self._packet(self._codec.payload_type, sound, self._timestamp, marked=self._resumed)]
            self._resumed = False
        self._advance()
        return packets

    def _key_frame(self, payloads: tuple[bytes, ...]) -> list[bytes]:
        """All packets of a key carry the instant at which it went down; a pause between keys carries nothing."""
        first = any(payload.endswith(_FIRST_DURATION) for payload in payloads)
        if first:
            self._key_down = self._timestamp
        return [self._packet(KEY_PAYLOAD_TYPE, payload, self._key_down, marked=first) for payload in payloads]

    def pause(self) -> None:
        """20 ms pass in which nothing is sent."""
        self._resumed = True
        self._advance()

    def _advance(self) -> None:
        self._timestamp = self._timestamp + self._codec.format.frame_samples & 0xFFFFFFFF

    def _packet(self, payload_type: int, payload: bytes, timestamp: int, *, marked: bool) -> bytes:
        self._sequence = self._sequence + 1 & 0xFFFF
        second = payload_type | (_MARKER if marked else 0)
        return _HEADER.pack(_VERSION, second, self._sequence, timestamp & 0xFFFFFFFF, self._source) + payload


def key_sound(key: str, audio_format: AudioFormat) -> bytes:
    """A key as two tones (ITU-T Q.23), with the pause that follows it: for phones that know nothing else."""
    row = next(at for at, keys in enumerate(_KEYPAD) if key in keys)
    column = _KEYPAD[row].index(key)
    times = np.arange(audio_format.frame_samples * KEY_FRAMES) / audio_format.rate_hz
    waves = np.sin(2 * np.pi * _LOW_HZ[row] * times) + np.sin(2 * np.pi * _HIGH_HZ[column] * times)
    return (waves * _TONE_AMPLITUDE).astype("<i2").tobytes() + audio_format.silence() * KEY_GAP_FRAMES
