"""What a radio or a television puts on a caller's line: made-up music, and voices over it, 8 kHz.

Music here is chords of plucked strings over a bass, a melody with vibrato, drums, and a jingle of bells; the same seed
gives the same. Voices are given: recordings, one after another without a breath between them, over softer music.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kamerton.audio.levels import decibels_to_gain
from kamerton.domain.audio import PHONE

Samples = NDArray[np.float64]

RATE_HZ: Final = PHONE.rate_hz
FULL_SCALE: Final = 32768.0
BED_BELOW_VOICE_DB: Final = 12.0
"""Music under a presenter's voice."""

_BEAT_S: Final = 0.5
_BARS: Final = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
"""Chords in semitones above A: I, vi, IV, V."""
_A_HZ: Final = 220.0
_MOST_HZ: Final = 3600.0
_JINGLE: Final = (12, 16, 19, 24, 19, 24)
_JINGLE_EVERY_BARS: Final = 8
_VIBRATO_HZ: Final = 5.5
_VIBRATO: Final = 0.012


def music(seed: int, seconds: float, level_dbfs: float) -> Samples:
    """Music of a mean level, in samples of 16 bits (not rounded). About 30 ms of CPU per second."""
    source = np.random.default_rng(seed)
    sound = np.zeros(int(seconds * RATE_HZ))
    for bar in range(int(seconds / (4 * _BEAT_S)) + 1):
        chord = _BARS[bar % len(_BARS)]
        start_s = bar * 4 * _BEAT_S
        _bar(sound, start_s, chord, source)
        if bar % _JINGLE_EVERY_BARS == 0:
            for number, step in enumerate(_JINGLE):
                _add(sound, start_s + number * 0.17, _bell(_pitch_hz(step + 12), 0.9), 0.5)
    return _at_level(sound, level_dbfs)


def television(seed: int, seconds: float, level_dbfs: float, voices: Sequence[Samples]) -> Samples:
    """A presenter over music: the voices in an order that the seed decides, with no pause between them.

    Raises:
        ValueError: there are no voices.
    """
    if not voices:
        raise ValueError("a television needs voices: give recordings")
    source = np.random.default_rng(seed)
    count = int(seconds * RATE_HZ)
    spoken: list[Samples] = []
    while sum(len(voice) for voice in spoken) < count:
        spoken.append(_at_level(voices[int(source.integers(len(voices)))], level_dbfs))
    talk = np.concatenate(spoken)[:count] if spoken else np.zeros(0)
    return talk + music(seed, seconds, level_dbfs - BED_BELOW_VOICE_DB)[:count]


def to_pcm(samples: Samples) -> bytes:
    """As 16-bit audio; what is too loud is clipped."""
    return np.clip(np.rint(samples), -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes()


def _bar(sound: Samples, start_s: float, chord: tuple[int, ...], source: np.random.Generator) -> None:
    for beat in range(4):
        at_s = start_s + beat * _BEAT_S
        for step in chord:
            _add(sound, at_s, _string(_pitch_hz(step), _BEAT_S * 1.6), 0.3)
        _add(sound, at_s, _string(_pitch_hz(chord[0] - 12), _BEAT_S), 0.5)
        sung = chord[int(source.integers(len(chord)))] + 12
        _add(sound, at_s, _sung(_pitch_hz(sung), _BEAT_S * float(source.choice((0.5, 1.0)))), 0.6)
        _add(sound, at_s, _drum(source, low=beat % 2 == 0), 0.7)
        _add(sound, at_s + _BEAT_S / 2, _hat(source), 0.25)


def _pitch_hz(semitones: int) -> float:
    return float(_A_HZ * 2 ** (semitones / 12))


def _times(seconds: float) -> Samples:
    return np.arange(int(seconds * RATE_HZ)) / RATE_HZ


def _string(pitch_hz: float, seconds: float) -> Samples:
    t = _times(seconds)
    partials = range(1, int(_MOST_HZ / pitch_hz) + 1)
    tone: Samples = sum(
        (np.sin(2 * np.pi * n * pitch_hz * t) * np.exp(-t * (2 + n)) / n for n in partials), np.zeros(len(t))
    )
    return tone * np.minimum(1, t / 0.004)


def _bell(pitch_hz: float, seconds: float) -> Samples:
    t = _times(seconds)
    tone: Samples = sum(
        (np.sin(2 * np.pi * ratio * pitch_hz * t) * np.exp(-t * 4 * ratio) for ratio in (1.0, 2.76)), np.zeros(len(t))
    )
    return tone


def _sung(pitch_hz: float, seconds: float) -> Samples:
    """A wind instrument's held tone: harmonics with vibrato, a soft beginning and end."""
    t = _times(seconds)
    sway = 1 + _VIBRATO * np.sin(2 * np.pi * _VIBRATO_HZ * t)
    phase = 2 * np.pi * np.cumsum(pitch_hz * sway) / RATE_HZ
    partials = range(1, min(6, int(_MOST_HZ / pitch_hz)) + 1)
    tone: Samples = sum((np.sin(n * phase) / n**1.5 for n in partials), np.zeros(len(t)))
    return tone * np.minimum(1, np.minimum(t, seconds - t) / 0.04)


def _drum(source: np.random.Generator, *, low: bool) -> Samples:
    t = _times(0.18)
    if low:
        kick: Samples = np.sin(2 * np.pi * 90 * t * np.exp(-t * 6)) * np.exp(-t * 20)
        return kick
    snare: Samples = source.normal(0.0, 0.5, len(t)) * np.exp(-t * 25)
    return snare


def _hat(source: np.random.Generator) -> Samples:
    t = _times(0.06)
    hiss: Samples = np.diff(source.normal(0.0, 0.5, len(t) + 1)) * np.exp(-t * 70)
    return hiss


def _add(sound: Samples, at_s: float, part: Samples, gain: float) -> None:
    start = int(at_s * RATE_HZ)
    end = min(len(sound), start + len(part))
    if start < end:
        sound[start:end] += gain * part[: end - start]


def _at_level(samples: Samples, level_dbfs: float) -> Samples:
    rms = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    return samples * (FULL_SCALE * decibels_to_gain(level_dbfs) / rms) if rms else samples
