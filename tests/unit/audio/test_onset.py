from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.audio.onset import KEPT_LEAD_MS, audible_from, is_audible, without_lead
from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE, SAMPLE_BYTES, WIDEBAND, AudioFormat


def hiss(duration_ms: float, audio_format: AudioFormat, dbfs: float) -> bytes:
    noise = np.random.default_rng(1).standard_normal(audio_format.samples(duration_ms))
    return bytes((noise * 32768 * 10 ** (dbfs / 20)).astype("<i2").tobytes())


@pytest.mark.parametrize("audio_format", [PHONE, WIDEBAND])
@pytest.mark.parametrize("lead_ms", [20, 60, 160, 700])
@pytest.mark.parametrize("floor_dbfs", [-100.0, -58.0])
def test_silence_and_hiss_before_a_sound_are_cut_to_some_milliseconds(
    audio_format: AudioFormat, lead_ms: float, floor_dbfs: float
) -> None:
    sound = tone(440, 300, audio_format)
    cut = without_lead(hiss(lead_ms, audio_format, floor_dbfs) + sound, audio_format)
    start = audible_from(cut, audio_format)
    assert start is not None
    assert audio_format.duration_ms(start) <= 10
    assert cut.endswith(sound[audio_format.samples(4) * SAMPLE_BYTES :])


def test_what_begins_at_once_or_never_stays() -> None:
    for pcm in (tone(440, 100, PHONE), hiss(KEPT_LEAD_MS, PHONE, -70) + tone(440, 100, PHONE), bytes(1600), b""):
        assert without_lead(pcm, PHONE) == pcm


def test_the_cut_begins_without_a_click() -> None:
    cut = without_lead(hiss(100, PHONE, -52) + tone(440, 100, PHONE), PHONE)
    assert abs(int(np.frombuffer(cut, "<i2")[0])) <= 1


@given(st.binary(max_size=4000), st.sampled_from([PHONE, WIDEBAND]))
def test_any_audio_only_gets_shorter_and_cutting_again_changes_little(pcm: bytes, audio_format: AudioFormat) -> None:
    pcm = pcm[: len(pcm) // 2 * 2]
    cut = without_lead(pcm, audio_format)
    assert len(cut) <= len(pcm)
    assert len(without_lead(cut, audio_format)) >= len(cut) - audio_format.samples(8) * SAMPLE_BYTES


@pytest.mark.parametrize("lead_ms", [0.0, 499.0, 501.0, 2000.0])
def test_sound_is_found_wherever_it_begins(lead_ms: float) -> None:
    lead = bytes(PHONE.samples(lead_ms) * SAMPLE_BYTES)
    assert is_audible(lead + tone(300.0, 20.0, PHONE), PHONE)
    assert not is_audible(lead, PHONE)
    assert not is_audible(lead + tone(300.0, 20.0, PHONE, level_dbfs=-60.0), PHONE)
