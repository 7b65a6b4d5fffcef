"""One caller's bad line, frame by frame: echo of what the caller hears, noise, hum, lost and late frames, DTX.

Pure: instants are given, and everything random follows from the seed. A frame costs some 20 µs.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Final

import numpy as np

from kamerton.audio.levels import decibels_to_gain
from kamerton.domain.audio import FRAME_MS, PHONE
from kamerton.testing.caller.line_profile import CallerDamage
from kamerton.testing.caller.line_sounds import (
    FAINT_RMS,
    FRAME,
    RATE_HZ,
    LineSounds,
    Samples,
    hum,
    mu_law_table,
    room,
)
from kamerton.testing.caller.recordings import Recording
from kamerton.testing.caller.speech_span import FULL_SCALE
from kamerton.testing.caller.wire import encode_audio

LONGEST_BURST: Final = 5
DTX_HANGOVER_FRAMES: Final = 4
"""A phone sends on for this long after the last sound."""
DTX_ABOVE_NOISE_DB: Final = 6.0
DTX_FLOOR_DBFS: Final = -50.0
RESYNC_S: Final = 0.06
"""A frame that is further than this from where the one before ended begins anew; less is the network's unevenness."""

_DELAY_CHANGES: Final = 0.1
"""Share of the frames at which the delay is drawn anew."""
_EAR_SAMPLES: Final = 4 * RATE_HZ
_EAR_KEPT: Final = RATE_HZ
"""Longer than any echo delay and its room together."""


class Ear:
    """What the caller hears, by the instant at which it is heard; the last second of it can be read.

    Frames that come in a row lie in a row, however unevenly they came: an earpiece plays them so.
    """

    def __init__(self, delay_ms: float, taps: Samples) -> None:
        self._delay = round(delay_ms * RATE_HZ / 1000)
        self._taps = taps
        self._heard = np.zeros(_EAR_SAMPLES, dtype=np.float32)
        self._origin_s: float | None = None
        self._base = -_EAR_KEPT
        """Position of the first sample of `_heard`."""
        self._written = 0
        self._loud_to = -1
        self._read: int | None = None

    def hear(self, now_s: float, samples: Samples | None) -> None:
        """A frame arrived; None for one of silence."""
        if self._origin_s is None:
            self._origin_s = now_s
        at = self._position(now_s)
        if abs(at - self._written) <= RESYNC_S * RATE_HZ:
            at = self._written
        self._written = at + FRAME
        if samples is None:
            return
        if at + len(samples) - self._base > _EAR_SAMPLES:
            self._forget(at - _EAR_KEPT)
        if at >= self._base:
            self._heard[at - self._base : at - self._base + len(samples)] = samples
            self._loud_to = at + len(samples)

    def returned(self, now_s: float) -> Samples | None:
        """What came back into the microphone over the frame that ends now; None for nothing."""
        if self._origin_s is None:
            return None
        begin = self._position(now_s) - FRAME - self._delay
        if self._read is not None and abs(begin - self._read) <= RESYNC_S * RATE_HZ:
            begin = self._read
        self._read = begin + FRAME
        first = begin - len(self._taps) + 1
        if first >= self._loud_to or first < self._base or begin + FRAME - self._base > _EAR_SAMPLES:
            return None
        return np.convolve(self._heard[first - self._base : begin + FRAME - self._base], self._taps, "valid")

    def _position(self, now_s: float) -> int:
        return round((now_s - (self._origin_s or 0.0)) * RATE_HZ)

    def _forget(self, before: int) -> None:
        kept = self._heard[max(0, before - self._base) :]
        self._heard = np.zeros(_EAR_SAMPLES, dtype=np.float32)
        self._heard[: len(kept)] = kept
        self._base = before


