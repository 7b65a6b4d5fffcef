from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.testing.caller.wire_measure import (
    BargeInEffect,
    ReceivedAudio,
    barge_in_effect,
    bot_segments,
    confirmed_drop_s,
    first_audible_after,
    pacing,
)

SILENT, LOUD, DUCKED = -120.0, -20.0, -32.0


def heard(*parts: tuple[float, float]) -> ReceivedAudio:
    """Frames every 20 ms: parts of (seconds, level)."""
    levels = np.concatenate([np.full(round(seconds * 50), level) for seconds, level in parts])
    return ReceivedAudio((np.arange(len(levels)) * 0.02).astype(np.float64), levels.astype(np.float64))


def test_segments_are_joined_over_short_silences_only() -> None:
    audio = heard((0.5, SILENT), (1.0, LOUD), (0.2, SILENT), (0.3, LOUD), (0.6, SILENT), (0.4, LOUD))
    spans = [instant for part in bot_segments(audio) for instant in (part.start_s, part.end_s)]
    assert spans == pytest.approx([0.5, 2.0, 2.6, 3.0])
    assert len(bot_segments(audio, 0.7)) == 1
    assert bot_segments(heard((1.0, SILENT))) == ()


def test_the_first_audible_frame_after_an_instant() -> None:
    audio = heard((0.5, SILENT), (0.2, LOUD), (0.5, SILENT), (0.2, LOUD))
    assert first_audible_after(audio, 0.0) == pytest.approx(0.5)
    assert first_audible_after(audio, 0.5) == pytest.approx(0.5)
    assert first_audible_after(audio, 0.7) == pytest.approx(1.2)
    assert first_audible_after(audio, 1.4) is None


def test_powers_become_levels() -> None:
    audio = ReceivedAudio.from_powers([0.0, 0.02], [0.0, 32768.0**2 / 100])
    assert audio.levels_dbfs == pytest.approx([-120.0, -20.0])


@given(
    st.integers(26, 100).map(lambda frame: frame * 0.02),
    st.integers(0, 10).map(lambda frames: frames * 0.02),
    st.integers(6, 20).map(lambda frames: frames * 0.02),
)
def test_ducking_and_silence_are_found_to_the_frame(onset_s: float, duck_s: float, ducked_for_s: float) -> None:
    audio = heard((onset_s + duck_s, LOUD), (ducked_for_s, DUCKED), (2.0, SILENT))
    effect = barge_in_effect(audio, onset_s, onset_s + 2.0)
    assert effect.duck_ms == pytest.approx(duck_s * 1000, abs=0.01)
    assert effect.silence_ms == pytest.approx((duck_s + ducked_for_s) * 1000, abs=0.01)


def test_a_bot_that_ducks_and_speaks_on_never_fell_silent() -> None:
    audio = heard((1.2, LOUD), (0.4, DUCKED), (2.0, LOUD))
    effect = barge_in_effect(audio, 1.1, 3.0)
    assert effect.duck_ms == pytest.approx(100, abs=0.01)
    assert effect.silence_ms is None


def test_a_bot_that_does_not_care() -> None:
    effect = barge_in_effect(heard((3.0, LOUD)), 1.0, 2.5)
    assert (effect.duck_ms, effect.silence_ms) == (None, None)


def test_short_dips_between_words_are_no_reaction() -> None:
    words = [(0.2, LOUD), (0.08, SILENT)] * 10
    effect = barge_in_effect(heard((1.0, LOUD), *words, (1.0, LOUD)), 1.0, 3.5)
    assert (effect.duck_ms, effect.silence_ms) == (None, None)


def test_a_cut_without_ducking_counts_as_both() -> None:
    effect = barge_in_effect(heard((1.3, LOUD), (2.0, SILENT)), 1.0, 3.0)
    assert (effect.duck_ms, effect.silence_ms) == pytest.approx((300, 300), abs=0.01)


def test_a_silent_bot_cannot_yield() -> None:
    effect = barge_in_effect(heard((3.0, SILENT)), 1.0, 2.0)
    assert (effect.duck_ms, effect.silence_ms) == (None, None)
    effect = barge_in_effect(heard((0.7, LOUD), (3.0, SILENT)), 2.8, 3.5)
    assert (effect.duck_ms, effect.silence_ms, effect.in_pause) == (None, None, False)


def test_an_onset_in_a_pause_of_the_bot_finds_it_silent() -> None:
    went_on_pausing = barge_in_effect(heard((0.8, LOUD), (3.0, SILENT)), 1.0, 2.0)
    assert went_on_pausing.in_pause
    assert went_on_pausing.silence_ms == pytest.approx(0, abs=20.1)
    spoke_on = barge_in_effect(heard((0.8, LOUD), (0.4, SILENT), (0.3, LOUD), (3.0, SILENT)), 1.0, 2.5)
    assert spoke_on.in_pause
    assert spoke_on.silence_ms == pytest.approx(500, abs=20.1)
    never_gave_in = barge_in_effect(heard((0.8, LOUD), (0.4, SILENT), (3.0, LOUD)), 1.0, 2.5)
    assert never_gave_in == BargeInEffect(None, None, in_pause=True)


def test_the_servers_word_tells_ducking_from_a_dip_in_speech() -> None:
    speech = heard((1.04, LOUD), (0.12, SILENT), (0.1, LOUD), (1.0, LOUD - 6))
    dip = barge_in_effect(speech, 1.0, 2.0)
    assert dip.duck_ms == pytest.approx(40, abs=0.01)
    assert confirmed_drop_s(speech, 1.0, 1.25) == pytest.approx(1.26)
    assert confirmed_drop_s(heard((3.0, LOUD)), 1.0, 1.25) is None
    assert confirmed_drop_s(heard((1.1, LOUD)), 1.0, 1.25) is None


def test_pacing_tells_jitter_and_late_frames() -> None:
    even = (np.arange(200) * 0.02).astype(np.float64)
    late = even.copy()
    late[100:] += 0.03
    measured = pacing([even, late])
    assert measured.frames == 400
    assert measured.late_frames == 1
    assert measured.jitter_max_ms == pytest.approx(30)
    assert measured.jitter_p99_ms == pytest.approx(0, abs=0.01)
    assert pacing([]).jitter_p99_ms is None
    assert pacing([np.array([1.0])]).frames == 1
