"""Sound that a listener takes for speech and that says nothing: syllables of a made-up voice, for stand-ins and tests.

A tone is a poor stand-in where the bot's own voice comes back: no detector takes it for speech, and it has neither
the spectrum nor the dips that tell one moment of a voice from another. Here harmonics of a falling pitch glide from
vowel to vowel, parted by short consonants, hummed or hissed.
"""

from __future__ import annotations

import random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kamerton.audio.levels import decibels_to_gain, fade_in, fade_out
from kamerton.domain.audio import AudioFormat

VOWEL_DBFS: Final = -20.0
CONSONANT_DB: Final = -12.0
"""Relative to the vowels. With its length this keeps every dip under 100 ms and far above silence."""
BREATH_DB: Final = -34.0
"""Noise under all of it."""

Floats = NDArray[np.float64]
Formants = tuple[int, int, int]

_CONSONANT_MS: Final = (40, 60)
_VOWEL_MS: Final = (110, 210)
_HUMMED_SHARE: Final = 0.6
_VOWELS_HZ: Final[tuple[Formants, ...]] = (
    (750, 1250, 2600),
    (530, 1850, 2500),
    (500, 900, 2400),
    (320, 2200, 2900),
    (330, 700, 2300),
)
"""The first formants of «а э о и у» of a man's voice."""
_HUM_HZ: Final[Formants] = (280, 1100, 2300)
_PITCH_HZ: Final = (105.0, 150.0)
_SWAY_HZ: Final = 10.0
_HIGHEST_HZ: Final = 3600.0
_EDGE_MS: Final = 5.0
_GLIDE_MS: Final = 12.0


def babble(seed: int, duration_ms: float, audio_format: AudioFormat) -> bytes:
    """Speech-like audio of an exact length. Pure: the same seed gives the same sound. About 10 ms of CPU per second."""
    source = random.Random(seed)
    hiss = np.random.default_rng(seed)
    count = audio_format.samples(duration_ms)
    pitch_hz = _melody(source, count, audio_format)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / audio_format.rate_hz
    voice = np.zeros(count)
    at, vowel = 0, source.choice(_VOWELS_HZ)
    while at < count:
        end = min(count, at + audio_format.samples(source.uniform(*_CONSONANT_MS)))
        humming = source.random() < _HUMMED_SHARE
        hum = _voiced(phase[at:end], pitch_hz[at:end], (_HUM_HZ, _HUM_HZ)) if humming else _hissed(hiss, end - at)
        voice[at:end] = _level(hum, CONSONANT_DB, audio_format)
        at, before, vowel = end, vowel, source.choice(_VOWELS_HZ)
        end = min(count, at + audio_format.samples(source.uniform(*_VOWEL_MS)))
        voice[at:end] = _level(_voiced(phase[at:end], pitch_hz[at:end], (before, vowel)), 0.0, audio_format)
        at = end
    voice += hiss.normal(0.0, decibels_to_gain(BREATH_DB), count)
    gain = 32768.0 * decibels_to_gain(VOWEL_DBFS)
    pcm = np.clip(np.rint(voice * gain), -32768, 32767).astype("<i2").tobytes()
    edge = audio_format.samples(_EDGE_MS)
    return fade_out(fade_in(pcm, edge), edge)


def _melody(source: random.Random, count: int, audio_format: AudioFormat) -> Floats:
    """The pitch: it falls over the sentence and moves within it, as in a statement."""
    low_hz, high_hz = _PITCH_HZ
    seconds = np.arange(count) / audio_format.rate_hz
    fall = np.linspace(high_hz, low_hz, count)
    sway = _SWAY_HZ * np.sin(2 * np.pi * source.uniform(1.0, 2.0) * seconds + source.uniform(0, 6))
    return np.asarray(fall + sway, dtype=np.float64)


def _voiced(phase: Floats, pitch_hz: Floats, formants_hz: tuple[Formants, Formants]) -> Floats:
    """Harmonics that glide from one set of formants to another."""
    if not len(phase):
        return phase
    harmonics = np.arange(1, max(2, int(_HIGHEST_HZ / pitch_hz.max())))
    rows = np.sin(np.outer(harmonics, phase))
    tones_hz = harmonics * pitch_hz.mean()
    early, late = (_weights(tones_hz, each) @ rows for each in formants_hz)
    glide = np.clip(np.linspace(-0.5, 1.5, len(phase)), 0.0, 1.0)
    return np.asarray(early * (1.0 - glide) + late * glide, dtype=np.float64)


def _weights(tones_hz: Floats, formants_hz: Formants) -> Floats:
    """How loud each harmonic is: resonances over a source that falls by 6 dB an octave."""
    widths_hz = (80.0, 100.0, 150.0)
    peaks = [
        strength / (1.0 + ((tones_hz - center_hz) / width_hz) ** 2)
        for center_hz, width_hz, strength in zip(formants_hz, widths_hz, (1.0, 0.6, 0.3), strict=True)
    ]
    return np.asarray((sum(peaks) + 0.01) / (tones_hz / tones_hz[0]) ** 0.5, dtype=np.float64)


def _hissed(source: np.random.Generator, count: int) -> Floats:
    """Noise that rises with the frequency, as an «s» on a telephone."""
    return np.diff(source.normal(0.0, 1.0, count + 1))


def _level(sound: Floats, level_db: float, audio_format: AudioFormat) -> Floats:
    """An RMS of so many dB over 1, fading in and out within a few milliseconds."""
    if not len(sound):
        return sound
    sound = sound * (decibels_to_gain(level_db) / (np.sqrt(np.mean(np.square(sound))) + 1e-9))
    edge = min(len(sound) // 2, audio_format.samples(_GLIDE_MS))
    ramp = np.sin(np.linspace(0.3, np.pi / 2, edge))
    sound[:edge] *= ramp
    sound[len(sound) - edge :] *= ramp[::-1]
    return sound
