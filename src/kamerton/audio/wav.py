"""Reading and writing of WAV (RIFF/WAVE) data.

Layout: `RIFF` size `WAVE`, then chunks of `id`, little-endian 32-bit size and content padded to an even length. `fmt `
holds tag, channels, rate, bytes per second, bytes per frame, bits per sample; tag 1 is integer PCM, 3 is IEEE float,
0xFFFE keeps the real tag in the first two bytes of its sub-format GUID (Microsoft multimedia specification).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat
from kamerton.domain.errors import ConfigurationError

DEFAULT_MAX_DURATION_S: Final = 600.0

_TAG_PCM: Final = 1
_TAG_FLOAT: Final = 3
_TAG_EXTENSIBLE: Final = 0xFFFE
_STREAMED_SIZE: Final = 0x7FFF0000
"""Writers that cannot seek leave 0, 0xFFFFFFFF or a figure near 2 GiB where the size should be."""
_MAX_BYTES_PER_S: Final = 192_000 * 8 * 8
_RATES_HZ: Final = range(1_000, 384_001)


@dataclass(frozen=True, slots=True)
class WavAudio:
    """The content of a WAV file as 16-bit mono."""

    pcm: bytes
    format: AudioFormat

    @property
    def duration_ms(self) -> float:
        """Length in milliseconds."""
        return self.format.duration_ms(len(self.pcm) // SAMPLE_BYTES)


@dataclass(frozen=True, slots=True)
class _Layout:
    tag: int
    channels: int
    rate_hz: int
    bits: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.bits // 8


def read_wav_file(path: Path, *, max_duration_s: float = DEFAULT_MAX_DURATION_S) -> WavAudio:
    """Read a WAV file of any rate, channel count and usual sample type as 16-bit mono at its own rate.

    Raises:
        ConfigurationError: the file cannot be read, is no WAV, or is empty, truncated, too long or of an unknown type.
    """
    limit = int(max_duration_s * _MAX_BYTES_PER_S)
    try:
        if path.stat().st_size > limit:
            raise ConfigurationError(f"{path}: longer than {max_duration_s:g} s; give a shorter recording")
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); check the path and its rights") from error
    return read_wav(data, name=str(path), max_duration_s=max_duration_s)


def read_wav(data: bytes, *, name: str = "WAV data", max_duration_s: float = DEFAULT_MAX_DURATION_S) -> WavAudio:
    """Read WAV bytes as 16-bit mono; channels are averaged. `name` stands in messages.

    A size in the `data` header that a streaming writer left open (0 or an absurdly big one) means "to the end".

    Raises:
        ConfigurationError: the data is no WAV, or is empty, truncated, too long or of an unknown type.
    """
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ConfigurationError(f"{name}: not a WAV file (no RIFF/WAVE header); convert it, e.g. with ffmpeg")
    layout, body = _find_chunks(data, name)
    body = body[: len(body) // layout.frame_bytes * layout.frame_bytes]
    frames = len(body) // layout.frame_bytes
    if not frames:
        raise ConfigurationError(f"{name}: holds no audio; record it again")
    if frames > max_duration_s * layout.rate_hz:
        raise ConfigurationError(
            f"{name}: {frames / layout.rate_hz:.1f} s long, at most {max_duration_s:g} s are allowed; shorten it"
        )
    return WavAudio(_to_mono_s16(body, layout), AudioFormat(layout.rate_hz))


def wav_bytes(pcm: bytes, audio_format: AudioFormat) -> bytes:
    """The WAV file that holds this audio. An odd last byte is dropped."""
    size = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
    rate = audio_format.rate_hz
    head = struct.pack("<4sI4s4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16)
    layout = struct.pack("<HHIIHH", _TAG_PCM, 1, rate, rate * SAMPLE_BYTES, SAMPLE_BYTES, 16)
    return head + layout + struct.pack("<4sI", b"data", size) + pcm[:size]


def write_wav_file(path: Path, pcm: bytes, audio_format: AudioFormat) -> None:
    """Write audio as a WAV file; a reader never sees half a file.

    Raises:
        OSError: the folder is missing or not writable.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(wav_bytes(pcm, audio_format))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _find_chunks(data: bytes, name: str) -> tuple[_Layout, bytes]:
    layout: _Layout | None = None
    at = 12
    while at + 8 <= len(data):
        chunk_id = data[at : at + 4]
        (size,) = struct.unpack_from("<I", data, at + 4)
        start = at + 8
        if chunk_id == b"fmt ":
            layout = _parse_layout(data[start : start + size], name)
        elif chunk_id == b"data":
            if layout is None:
                raise ConfigurationError(f"{name}: its audio comes before its format; convert it, e.g. with ffmpeg")
            return layout, _audio_bytes(data, start, size, name)
        at = start + size + (size & 1)
    missing = "format" if layout is None else "audio"
    raise ConfigurationError(f"{name}: truncated or damaged: no {missing} chunk in it; make it again")


def _audio_bytes(data: bytes, start: int, size: int, name: str) -> bytes:
    available = len(data) - start
    if size == 0 or size >= _STREAMED_SIZE:
        return data[start:]
    if size > available:
        raise ConfigurationError(
            f"{name}: truncated: {size} bytes of audio announced, {available} there; copy it again"
        )
    return data[start : start + size]


def _parse_layout(chunk: bytes, name: str) -> _Layout:
    if len(chunk) < 16:
        raise ConfigurationError(
            f"{name}: truncated or damaged: its format chunk has {len(chunk)} bytes; make it again"
        )
    tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _TAG_EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack_from("<H", chunk, 24)
    known = (tag == _TAG_PCM and bits in (8, 16, 24, 32)) or (tag == _TAG_FLOAT and bits in (32, 64))
    if not known:
        raise ConfigurationError(
            f"{name}: sample type {tag} with {bits} bits is not supported; convert it to 16-bit PCM, e.g. with ffmpeg"
        )
    if not channels or rate_hz not in _RATES_HZ:
        raise ConfigurationError(f"{name}: damaged format: {channels} channels at {rate_hz} Hz; make it again")
    return _Layout(tag, channels, rate_hz, bits)


def _to_mono_s16(body: bytes, layout: _Layout) -> bytes:
    if layout.tag == _TAG_PCM and layout.bits == 16 and layout.channels == 1:
        return body
    samples = _to_float(body, layout).reshape(-1, layout.channels).mean(axis=1)
    return bytes(np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2").tobytes())


def _to_float(body: bytes, layout: _Layout) -> npt.NDArray[np.float64]:
    if layout.tag == _TAG_FLOAT:
        values = np.frombuffer(body, "<f4" if layout.bits == 32 else "<f8").astype(np.float64)
        return np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=-1.0)
    if layout.bits == 8:
        return (np.frombuffer(body, np.uint8).astype(np.float64) - 128.0) / 128.0
    if layout.bits == 24:
        wide = np.zeros((len(body) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(body, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float64) / 2147483648.0
    whole = np.frombuffer(body, f"<i{layout.bits // 8}").astype(np.float64)
    scale: float = 2.0 ** (layout.bits - 1)
    return whole / scale
