import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamerton.audio.levels import rms_dbfs
from kamerton.audio.resampling import StreamResampler, resample
from kamerton.audio.tone import tone, tone_frequency_hz
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat

CD = AudioFormat(44100)
VOICE = AudioFormat(22050)


@pytest.mark.parametrize(("source", "target"), [(WIDEBAND, PHONE), (PHONE, WIDEBAND), (VOICE, PHONE), (CD, WIDEBAND)])
def test_a_tone_keeps_pitch_level_and_length(source: AudioFormat, target: AudioFormat) -> None:
    before = tone(440.0, 1000, source)
    after = resample(before, source, target)
    assert len(after) // 2 == pytest.approx(target.rate_hz, abs=1)
    assert tone_frequency_hz(after, target) == pytest.approx(440, abs=2)
    assert rms_dbfs(after) == pytest.approx(rms_dbfs(before), abs=0.1)


def test_what_a_lower_rate_cannot_carry_is_removed_not_folded() -> None:
    assert rms_dbfs(resample(tone(6000.0, 500, WIDEBAND), WIDEBAND, PHONE)) < -60


def test_the_same_rate_and_nothing_pass_through() -> None:
    assert resample(b"\1\2\3\4\5", PHONE, PHONE) == b"\1\2\3\4"
    assert resample(b"\1", PHONE, WIDEBAND) == b""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=40))
def test_pieces_of_any_size_give_one_gapless_stream(sizes: list[int]) -> None:
    whole = tone(300.0, 400, VOICE)
    stream = StreamResampler(VOICE, PHONE)
    out, at = b"", 0
    for size in sizes:
        out += stream.push(whole[at : at + size])
        at += size
    out += stream.push(whole[at:]) + stream.flush()
    difference = np.frombuffer(out, "<i2").astype(int) - np.frombuffer(resample(whole, VOICE, PHONE), "<i2")
    assert np.abs(difference).max() <= 2


def test_flush_makes_ready_for_a_new_stream() -> None:
    stream = StreamResampler(WIDEBAND, PHONE)
    piece = tone(500.0, 200, WIDEBAND)
    first = stream.push(piece + b"\7") + stream.flush()
    second = stream.push(piece) + stream.flush()
    difference = np.frombuffer(first, "<i2").astype(int) - np.frombuffer(second, "<i2")
    assert np.abs(difference).max() <= 2


def test_a_stream_at_the_same_rate_joins_split_samples() -> None:
    stream = StreamResampler(PHONE, PHONE)
    assert stream.push(b"\1") == b""
    assert stream.push(b"\2\3") == b"\1\2"
    assert stream.flush() == b""
    assert stream.push(b"\4\5") == b"\4\5"