class LineImpairment:
    """The way from one caller's mouth to the wire. Used on the event loop only, one call of `sent` per 20 ms.

    Args:
        damage: what is wrong with the line.
        sounds: noise and recordings, shared.
        seed: losses, delays, the room and where the noise begins follow from it.
    """

    def __init__(self, damage: CallerDamage, sounds: LineSounds, seed: int) -> None:
        self.damage: Final = damage
        self.lost_frames = 0
        self.withheld_frames = 0
        """Not sent because there was nothing to hear (DTX)."""
        self._sounds = sounds
        self._random = random.Random(seed)
        below_db = damage.noise_below_speech_db
        rms = FAINT_RMS if below_db is None else sounds.speech_rms * decibels_to_gain(-below_db)
        self._bed = sounds.bed(damage.noise or "white", telephone_band=damage.telephone_band)
        self._bed_at = self._random.randrange(len(self._bed))
        self._bed_gain = np.float32(rms)
        self._steady = _steady(damage, sounds)
        self._coding = mu_law_table() if damage.telephone_band else None
        self._ear = _ear(damage, seed)
        self._heard_above = max(
            rms * decibels_to_gain(DTX_ABOVE_NOISE_DB), FULL_SCALE * decibels_to_gain(DTX_FLOOR_DBFS)
        )
        self._hangover = 0
        self._burst = 0
        mean_burst = (1 + LONGEST_BURST) / 2
        self._burst_begins = damage.lost_share / (mean_burst * (1 - damage.lost_share) + damage.lost_share)
        self._latest = round(damage.delay_variation_ms / FRAME_MS)
        self._delay = 0
        self._tick = 0
        self._on_the_way: deque[tuple[int, bytes]] = deque()

    def heard(self, now_s: float, samples: Samples | None) -> None:
        """The caller heard a frame (8 kHz; None for digital silence); some of it will come back."""
        if self._ear is not None:
            self._ear.hear(now_s, samples)

    def sent(self, now_s: float, recording: Recording | None, frame: int) -> tuple[bytes, ...]:
        """The wire messages that leave at this tick, while the caller says this frame of a recording, or nothing."""
        self._tick += 1
        made = self._made(now_s, recording, frame)
        lost = self._is_lost()
        if made is not None and not lost:
            if self._latest and self._random.random() < _DELAY_CHANGES:
                self._delay = self._random.randint(0, self._latest)
            due = self._tick + self._delay
            self._on_the_way.append((max(due, self._on_the_way[-1][0]) if self._on_the_way else due, made))
        self.lost_frames += made is not None and lost
        return self._arrived()

    def _made(self, now_s: float, recording: Recording | None, frame: int) -> bytes | None:
        """The frame as it leaves the phone; None when DTX keeps it back."""
        self._bed_at = (self._bed_at + 1) % len(self._bed)
        sound = self._bed[self._bed_at] * self._bed_gain
        active = False
        if recording is not None:
            speech = self._sounds.speech(recording, telephone_band=self.damage.telephone_band)
            sound += speech.frames[frame]
            active = bool(speech.active[frame])
        echo = None if self._ear is None else self._ear.returned(now_s)
        if echo is not None:
            sound += echo
            active = active or float(echo @ echo) > self._heard_above**2 * FRAME
        if self.damage.dtx and not self._phone_sends(active):
            self.withheld_frames += 1
            return None
        if self._steady is not None:
            sound += self._steady
        np.clip(sound, -32768, 32767, out=sound)
        pcm = sound.astype(np.int16)
        if self._coding is not None:
            pcm = self._coding[pcm.view(np.uint16)]
        return encode_audio(pcm.astype("<i2", copy=False).tobytes(), PHONE.rate_hz)

    def _phone_sends(self, active: bool) -> bool:
        self._hangover = DTX_HANGOVER_FRAMES if active else self._hangover - 1
        return self._hangover >= 0

    def _is_lost(self) -> bool:
        if self._burst:
            self._burst -= 1
            return True
        if self._burst_begins and self._random.random() < self._burst_begins:
            self._burst = self._random.randint(1, LONGEST_BURST) - 1
            return True
        return False

    def _arrived(self) -> tuple[bytes, ...]:
        arrived = []
        while self._on_the_way and self._on_the_way[0][0] <= self._tick:
            arrived.append(self._on_the_way.popleft()[1])
        return tuple(arrived)


def _steady(damage: CallerDamage, sounds: LineSounds) -> Samples | None:
    """What is added to every frame alike: hum and the offset."""
    if damage.hum_below_speech_db is None and not damage.offset:
        return None
    steady = np.full(FRAME, damage.offset, dtype=np.float32)
    if damage.hum_below_speech_db is not None:
        steady += hum() * np.float32(sounds.speech_rms * decibels_to_gain(-damage.hum_below_speech_db))
    return steady


def _ear(damage: CallerDamage, seed: int) -> Ear | None:
    if damage.echo_db is None:
        return None
    taps = room(seed, telephone_band=damage.telephone_band)
    return Ear(damage.echo_delay_ms, taps * np.float32(decibels_to_gain(damage.echo_db)))
