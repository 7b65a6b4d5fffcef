"""G.711, the sound of telephone networks: A-law and µ-law, a byte per sample at 8 kHz (ITU-T G.711)."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

_MU_BIAS: Final = 132
_MU_CLIP: Final = 32635
_CODES: Final = np.arange(256, dtype=np.int32)


def encode_alaw(pcm: bytes) -> bytes:
    """16-bit mono PCM as A-law. Half a sample at the end is dropped."""
    return _looked_up(_alaw_codes(), pcm)


def decode_alaw(data: bytes) -> bytes:
    """A-law as 16-bit mono PCM."""
    return _alaw_samples()[np.frombuffer(data, np.uint8)].tobytes()


def encode_ulaw(pcm: bytes) -> bytes:
    """16-bit mono PCM as µ-law. Half a sample at the end is dropped."""
    return _looked_up(_ulaw_codes(), pcm)


def decode_ulaw(data: bytes) -> bytes:
    """µ-law as 16-bit mono PCM."""
    return _ulaw_samples()[np.frombuffer(data, np.uint8)].tobytes()


def _looked_up(codes: npt.NDArray[np.uint8], pcm: bytes) -> bytes:
    return bytes(codes[np.frombuffer(pcm, "<u2", count=len(pcm) // 2)])


def _every_sample() -> npt.NDArray[np.int32]:
    """All 16-bit samples, in the order of their bits read as unsigned numbers."""
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)


@cache
def _alaw_codes() -> npt.NDArray[np.uint8]:
    samples = _every_sample() >> 3
    negative = samples < 0
    magnitude = np.where(negative, -samples - 1, samples)
    segment = np.maximum(_bits(magnitude) - 5, 0)
    step = np.where(segment < 2, magnitude >> 1, magnitude >> segment) & 0x0F
    return ((segment << 4 | step) ^ np.where(negative, 0x55, 0xD5)).astype(np.uint8)


@cache
def _alaw_samples() -> npt.NDArray[np.int16]:
    codes = _CODES ^ 0x55
    segment = codes >> 4 & 7
    step = (codes & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(codes & 0x80, magnitude, -magnitude).astype("<i2")


@cache
def _ulaw_codes() -> npt.NDArray[np.uint8]:
    samples = _every_sample()
    magnitude = np.minimum(np.abs(samples), _MU_CLIP) + _MU_BIAS
    segment = _bits(magnitude) - 8
    step = magnitude >> (segment + 3) & 0x0F
    codes: npt.NDArray[np.uint8] = (~(np.where(samples < 0, 0x80, 0) | segment << 4 | step) & 0xFF).astype(np.uint8)
    return codes


@cache
def _ulaw_samples() -> npt.NDArray[np.int16]:
    codes = ~_CODES & 0xFF
    magnitude = ((((codes & 0x0F) << 3) + _MU_BIAS) << (codes >> 4 & 7)) - _MU_BIAS
    return np.where(codes & 0x80, -magnitude, magnitude).astype("<i2")


def _bits(values: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Bits that each value needs; 0 for 0."""
    return np.ceil(np.log2(values.astype(np.float64) + 1)).astype(np.int32)
