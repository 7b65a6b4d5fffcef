"""A sine generator for stand-in voices and tests."""

from __future__ import annotations

import numpy as np

from kamerton.audio.levels import decibels_to_gain, fade_in, fade_out
from kamerton.domain.audio import AudioFormat

_EDGE_MS = 5.0


def tone(frequency_hz: float, duration_ms: float, audio_format: AudioFormat, *, level_dbfs: float = -20.0) -> bytes:
    """A sine of an RMS level, with 5 ms fades at both ends so that it does not click."""
    times = np.arange(audio_format.samples(duration_ms)) / audio_format.rate_hz
    amplitude = min(32767.0, 32768.0 * decibels_to_gain(level_dbfs) * 2**0.5)
    pcm = np.rint(np.sin(2 * np.pi * frequency_hz * times) * amplitude).astype("<i2").tobytes()
    edge = audio_format.samples(_EDGE_MS)
    return fade_out(fade_in(pcm, edge), edge)


def tone_frequency_hz(pcm: bytes, audio_format: AudioFormat) -> float:
    """Frequency of the strongest component: tells which tone this is. 0.0 for silence."""
    samples = np.frombuffer(pcm, "<i2", count=len(pcm) // 2).astype(np.float64)
    if not samples.any():
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.fft.rfftfreq(samples.size, 1 / audio_format.rate_hz)[int(spectrum.argmax())])
