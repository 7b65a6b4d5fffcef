"""Arriving audio and controls, on their way to the call."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.testing.media_stage import RecordingSink, numbered_frames
from kamerton.transports.intake import CATCH_UP_MS, Intake


def intake(max_ahead_ms: float = 1000.0, backlog_ms: float = 1000.0) -> Intake:
    return Intake("call", PHONE, now_s=100.0, max_ahead_ms=max_ahead_ms, backlog_ms=backlog_ms)


@given(st.lists(st.integers(0, 700), max_size=20))
def test_pieces_of_any_length_become_exact_frames_without_gaps(samples: list[int]) -> None:
    arriving, sink = intake(max_ahead_ms=60_000), RecordingSink()
    arriving.start(sink)
    said = b"".join(number.to_bytes(2, "little") for number in range(sum(samples)))
    at = 0
    for count in samples:
        arriving.audio(said[at * 2 : (at + count) * 2], 100.0)
        at += count
    whole = len(said) // PHONE.frame_bytes
    assert b"".join(frame.pcm for frame in sink.frames) == said[: whole * PHONE.frame_bytes]
    assert [frame.start_sample for frame in sink.frames] == [160 * number for number in range(whole)]


def test_an_incomplete_frame_is_dropped_at_the_end() -> None:
    arriving, sink = intake(), RecordingSink()
    arriving.start(sink)
    arriving.audio(bytes(500), 100.0)
    arriving.hang_up("hung_up")
    arriving.audio(bytes(500), 100.0)
    arriving.dtmf("1")
    arriving.interrupt()
    arriving.hang_up("again")
    assert [type(event) for event in sink.events] == [AudioFrame, tuple]
    assert sink.hang_ups == [("hang_up", "hung_up")]


def test_what_came_before_the_start_is_delivered_first_and_in_order() -> None:
    arriving, sink = intake(), RecordingSink()
    frames = numbered_frames(PHONE, 3)
    arriving.audio(frames[0], 100.0)
    arriving.dtmf("7")
    arriving.audio(frames[1], 100.02)
    arriving.interrupt()
    arriving.start(sink)
    arriving.audio(frames[2], 100.04)
    assert sink.events == [
        AudioFrame(frames[0], PHONE, 0),
        ("dtmf", "7"),
        AudioFrame(frames[1], PHONE, 160),
        ("interrupt",),
        AudioFrame(frames[2], PHONE, 320),
    ]


def test_the_oldest_waiting_audio_gives_way_and_numbers_have_no_gap() -> None:
    arriving, sink = intake(backlog_ms=100), RecordingSink()
    frames = numbered_frames(PHONE, 8)
    for number, frame in enumerate(frames):
        arriving.audio(frame, 100 + number * 0.02)
    arriving.start(sink)
    assert [frame.pcm for frame in sink.frames] == frames[3:]
    assert [frame.start_sample for frame in sink.frames] == [0, 160, 320, 480, 640]
    assert arriving.dropped_ms == 60


def test_only_the_first_sink_counts() -> None:
    arriving, first, second = intake(), RecordingSink(), RecordingSink()
    arriving.start(first)
    arriving.start(second)
    arriving.dtmf("1")
    arriving.hang_up("hung_up")
    assert len(first.events) == 2
    assert second.events == []


def test_real_time_and_half_speed_lose_nothing() -> None:
    for pace_s in (0.02, 0.04):
        arriving, sink = intake(), RecordingSink()
        arriving.start(sink)
        for number in range(1000):
            arriving.audio(bytes(320), 100 + number * pace_s)
        assert len(sink.frames) == 1000


def test_double_speed_is_held_to_one_second_ahead_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    arriving, sink = intake(), RecordingSink()
    arriving.start(sink)
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            arriving.audio(bytes(320), 100 + number * 0.01)
    assert len(sink.frames) == pytest.approx(500 + 50, abs=1)
    assert arriving.dropped_ms == (1000 - len(sink.frames)) * 20
    assert [record.message for record in caplog.records] == [
        "the caller sends faster than real time; audio beyond the allowed advance is dropped"
    ]


def test_audio_that_was_held_up_is_not_lost() -> None:
    arriving, sink = intake(), RecordingSink()
    arriving.start(sink)
    for number in range(50):
        arriving.audio(bytes(320), 100 + number * 0.02)
    for _ in range(150):
        arriving.audio(bytes(320), 104.0)
    assert len(sink.frames) == 200


def test_a_flood_after_a_long_silence_is_bounded() -> None:
    arriving, sink = intake(), RecordingSink()
    arriving.start(sink)
    for _ in range(10_000):
        arriving.audio(bytes(320), 1000.0)
    assert len(sink.frames) == (CATCH_UP_MS + 1000) / 20
