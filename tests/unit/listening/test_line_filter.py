from __future__ import annotations

import numpy as np
import pytest

from kamerton.listening.line_filter import STATES, LineFilter
from kamerton.listening.silero import WINDOW_SHAPES, Floats

RATES = sorted(WINDOW_SHAPES)


def filtered(rate_hz: int, samples: Floats) -> tuple[Floats, Floats]:
    """What is heard and measured of one line's samples, window by window."""
    window = WINDOW_SHAPES[rate_hz].window
    line = LineFilter(rate_hz, window)
    state = np.zeros((1, STATES), np.float32)
    heard, measured = [], []
    for at in range(0, len(samples), window):
        one, other, state = line.run(samples[None, at : at + window], state)
        heard.append(one[0])
        measured.append(other[0])
    return np.concatenate(heard), np.concatenate(measured)


def gain_db(rate_hz: int, frequency_hz: float) -> tuple[float, float]:
    """By how much a tone is changed, for the network and for levels, once the filter has settled."""
    count = WINDOW_SHAPES[rate_hz].window * 40
    wave = (10_000 * np.sin(2 * np.pi * frequency_hz * np.arange(count) / rate_hz)).astype(np.float32)
    settled = slice(count // 2, None)
    power = float(np.mean(np.square(wave[settled])))
    heard, measured = (float(np.mean(np.square(out[settled]))) for out in filtered(rate_hz, wave))
    return 10 * np.log10(heard / power), 10 * np.log10(measured / power)


@pytest.mark.parametrize("rate_hz", RATES)
def test_hum_is_taken_off_and_speech_is_not(rate_hz: int) -> None:
    heard_50, measured_50 = gain_db(rate_hz, 50.0)
    assert heard_50 <= -12.0
    assert measured_50 <= -40.0
    assert gain_db(rate_hz, 150.0)[1] <= -12.0
    for frequency_hz in (500.0, 1000.0, 3000.0):
        heard, measured = gain_db(rate_hz, frequency_hz)
        assert heard == pytest.approx(0.0, abs=0.5)
        assert measured == pytest.approx(0.0, abs=1.0)


@pytest.mark.parametrize("rate_hz", RATES)
def test_an_offset_is_gone_within_a_window(rate_hz: int) -> None:
    window = WINDOW_SHAPES[rate_hz].window
    heard, measured = filtered(rate_hz, np.full(window * 3, 2000.0, np.float32))
    assert np.abs(heard[window:]).max() < 2.0
    assert np.abs(measured[window:]).max() < 2.0


@pytest.mark.parametrize("rate_hz", RATES)
def test_each_line_has_its_own_memory_however_many_are_filtered_together(rate_hz: int) -> None:
    window = WINDOW_SHAPES[rate_hz].window
    lines = np.random.default_rng(7).normal(0, 1000, (60, window * 3)).astype(np.float32)
    together = LineFilter(rate_hz, window)
    states = np.zeros((60, STATES), np.float32)
    pieces = []
    for at in range(0, window * 3, window):
        heard, _, states = together.run(np.ascontiguousarray(lines[:, at : at + window]), states)
        pieces.append(heard)
    heard = np.concatenate(pieces, axis=1)
    for number in (0, 47, 48, 59):
        assert heard[number] == pytest.approx(filtered(rate_hz, lines[number])[0], abs=0.5)
