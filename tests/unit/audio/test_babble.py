"""The stand-in voice: what measuring at the wire relies on is that its dips are short and its level is steady."""

from __future__ import annotations

import numpy as np
import pytest

from kamerton.audio.babble import VOWEL_DBFS, babble
from kamerton.audio.levels import speech_dbfs
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat
from kamerton.testing.caller.speech_span import levels_dbfs
from kamerton.testing.caller.wire_measure import AUDIBLE_DBFS, DUCK_DB, DUCK_HOLD_S


@pytest.mark.parametrize("audio_format", [PHONE, WIDEBAND])
def test_the_length_is_exact_and_the_same_seed_sounds_the_same(audio_format: AudioFormat) -> None:
    sound = babble(3, 3000.0, audio_format)
    assert len(sound) == audio_format.samples(3000.0) * 2
    assert sound == babble(3, 3000.0, audio_format)
    assert sound != babble(4, 3000.0, audio_format)
    assert speech_dbfs(sound, audio_format) == pytest.approx(VOWEL_DBFS, abs=1.5)


@pytest.mark.parametrize("seed", range(8))
def test_no_dip_is_taken_for_ducking_or_silence(seed: int) -> None:
    levels = levels_dbfs(babble(seed, 3000.0, PHONE), PHONE.frame_samples)
    assert levels.min() > AUDIBLE_DBFS
    low = levels < VOWEL_DBFS - DUCK_DB + 1.0
    longest = max(len(run) for run in "".join("x" if each else " " for each in low).split())
    assert longest * 0.02 < DUCK_HOLD_S
    assert np.count_nonzero(low) > len(low) / 10


def test_nothing_is_asked_of_no_time_at_all() -> None:
    assert babble(1, 0.0, PHONE) == b""
