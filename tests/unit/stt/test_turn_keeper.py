"""The recogniser as its listener sees it, between one stream of the engine and the next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.recognition import Final, RecognitionHint, SttEvent
from kamerton.stt.turn_keeper import TurnKeeper

HINT = RecognitionHint()


class Stream:
    """Writes down what it is told; raises from `push` when it is to."""

    dropped_ms = 0.0

    def __init__(self, *, breaks: bool = False) -> None:
        self.told: list[str] = []
        self.breaks = breaks

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        self.told.append(f"begin {turn} +{len(look_back)}")

    def push(self, frame: AudioFrame) -> None:
        if self.breaks:
            raise ZeroDivisionError("a bug of the engine")
        self.told.append("frame")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def end_of_turn(self) -> None:
        self.told.append("end")

    def abandon_turn(self) -> None:
        self.told.append("abandon")

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        raise AssertionError("nobody iterates here")


def frame(number: int = 0) -> AudioFrame:
    return AudioFrame(PHONE.silence(), PHONE, number * PHONE.frame_samples)


def recogniser(lost: list[str]) -> TurnKeeper:
    return TurnKeeper(lambda: 10.0, lost.append)


def test_what_has_no_transcript_yet_is_told_to_the_next_stream_from_its_beginning() -> None:
    kept = recogniser([])
    kept.begin_turn(1, HINT, [frame(), frame(1)])
    assert kept.audio_from_s == pytest.approx(9.96)
    kept.push(frame(2))
    kept.end_of_turn()
    kept.begin_turn(2, HINT)
    kept.push(frame(3))
    kept.pause()
    stream = Stream()
    kept.attach(stream)
    assert stream.told == ["begin 1 +3", "end", "begin 2 +1", "pause"]


def test_a_turn_with_its_transcript_is_not_told_again() -> None:
    kept = recogniser([])
    kept.begin_turn(1, HINT)
    kept.end_of_turn()
    kept.told(Final(1, "сто"))
    stream = Stream()
    kept.attach(stream)
    assert stream.told == []


def test_a_continuous_engine_hears_the_audio_of_a_turn_before_it_is_told_of_it() -> None:
    kept = recogniser([])
    kept.begin_turn(1, HINT, [frame()])
    kept.push(frame(1))
    stream = Stream()
    kept.attach(stream, continuous=True)
    assert stream.told == ["frame", "frame", "begin 1 +2"]


def test_a_stream_that_raises_is_given_up_once_and_harms_nobody() -> None:
    lost: list[str] = []
    kept = recogniser(lost)
    broken = Stream(breaks=True)
    kept.attach(broken)
    kept.begin_turn(1, HINT)
    for number in range(3):
        kept.push(frame(number))
    assert lost == ["ZeroDivisionError: a bug of the engine"]
    whole = Stream()
    kept.attach(whole)
    assert whole.told == ["begin 1 +3"]


def test_of_an_endless_turn_half_a_minute_is_kept() -> None:
    kept = recogniser([])
    kept.begin_turn(1, HINT)
    for number in range(1600):
        kept.push(frame(number))
    assert kept.dropped_ms == pytest.approx(2000.0)
    stream = Stream()
    kept.attach(stream)
    assert stream.told == ["begin 1 +1500"]
