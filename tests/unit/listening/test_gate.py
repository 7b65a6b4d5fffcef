from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamerton.audio.levels import rms_dbfs
from kamerton.listening.gate import QUARTERS, SILENCE_DBFS, NoiseGate, VadSettings, power_of, window_levels


def noise(amplitude: float, samples: int = 256) -> bytes:
    return np.random.default_rng(7).normal(0, amplitude, samples).astype("<i2").tobytes()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 9000.0), min_size=1, max_size=40), st.sampled_from([256, 512]))
def test_windows_measured_together_have_the_levels_they_have_alone(amplitudes: list[float], samples: int) -> None:
    windows = [noise(amplitude, samples) for amplitude in amplitudes]
    levels, quarters = window_levels(windows)
    assert levels == pytest.approx([rms_dbfs(window) for window in windows], abs=0.01)
    part = len(windows[0]) // QUARTERS
    for window, powers in zip(windows, quarters, strict=True):
        alone = [window_levels([window[at : at + part]])[0][0] for at in range(0, len(window), part)]
        together = [max(power, power_of(SILENCE_DBFS)) for power in powers]
        assert [power_of(level) for level in alone] == pytest.approx(together, rel=0.01)


def test_digital_silence_and_full_scale_have_their_own_levels() -> None:
    levels, quarters = window_levels([bytes(512), np.full(256, -32768, "<i2").tobytes()])
    assert levels == [SILENCE_DBFS, pytest.approx(0.0)]
    assert quarters == [[0.0] * QUARTERS, [2.0**30] * QUARTERS]


def test_a_level_and_its_power_say_the_same() -> None:
    assert power_of(0.0) == pytest.approx(2.0**30)
    assert power_of(-20.0) == pytest.approx(2.0**30 / 100)


def test_the_gate_follows_a_noisy_line_up_slowly_and_down_fast() -> None:
    gate = NoiseGate(VadSettings())
    assert gate.threshold_dbfs == -58.0
    for _ in range(31 * 10):
        gate.learn(-50.0)
    risen = gate.threshold_dbfs
    assert -50.0 < risen < -38.0
    for _ in range(10):
        gate.learn(-90.0)
    assert gate.threshold_dbfs == -58.0


def test_the_gate_never_rises_above_speech() -> None:
    gate = NoiseGate(VadSettings())
    for _ in range(5000):
        gate.learn(-5.0)
    assert gate.threshold_dbfs == -27.0
