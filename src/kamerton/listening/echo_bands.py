"""Loudness in bands of the telephone's range: what our own voice and its echo are compared by.

A small loudspeaker, a room and a codec leave little of a waveform, but most of where and when it is loud.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kamerton.listening.silero import Floats

BANDS: Final = 12
"""Bands of equal width in mel, 100 to 550 Hz wide. With 8 or 16 the decisions were no better."""
LOWEST_HZ: Final = 200.0
HIGHEST_HZ: Final = 3700.0
NOTHING_DB: Final = -100.0
"""Level of a band in which there is nothing."""

_FULL_SCALE: Final = 32768.0
_LEAST: Final = 1e-10


class BandMeter:
    """Measures windows of one length at one sample rate."""

    def __init__(self, rate_hz: int, window: int) -> None:
        hann = np.hanning(window)
        edges = _from_mel(np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), BANDS + 1))
        bins_hz = np.fft.rfftfreq(window, 1 / rate_hz)
        inside = (bins_hz[:, None] >= edges[None, :-1]) & (bins_hz[:, None] < edges[None, 1:])
        # Full scale is a sine that falls into one bin of ten.
        scale = 10 / (hann.sum() ** 2 / 2)
        self._bins = int((bins_hz < HIGHEST_HZ).sum())
        self._bands: Floats = (inside[: self._bins] / inside.sum(axis=0) * scale).astype(np.float32)
        self._hann: Floats = (hann / _FULL_SCALE).astype(np.float32)

    def measure(self, windows: Floats) -> Floats:
        """Levels in dB [windows, BANDS] of windows of 16-bit samples [windows, samples]."""
        spectra = np.fft.rfft(windows * self._hann, axis=1)[:, : self._bins]
        powers = (spectra.real**2 + spectra.imag**2).astype(np.float32) @ self._bands
        levels: Floats = 10 * np.log10(powers + np.float32(_LEAST))
        return levels


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _from_mel(mels: np.ndarray) -> np.ndarray:
    hertz: np.ndarray = 700 * (10 ** (mels / 2595) - 1)
    return hertz
