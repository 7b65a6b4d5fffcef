"""The sounds of bad lines, made once for all callers of a process: noise, hum, rooms, band and coding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kamerton.audio.levels import decibels_to_gain, speech_dbfs
from kamerton.domain.audio import PHONE
from kamerton.testing.caller.broadcast import music
from kamerton.testing.caller.recordings import Recording
from kamerton.testing.caller.speech_span import FULL_SCALE

FRAME: Final = PHONE.frame_samples
RATE_HZ: Final = PHONE.rate_hz
FAINT_RMS: Final = 10.0
"""What a line without noise of its own has, about -70 dBFS: as the human recordings."""
ROOM_MS: Final = 24.0
BAND_HZ: Final = (300.0, 3400.0)
USUAL_SPEECH_DBFS: Final = -20.0
MUSIC_SEED: Final = 3
MUSIC_S: Final = 16.0
"""Eight bars, so that it goes on in time when it begins anew."""

_BED_S: Final = 11.0
_BED_FRAMES: Final = round(_BED_S * RATE_HZ) // FRAME
_ROOM_DECAY_MS: Final = 6.0
_ROOM_SHARE: Final = 0.35
_ACTIVE_BELOW_DB: Final = 30.0
_WIRE_HEADER: Final = 3
_HUM: Final = ((50, 1.0), (100, 0.5), (150, 0.3), (200, 0.2))
_MU: Final = 255.0

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PreparedSpeech:
    """A recording as samples, [frames, samples], and which of its frames hold sound that a phone would send."""

    frames: Samples
    active: NDArray[np.bool_]


class LineSounds:
    """Beds of noise and recordings as samples, 8 kHz, shared by all callers of a process. Costs nothing per frame.

    Args:
        seed: the noise follows from it.
        speech: what callers say; noise is set relative to its level.
    """

    def __init__(self, seed: int, speech: Sequence[Recording] = ()) -> None:
        levels = [speech_dbfs(_pcm(each), PHONE) for each in speech]
        self.speech_rms: Final = FULL_SCALE * decibels_to_gain(float(np.median(levels or [USUAL_SPEECH_DBFS])))
        self._noise: Final = np.random.default_rng(seed)
        self._beds: dict[tuple[str, bool], Samples] = {}
        self._speech: dict[tuple[int, bool], tuple[Recording, PreparedSpeech]] = {}

    def bed(self, colour: str, *, telephone_band: bool) -> Samples:
        """Noise of RMS 1 in frames that may be repeated: eleven seconds `white` or `pink`, sixteen of `music`."""
        key = (colour, telephone_band)
        if key not in self._beds:
            self._beds[key] = self._made_bed(colour, telephone_band=telephone_band)
        return self._beds[key]

    def speech(self, recording: Recording, *, telephone_band: bool) -> PreparedSpeech:
        """A recording as samples; cut once."""
        key = (id(recording), telephone_band)
        if key not in self._speech:
            self._speech[key] = (recording, _prepared(recording, telephone_band=telephone_band))
        return self._speech[key][1]

    def _made_bed(self, colour: str, *, telephone_band: bool) -> Samples:
        played = music(MUSIC_SEED, MUSIC_S, USUAL_SPEECH_DBFS) if colour == "music" else None
        count = _BED_FRAMES * FRAME if played is None else len(played) // FRAME * FRAME
        spectrum = np.fft.rfft(self._noise.normal(size=count) if played is None else played[:count])
        if colour == "pink":
            spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 20 * _BED_S))
        bed = np.fft.irfft(_in_band(spectrum, count) if telephone_band else spectrum, count)
        return np.asarray((bed / np.sqrt(np.mean(np.square(bed)))).reshape(-1, FRAME), dtype=np.float32)


def hum() -> Samples:
    """One frame of mains hum with an RMS of 1: 50 Hz fits the frame, so that it goes on without a seam."""
    instants = np.arange(FRAME) / RATE_HZ
    wave = np.sum([share * np.sin(2 * np.pi * tone_hz * instants) for tone_hz, share in _HUM], axis=0)
    return np.asarray(wave / np.sqrt(np.mean(np.square(wave))), dtype=np.float32)


def room(seed: int, *, telephone_band: bool) -> Samples:
    """How a small room and an earpiece answer: first the sound itself, then a tail of 24 ms; its energy is 1."""
    source = np.random.default_rng(seed)
    count = round(ROOM_MS * RATE_HZ / 1000)
    taps = source.normal(0.0, _ROOM_SHARE, count) * np.exp(-np.arange(count) / (_ROOM_DECAY_MS * RATE_HZ / 1000))
    taps[0] = 1.0
    if telephone_band:
        taps = np.fft.irfft(_in_band(np.fft.rfft(taps), count), count)
    return np.asarray(taps / np.sqrt(np.sum(np.square(taps))), dtype=np.float32)


@lru_cache(maxsize=1)
def mu_law_table() -> NDArray[np.int16]:
    """What each 16-bit sample, taken as an unsigned index, has become after the way through 8-bit mu-law."""
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float64) / FULL_SCALE
    coded = np.rint(np.sign(samples) * np.log1p(_MU * np.abs(samples)) / np.log1p(_MU) * 127.0) / 127.0
    decoded = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(_MU)) / _MU
    return np.asarray(np.clip(np.rint(decoded * FULL_SCALE), -32768, 32767), dtype=np.int16)


def _prepared(recording: Recording, *, telephone_band: bool) -> PreparedSpeech:
    samples = np.frombuffer(_pcm(recording), dtype="<i2").astype(np.float64)
    if telephone_band:
        samples = np.fft.irfft(_in_band(np.fft.rfft(samples), len(samples)), len(samples))
    frames = np.asarray(samples.reshape(-1, FRAME), dtype=np.float32)
    powers = np.mean(np.square(frames), axis=1)
    return PreparedSpeech(frames, powers > powers.max() / 10 ** (_ACTIVE_BELOW_DB / 10))


def _in_band(spectrum: NDArray[np.complex128], count: int) -> NDArray[np.complex128]:
    tones_hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    low_hz, high_hz = BAND_HZ
    passed = 1.0 / np.sqrt(1.0 + (low_hz / np.maximum(tones_hz, 1.0)) ** 8) / np.sqrt(1.0 + (tones_hz / high_hz) ** 16)
    return np.asarray(spectrum * passed, dtype=np.complex128)


def _pcm(recording: Recording) -> bytes:
    """The audio of a recording's wire messages, whole frames of it."""
    return b"".join(message[_WIRE_HEADER:].ljust(PHONE.frame_bytes, b"\0") for message in recording.messages)
