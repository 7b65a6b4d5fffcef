from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.listening.line_clock import FRAME_S, PATIENCE_S, HeardFrame, LineClock

START_S = 100.0


def frame(number: int) -> AudioFrame:
    return AudioFrame(bytes([number % 250 + 1]) * PHONE.frame_bytes, PHONE, number * PHONE.frame_samples)


class Line:
    """Sends numbered frames at instants, and keeps what comes out of the clock: a number, or None for silence."""

    def __init__(self) -> None:
        self.clock = LineClock(PHONE, 1100.0)
        self.came: list[int | None] = []
        self.at_s: list[float] = []

    def sends(self, number: int, at_s: float) -> None:
        self._take(self.clock.arrived(frame(number), START_S + at_s))

    def is_quiet(self, at_s: float) -> None:
        self._take(self.clock.nothing_came(START_S + at_s))

    def ends(self) -> list[int | None]:
        self._take(self.clock.settle())
        return self.came

    def _take(self, settled: Sequence[HeardFrame]) -> None:
        for at_s, heard in settled:
            silent = not any(heard.pcm)
            self.came.append(None if silent else heard.pcm[0] - 1)
            self.at_s.append(at_s - START_S)


def test_frames_that_come_in_time_pass_at_once() -> None:
    line = Line()
    for number in range(100):
        line.sends(number, number * FRAME_S)
        assert line.came[-1] == number
    assert line.clock.filled_frames == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0.0, 0.060), min_size=1, max_size=120))
def test_jitter_adds_nothing_while_some_frames_come_in_time(delays_s: list[float]) -> None:
    line = Line()
    latest_s = 0.0
    for number, delay_s in enumerate([*delays_s, 0.0, 0.0, 0.0, 0.0]):
        # Every fourth frame is in time, and those before it are not later than it is.
        most_s = -number % 4 * FRAME_S
        latest_s = max(latest_s, number * FRAME_S + min(delay_s, most_s))
        line.sends(number, latest_s)
    assert line.ends() == list(range(len(delays_s) + 4))
    assert line.clock.filled_frames == 0


@settings(max_examples=200, deadline=None)
@given(st.integers(6, 40), st.integers(1, 5), st.integers(6, 40), st.integers(1, 5))
def test_a_gap_of_one_to_five_frames_keeps_its_place_and_its_length(
    before: int, first: int, between: int, second: int
) -> None:
    lost = {*range(before, before + first), *range(before + first + between, before + first + between + second)}
    total = before + first + between + second + 10
    line = Line()
    for number in range(total):
        if number not in lost:
            line.sends(number, number * FRAME_S)
    assert line.ends() == [None if number in lost else number for number in range(total)]
    assert line.at_s == pytest.approx([number * FRAME_S for number in range(total)], abs=1e-6)


def test_frames_after_a_gap_are_held_for_the_patience_only() -> None:
    line = Line()
    for number in (*range(10), *range(11, 30)):
        line.sends(number, number * FRAME_S)
        held = number - len(line.came) + (1 if number < 10 or len(line.came) > 10 else 0)
        assert held * FRAME_S <= PATIENCE_S + FRAME_S


@pytest.mark.parametrize("stall_s", [0.1, 0.3])
def test_a_burst_that_comes_late_brings_its_frames_and_no_silence(stall_s: float) -> None:
    line = Line()
    missed = round(stall_s / FRAME_S)
    for number in range(20):
        line.sends(number, number * FRAME_S)
    for number in range(20, 20 + missed):
        line.is_quiet(number * FRAME_S)
    for number in range(20, 60):
        line.sends(number, max(number, 20 + missed) * FRAME_S)
    assert line.ends() == list(range(60))


def test_a_burst_that_comes_after_silence_was_written_in_does_not_count_twice() -> None:
    line = Line()
    for number in range(20):
        line.sends(number, number * FRAME_S)
    for number in range(20, 50):
        line.is_quiet(number * FRAME_S)
    filled = line.clock.filled_frames
    assert line.came[20:] == [None] * filled
    assert filled >= 28
    for number in range(20, 100):
        line.sends(number, max(number, 50) * FRAME_S)
    assert [number for number in line.ends() if number is not None] == list(range(100))
    # From then on the line keeps the time it kept before: another frame that is lost is noticed, and nothing else.
    for number in range(101, 120):
        line.sends(number, number * FRAME_S)
    assert line.ends()[-20:] == [None, *range(101, 120)]
    assert line.clock.filled_frames == filled + 1


def test_a_phone_that_sends_nothing_between_utterances_leaves_silence_of_that_length() -> None:
    line = Line()
    for number in range(20):
        line.sends(number, number * FRAME_S)
    for number in range(20, 70):
        line.is_quiet(number * FRAME_S)
    for number in range(70, 90):
        line.sends(number, number * FRAME_S)
    assert line.ends() == [*range(20), *[None] * 50, *range(70, 90)]


def test_a_phone_that_never_sent_has_no_gap() -> None:
    line = Line()
    for number in range(200):
        line.is_quiet(number * FRAME_S)
    line.sends(200, 4.0)
    assert line.ends() == [200]


def test_a_gap_is_filled_no_further_than_anybody_looks_back() -> None:
    line = Line()
    line.sends(0, 0.0)
    for number in range(20):
        line.sends(1 + number, 60.0 + number * FRAME_S)
    assert line.ends() == [0, *[None] * 55, *range(1, 21)]


def test_a_senders_clock_that_runs_slow_is_no_loss() -> None:
    line = Line()
    for number in range(15_000):
        line.sends(number, number * FRAME_S * 1.0003)
    assert line.clock.filled_frames == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-0.030, 0.300), min_size=1, max_size=80))
def test_the_short_way_of_frames_in_time_changes_nothing(delays_s: list[float]) -> None:
    long_way, short_way = Line(), Line()
    for number, delay_s in enumerate(delays_s):
        at_s = number * FRAME_S + delay_s
        if delay_s > 0.250:
            for line in (long_way, short_way):
                line.is_quiet(at_s)
        long_way.sends(number, at_s)
        if short_way.clock.in_time(START_S + at_s):
            short_way.came.append(number)
            short_way.at_s.append(START_S + at_s - START_S)
        else:
            short_way.sends(number, at_s)
        assert (short_way.came, short_way.at_s) == (long_way.came, long_way.at_s)
    assert short_way.ends() == long_way.ends()
