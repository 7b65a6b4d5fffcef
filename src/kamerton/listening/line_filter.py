"""What is taken off a line before it is listened to: offset and hum, for the windows of all calls at once.

Two high-passes in a row, each a Butterworth of second order. Behind the first is what the network hears: free of offset
and of the mains' fundamental. Behind the second is what levels are measured on: the band of speech, in which hum with
its first harmonics weighs little. A recursive filter goes sample by sample; written as matrices over blocks of 32
samples it becomes a few products for all windows together (the block form of its state equations), at 2 µs a window in
a batch of a hundred.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from kamerton.listening.silero import Floats

STATES: Final = 4
"""What one line's filter remembers: two numbers for each high-pass."""

HEARD_ABOVE_HZ: Final = 100.0
"""Where the network begins to hear: below it is no voice, and the mains' 50 and 60 Hz."""
MEASURED_ABOVE_HZ: Final = 300.0
"""Where levels begin to count: the lower edge of the telephone's band."""

_BLOCK: Final = 32
_TOGETHER: Final = 48
"""Lines in one product. Larger ones would be spread over threads, which costs more than it saves here."""


class LineFilter:
    """The two high-passes at one sample rate. It remembers nothing itself: each line's state is given and returned."""

    def __init__(self, rate_hz: int, window: int) -> None:
        self._blocks = window // _BLOCK
        heard = _high_pass(HEARD_ABOVE_HZ / rate_hz)
        measured = _high_pass(MEASURED_ABOVE_HZ / rate_hz)
        from_sample = np.zeros((_BLOCK, 2 * _BLOCK + STATES))
        from_state = np.zeros((STATES, 2 * _BLOCK + STATES))
        for row in range(_BLOCK):
            from_sample[row] = _respond(heard, measured, np.eye(_BLOCK)[row], np.zeros(STATES))
        for row in range(STATES):
            from_state[row] = _respond(heard, measured, np.zeros(_BLOCK), np.eye(STATES)[row])
        self._from_sample: Floats = from_sample.astype(np.float32)
        self._from_state: Floats = from_state[:, : 2 * _BLOCK].astype(np.float32)
        self._chain: Floats = _chained(from_state[:, 2 * _BLOCK :], self._blocks).astype(np.float32)

    def run(self, windows: Floats, states: Floats) -> tuple[Floats, Floats, Floats]:
        """Filter windows of different lines.

        Args:
            windows: samples [lines, window].
            states: what each line's filter remembers [lines, 4]; zeros for a line that was silent so far.

        Returns:
            What the network hears and what levels are measured on, both [lines, window], and the new states.
        """
        if len(windows) > _TOGETHER:
            parts = [
                self.run(windows[at : at + _TOGETHER], states[at : at + _TOGETHER])
                for at in range(0, len(windows), _TOGETHER)
            ]
            heard, measured, after = (np.concatenate(kind) for kind in zip(*parts, strict=True))
            return heard, measured, after
        lines = len(windows)
        out = windows.reshape(lines, self._blocks, _BLOCK) @ self._from_sample
        pushes = out[:, :, 2 * _BLOCK :].reshape(lines, -1)
        before = np.concatenate((states, pushes), axis=1) @ self._chain
        filtered = out[:, :, : 2 * _BLOCK]
        filtered += before[:, :-STATES].reshape(lines, self._blocks, STATES) @ self._from_state
        heard = filtered[:, :, :_BLOCK].reshape(lines, -1)
        measured = filtered[:, :, _BLOCK:].reshape(lines, -1)
        return heard, measured, before[:, -STATES:]


def _chained(step: np.ndarray, blocks: int) -> np.ndarray:
    """The matrix that takes a state and the pushes of all blocks to the states before each block and after the last."""
    powers = [np.linalg.matrix_power(step, count) for count in range(blocks + 1)]
    chain = np.zeros((STATES * (blocks + 1), STATES * (blocks + 1)))
    for after in range(blocks + 1):
        columns = slice(after * STATES, (after + 1) * STATES)
        chain[:STATES, columns] = powers[after]
        for block in range(after):
            chain[(block + 1) * STATES : (block + 2) * STATES, columns] = powers[after - block - 1]
    return chain


_Section = tuple[float, float, float, float, float]


def _high_pass(corner: float) -> _Section:
    """A Butterworth high-pass of second order by the bilinear transform; `corner` as a share of the sample rate."""
    warped = math.tan(math.pi * corner)
    norm = 1 / (1 + math.sqrt(2) * warped + warped**2)
    return norm, -2 * norm, norm, 2 * (warped**2 - 1) * norm, (1 - math.sqrt(2) * warped + warped**2) * norm


def _respond(heard: _Section, measured: _Section, samples: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Both outputs and the state after a block, sample by sample (transposed direct form II)."""
    memory = [list(state[:2]), list(state[2:])]
    outputs: list[list[float]] = [[], []]
    for sample in samples:
        value = float(sample)
        for at, (b0, b1, b2, a1, a2) in enumerate((heard, measured)):
            first, second = memory[at]
            result = b0 * value + first
            memory[at] = [b1 * value - a1 * result + second, b2 * value - a2 * result]
            outputs[at].append(result)
            value = result
    return np.array([*outputs[0], *outputs[1], *memory[0], *memory[1]])
