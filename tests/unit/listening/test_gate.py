from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamerton.audio.levels import rms_dbfs
from kamerton.listening.gate import QUARTERS, SILENCE_DBFS, NoiseGate, VadSettings, power_of, stood_still, window_levels
from kamerton.listening.silero import Floats

SECOND = 31
"""Windows in a second."""


def noise(amplitude: float, samples: int = 256) -> Floats:
    return np.rint(np.random.default_rng(7).normal(0, amplitude, samples)).astype(np.float32)


def hears(gate: NoiseGate, level_dbfs: float, seconds: float, *, still: bool = False) -> None:
    for _ in range(round(seconds * SECOND)):
        gate.learn_silence(level_dbfs, still)


def speaks(gate: NoiseGate, level_dbfs: float, seconds: float = 1.0) -> None:
    for _ in range(round(seconds * SECOND)):
        gate.learn_speech(level_dbfs)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 9000.0), min_size=1, max_size=40), st.sampled_from([256, 512]))
def test_windows_measured_together_have_the_levels_they_have_alone(amplitudes: list[float], samples: int) -> None:
    windows = [noise(amplitude, samples) for amplitude in amplitudes]
    levels, quarters = window_levels(np.stack(windows))
    assert levels == pytest.approx([rms_dbfs(window.astype("<i2").tobytes()) for window in windows], abs=0.01)
    part = samples // QUARTERS
    for window, powers in zip(windows, quarters, strict=True):
        alone = [float(np.mean(window[at : at + part] ** 2)) for at in range(0, samples, part)]
        assert powers == pytest.approx(alone, rel=1e-4)


def test_a_window_stands_still_when_a_part_of_it_does() -> None:
    moving, silent, holed = noise(100.0), np.zeros(256, np.float32), noise(100.0)
    holed[64:128] = 0
    levels, quarters = window_levels(np.stack([moving, silent, holed]))
    assert stood_still(quarters) == [False, True, True]
    assert levels[1] == SILENCE_DBFS


def test_a_level_and_its_power_say_the_same() -> None:
    assert power_of(0.0) == pytest.approx(2.0**30)
    assert power_of(-20.0) == pytest.approx(2.0**30 / 100)
    assert power_of(-math.inf) == 0.0


@pytest.mark.parametrize("floor_dbfs", [-75.0, -50.0, -24.0, -10.0])
def test_noise_is_known_in_half_a_second_and_followed_within_four_however_loud(floor_dbfs: float) -> None:
    gate = NoiseGate(VadSettings())
    hears(gate, -60.0, 0.7)
    assert gate.noise_dbfs == -60.0
    hears(gate, floor_dbfs, 4.0)
    assert gate.noise_dbfs == floor_dbfs
    hears(gate, -60.0, 4.0)
    assert gate.noise_dbfs == -60.0


def test_digital_silence_says_nothing_of_the_noise() -> None:
    gate = NoiseGate(VadSettings())
    hears(gate, -45.0, 2.0)
    for _ in range(20):
        hears(gate, SILENCE_DBFS, 0.1, still=True)
        hears(gate, -45.0, 0.5)
    assert gate.noise_dbfs == -45.0
    assert not gate.is_sound(-45.0)
    assert gate.is_sound(-29.0)


def test_a_dip_of_three_windows_is_no_floor() -> None:
    gate = NoiseGate(VadSettings())
    for _ in range(20):
        hears(gate, -45.0, 0.5)
        hears(gate, -80.0, 0.1)
    assert gate.noise_dbfs == -45.0


def test_speech_never_becomes_noise_by_going_on() -> None:
    gate = NoiseGate(VadSettings())
    hears(gate, -60.0, 1.0)
    for _ in range(20):
        speaks(gate, -20.0, 2.0)
        hears(gate, -50.0, 0.1)
        hears(gate, -60.0, 0.1)
    assert gate.noise_dbfs <= -50.0
    assert gate.clear


def test_a_line_that_says_nothing_yet_is_not_believed_to_be_quiet() -> None:
    gate = NoiseGate(VadSettings())
    assert not gate.is_sound(-20.0)
    hears(gate, SILENCE_DBFS, 0.6, still=True)
    assert gate.is_sound(-20.0)


def test_a_caller_well_above_the_noise_is_gated_far_from_it() -> None:
    gate = NoiseGate(VadSettings())
    hears(gate, -70.0, 1.0)
    speaks(gate, -20.0)
    assert gate.clear
    assert gate.threshold_dbfs == gate.quiet_dbfs == -58.0
    assert gate.is_silence(-58.5)


def test_a_caller_near_the_noise_is_left_to_the_network() -> None:
    gate = NoiseGate(VadSettings())
    hears(gate, -27.0, 1.0)
    assert gate.is_silence(-27.0)
    speaks(gate, -20.0)
    assert not gate.clear
    assert gate.threshold_dbfs == pytest.approx(-24.0)
    assert gate.quiet_dbfs == -math.inf
    assert not gate.is_silence(-27.0)
    assert gate.is_silence(SILENCE_DBFS)
    hears(gate, -27.0, 0.4)
    assert gate.is_silence(-27.0)


def test_the_floor_goes_down_with_a_caller_who_whispers() -> None:
    gate = NoiseGate(VadSettings())
    speaks(gate, -20.0)
    assert gate.threshold_dbfs == -58.0
    speaks(gate, -55.0, 3.0)
    assert gate.threshold_dbfs == -80.0
