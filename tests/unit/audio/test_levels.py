import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.audio.levels import (
    SILENCE_DBFS,
    apply_gain,
    decibels_to_gain,
    fade_in,
    fade_out,
    peak_dbfs,
    ramp_gain,
    rms_dbfs,
    speech_dbfs,
    speech_gain,
    trim_silence,
)
from kamerton.audio.tone import tone, tone_frequency_hz
from kamerton.domain.audio import PHONE, WIDEBAND

FRAME = np.full(160, 10_000, "<i2").tobytes()


def values(pcm: bytes) -> list[int]:
    return [int(value) for value in np.frombuffer(pcm, "<i2")]


def test_levels_of_known_signals() -> None:
    full = np.tile(np.array([32767, -32768], "<i2"), 400).tobytes()
    assert rms_dbfs(full) == pytest.approx(0.0, abs=0.01)
    assert peak_dbfs(full) == 0.0
    assert rms_dbfs(tone(1000, 500, PHONE, level_dbfs=-30)) == pytest.approx(-30, abs=0.1)
    assert peak_dbfs(tone(1000, 500, PHONE, level_dbfs=-30)) == pytest.approx(-27, abs=0.1)


@pytest.mark.parametrize("pcm", [b"", b"\1", bytes(320)])
def test_silence_has_a_floor(pcm: bytes) -> None:
    assert rms_dbfs(pcm) == peak_dbfs(pcm) == speech_dbfs(pcm, PHONE) == SILENCE_DBFS


def test_gain_is_linear_and_clips_at_full_scale() -> None:
    assert set(values(apply_gain(FRAME, 0.5))) == {5000}
    assert set(values(apply_gain(FRAME, 4.0))) == {32767}
    assert set(values(apply_gain(FRAME, -4.0))) == {-32768}
    assert apply_gain(FRAME, 1.0) is FRAME


def test_a_ramp_goes_from_one_gain_to_the_other() -> None:
    ramped = values(ramp_gain(FRAME, 1.0, 0.2))
    assert (ramped[0], ramped[-1]) == (10_000, 2_000)
    assert ramped == sorted(ramped, reverse=True)
    assert ramp_gain(FRAME, 0.2, 0.2) == apply_gain(FRAME, 0.2)
    assert ramp_gain(b"", 0.0, 1.0) == b""


def test_fades_touch_only_their_end() -> None:
    faded = values(fade_in(FRAME, 10))
    assert faded[0] == 0
    assert faded[10:] == [10_000] * 150
    faded = values(fade_out(FRAME, 10))
    assert faded[:150] == [10_000] * 150
    assert faded[-1] == 0
    assert values(fade_out(FRAME, 1000))[0] == 10_000


@given(st.binary(max_size=700), st.floats(0, 4), st.floats(0, 4))
def test_no_piece_changes_its_length(pcm: bytes, start: float, end: float) -> None:
    even = pcm[: len(pcm) // 2 * 2]
    assert len(ramp_gain(even, start, end)) == len(fade_in(even, 50)) == len(fade_out(even, 50)) == len(even)


def test_pauses_do_not_count_as_speech_level() -> None:
    speech = tone(300, 400, WIDEBAND, level_dbfs=-18) + bytes(WIDEBAND.frame_bytes * 100)
    assert rms_dbfs(speech) < -24
    assert speech_dbfs(speech, WIDEBAND) == pytest.approx(-18, abs=0.5)


@pytest.mark.parametrize("level", [-40, -30, -10, -3.2])
def test_speech_is_brought_to_its_level_within_bounds(level: float) -> None:
    quiet_or_loud = tone(300, 400, PHONE, level_dbfs=level)
    leveled = apply_gain(quiet_or_loud, speech_gain(quiet_or_loud, PHONE, target_dbfs=-20, max_gain_db=15))
    assert speech_dbfs(leveled, PHONE) == pytest.approx(-20 if level > -35 else level + 15, abs=0.3)


def test_a_lone_peak_is_kept_under_the_ceiling() -> None:
    spiky = tone(300, 400, PHONE, level_dbfs=-40) + np.array([30_000], "<i2").tobytes()
    gain = speech_gain(spiky, PHONE, target_dbfs=-1, peak_ceiling_dbfs=-1)
    assert peak_dbfs(apply_gain(spiky, gain)) == pytest.approx(-1, abs=0.1)


def test_silence_is_left_as_it_is() -> None:
    assert speech_gain(bytes(640), PHONE, target_dbfs=-20) == 1.0


def test_silence_is_trimmed_off_both_ends_and_only_there() -> None:
    sound = tone(300, 100, PHONE)
    hush = bytes(PHONE.samples(300) * 2)
    trimmed = trim_silence(
        hush + sound + hush + sound + hush, PHONE, threshold_dbfs=-50, keep_head_ms=20, keep_tail_ms=60
    )
    assert PHONE.duration_ms(len(trimmed) // 2) == pytest.approx(20 + 100 + 300 + 100 + 60, abs=1)
    assert trim_silence(hush, PHONE, threshold_dbfs=-50, keep_head_ms=20, keep_tail_ms=60) == b""
    assert trim_silence(b"", PHONE, threshold_dbfs=-50, keep_head_ms=20, keep_tail_ms=60) == b""


def test_tones_tell_their_frequency_and_start_without_a_click() -> None:
    pcm = tone(700, 300, WIDEBAND)
    assert tone_frequency_hz(pcm, WIDEBAND) == pytest.approx(700, abs=3)
    assert values(pcm)[0] == values(pcm)[-1] == 0
    assert tone_frequency_hz(bytes(100), WIDEBAND) == 0.0
    assert decibels_to_gain(-20) == pytest.approx(0.1)
