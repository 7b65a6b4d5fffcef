"""Loudness and gain of 16-bit mono audio. Per-frame functions cost a few microseconds for a 20 ms frame.

Levels are in dBFS relative to a full-scale square wave: a sine at full scale has an RMS of -3.01 dBFS.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat

SILENCE_DBFS: Final = -100.0
"""What digital silence and empty audio measure; nothing measures less (one step of 16 bits is -90.3 dBFS)."""

_FULL_SCALE: Final = 32768.0
_WINDOW_MS: Final = 20


def rms_dbfs(pcm: bytes) -> float:
    """RMS level of a piece of audio."""
    samples = _samples(pcm)
    if not samples.size:
        return SILENCE_DBFS
    wide = samples.astype(np.float32)
    return _power_dbfs(float(np.dot(wide, wide)) / samples.size)


def peak_dbfs(pcm: bytes) -> float:
    """Level of the loudest sample."""
    samples = _samples(pcm)
    if not samples.size:
        return SILENCE_DBFS
    peak = max(int(samples.max()), -int(samples.min()))
    return _power_dbfs(float(peak * peak))


def speech_dbfs(pcm: bytes, audio_format: AudioFormat, *, gate_db: float = 25.0) -> float:
    """RMS level of the loud parts only: 20 ms windows within `gate_db` of the loudest one. Pauses do not count."""
    powers = _window_powers(pcm, audio_format)
    loudest = float(powers.max()) if powers.size else 0.0
    if loudest <= 0.0:
        return SILENCE_DBFS
    gate: float = 10.0 ** (gate_db / 10.0)
    return _power_dbfs(float(powers[powers >= loudest / gate].mean()))


def apply_gain(pcm: bytes, gain: float) -> bytes:
    """Multiply by a linear factor; what exceeds full scale is clipped."""
    if gain == 1.0:
        return pcm
    return _to_pcm(_samples(pcm).astype(np.float32) * np.float32(gain))


def ramp_gain(pcm: bytes, start: float, end: float) -> bytes:
    """Multiply by a factor that goes linearly from `start` to `end` over the piece: ducking, one frame a step."""
    if start == end:
        return apply_gain(pcm, start)
    samples = _samples(pcm)
    return _to_pcm(samples * (_unit_ramp(samples.size) * np.float32(end - start) + np.float32(start)))


def fade_in(pcm: bytes, samples: int) -> bytes:
    """Raise the first `samples` linearly from silence (all of them when the piece is shorter)."""
    cut = min(samples * SAMPLE_BYTES, len(pcm))
    return ramp_gain(pcm[:cut], 0.0, 1.0) + pcm[cut:]


def fade_out(pcm: bytes, samples: int) -> bytes:
    """Lower the last `samples` linearly to silence (all of them when the piece is shorter)."""
    cut = max(0, len(pcm) - samples * SAMPLE_BYTES)
    return pcm[:cut] + ramp_gain(pcm[cut:], 1.0, 0.0)


def decibels_to_gain(decibels: float) -> float:
    """Linear factor of a change in dB."""
    gain: float = 10.0 ** (decibels / 20.0)
    return gain


def speech_gain(
    pcm: bytes,
    audio_format: AudioFormat,
    *,
    target_dbfs: float,
    peak_ceiling_dbfs: float = -1.0,
    max_gain_db: float = 15.0,
) -> float:
    """The linear gain that brings the loud parts of speech to a level.

    It takes the peak no higher than its ceiling and never exceeds `max_gain_db`; for silence it is 1.
    """
    level = speech_dbfs(pcm, audio_format)
    if level <= SILENCE_DBFS:
        return 1.0
    return decibels_to_gain(min(target_dbfs - level, max_gain_db, peak_ceiling_dbfs - peak_dbfs(pcm)))


def trim_silence(
    pcm: bytes, audio_format: AudioFormat, *, threshold_dbfs: float, keep_head_ms: float, keep_tail_ms: float
) -> bytes:
    """Cut silence off both ends, keeping a little of it; audio without anything louder than the threshold vanishes."""
    powers = _window_powers(pcm, audio_format)
    floor: float = (_FULL_SCALE**2) * 10.0 ** (threshold_dbfs / 10.0)
    loud = np.flatnonzero(powers >= floor)
    if not loud.size:
        return b""
    window = audio_format.samples(_WINDOW_MS)
    first = max(0, int(loud[0]) * window - audio_format.samples(keep_head_ms))
    last = (int(loud[-1]) + 1) * window + audio_format.samples(keep_tail_ms)
    return pcm[first * SAMPLE_BYTES : last * SAMPLE_BYTES]


def _samples(pcm: bytes) -> npt.NDArray[np.int16]:
    return np.frombuffer(pcm, "<i2", count=len(pcm) // SAMPLE_BYTES)


def _to_pcm(values: npt.NDArray[np.floating]) -> bytes:
    np.rint(values, out=values)
    np.clip(values, -32768, 32767, out=values)
    return values.astype("<i2").tobytes()


def _power_dbfs(power: float) -> float:
    if power <= 0.0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 10.0 * math.log10(power / _FULL_SCALE**2))


def _window_powers(pcm: bytes, audio_format: AudioFormat) -> npt.NDArray[np.float64]:
    samples = _samples(pcm).astype(np.float64)
    window = audio_format.samples(_WINDOW_MS)
    padded = np.zeros(-(-samples.size // window) * window)
    padded[: samples.size] = samples
    powers: npt.NDArray[np.float64] = np.square(padded).reshape(-1, window).mean(axis=1)
    return powers


@lru_cache(maxsize=16)
def _unit_ramp(size: int) -> npt.NDArray[np.float32]:
    ramp = np.linspace(0.0, 1.0, size, dtype=np.float32)
    ramp.setflags(write=False)
    return ramp
