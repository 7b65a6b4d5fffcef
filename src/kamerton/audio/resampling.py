"""Change of sample rate, one-shot and streaming, on libsoxr."""

from __future__ import annotations

from typing import Final

import numpy as np
import soxr

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat

_QUALITY: Final = "HQ"
"""soxr's 20-bit recipe: flat to 0.91 of the lower Nyquist rate, aliases below -100 dB."""


def resample(pcm: bytes, source: AudioFormat, target: AudioFormat) -> bytes:
    """Resample a whole piece of 16-bit mono audio. An odd last byte is dropped."""
    whole = _whole_samples(pcm)
    if source == target or not whole:
        return whole
    samples = np.frombuffer(whole, "<i2")
    return bytes(soxr.resample(samples, source.rate_hz, target.rate_hz, quality=_QUALITY).astype("<i2").tobytes())


class StreamResampler:
    """Resamples audio that arrives piece by piece, without gaps at the borders.

    Pieces may have any length, odd bytes included. The filter holds back a few milliseconds until `flush`.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self._same = source == target
        self._stream = soxr.ResampleStream(source.rate_hz, target.rate_hz, 1, dtype="int16", quality=_QUALITY)
        self._odd = b""

    def push(self, pcm: bytes) -> bytes:
        """Take a piece; return what is ready of the output."""
        data = self._odd + pcm if self._odd else pcm
        whole = _whole_samples(data)
        self._odd = data[len(whole) :]
        return self._convert(whole, last=False) if whole else b""

    def flush(self) -> bytes:
        """Return the rest and make ready for a new, unrelated piece of audio. Half a sample is dropped."""
        self._odd = b""
        rest = self._convert(b"", last=True)
        self._stream.clear()
        return rest

    def _convert(self, whole: bytes, *, last: bool) -> bytes:
        if self._same:
            return whole
        samples = np.frombuffer(whole, "<i2")
        return bytes(self._stream.resample_chunk(samples, last=last).astype("<i2").tobytes())


def _whole_samples(pcm: bytes) -> bytes:
    return pcm[: len(pcm) - len(pcm) % SAMPLE_BYTES]
