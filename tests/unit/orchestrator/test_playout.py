from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamerton.domain.audio import PHONE, Clip, Segment
from kamerton.domain.media import CallInfo, MediaCapabilities, MediaSink, PlayoutPosition
from kamerton.domain.notices import Notice
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.utterance import Settled, Source, Utterance

FRAME = PHONE.frame_samples


class Far:
    """A far end that holds `delay_frames` of audio, plays one frame per tick, and may be cleared."""

    def __init__(self, delay_frames: int = 0, can_clear: bool = True) -> None:
        self._info = CallInfo("c", "fake", PHONE)
        self._can_clear = can_clear
        self.delay_frames = delay_frames
        self.queue: list[bytes] = []
        self.sent: list[bytes] = []
        self.clears = 0

    @property
    def info(self) -> CallInfo:
        return self._info

    @property
    def capabilities(self) -> MediaCapabilities:
        return MediaCapabilities(self.delay_frames * 20.0, self._can_clear, dtmf=True)

    def start(self, sink: MediaSink) -> None:
        raise NotImplementedError

    def send(self, pcm: bytes) -> None:
        assert len(pcm) == PHONE.frame_bytes
        self.sent.append(pcm)
        self.queue.append(pcm)
        del self.queue[: max(0, len(self.queue) - self.delay_frames)]

    def clear(self) -> None:
        self.clears += 1
        if self._can_clear:
            self.queue.clear()

    def position(self) -> PlayoutPosition:
        return PlayoutPosition(len(self.sent) * FRAME, len(self.queue) * FRAME)

    def notify(self, notice: Notice) -> None:
        raise NotImplementedError

    async def hang_up(self, reason: str) -> None:
        raise NotImplementedError


class Stage:
    """A playout on a clock of ticks."""

    def __init__(self, delay_frames: int = 0, can_clear: bool = True) -> None:
        self.far = Far(delay_frames, can_clear)
        self.now_s = 0.0
        self.settled: list[Settled] = []
        self.begun: list[Utterance] = []
        self.playout = Playout(self.far, lambda: self.now_s, self.settled.append)
        self.playout.started = self.begun.append

    def tick(self, frames: int = 1) -> None:
        for _ in range(frames):
            self.now_s += 0.02
            self.playout.tick(1)

    def levels(self, last: int) -> list[int]:
        return [int(np.frombuffer(pcm, dtype="<i2").astype(np.int32).max()) for pcm in self.far.sent[-last:]]


def clip(*clauses: tuple[str, int], value: int = 1000) -> Clip:
    """Constant audio, each clause so many frames long."""
    samples = sum(frames for _, frames in clauses) * FRAME
    pcm = np.full(samples, value, dtype="<i2").tobytes()
    return Clip(pcm, PHONE, tuple(Segment(text, frames * FRAME) for text, frames in clauses))


def test_silence_leaves_when_there_is_nothing_to_say() -> None:
    stage = Stage()
    stage.playout.tick(3)
    assert stage.far.sent == [PHONE.silence()] * 3


def test_utterances_play_in_order_and_are_settled_when_heard() -> None:
    stage = Stage(delay_frames=2)
    first = stage.playout.utter("reply", clip(("раз", 2), value=100))
    second = stage.playout.utter("prompt", clip(("два", 2), value=200))
    stage.tick(3)
    assert stage.settled == []
    stage.tick()
    assert stage.levels(4) == [100, 100, 200, 200]
    assert [s.utterance_id for s in stage.settled] == [first.id]
    stage.tick(2)
    assert [(s.utterance_id, s.outcome, s.heard_text, s.last) for s in stage.settled] == [
        (first.id, "played", "раз", False),
        (second.id, "played", "два", True),
    ]
    assert stage.begun == [first, second]
    assert not stage.playout.busy


def test_a_duck_takes_two_frames_and_so_does_its_end() -> None:
    stage = Stage()
    stage.playout.utter("reply", clip(("раз", 20)))
    stage.tick()
    stage.playout.duck(0.2)
    stage.tick(4)
    assert stage.levels(4) == [1000, 600, 200, 200]
    stage.playout.unduck()
    stage.tick(3)
    assert stage.levels(3) == [600, 1000, 1000]


@pytest.mark.parametrize("delay_frames", [0, 3])
def test_held_speech_goes_on_from_its_clause_boundary(delay_frames: int) -> None:
    stage = Stage(delay_frames)
    stage.playout.utter("reply", clip(("раз", 10), ("два", 10)))
    stage.tick(14)
    stage.playout.hold()
    stage.tick(5)
    assert stage.levels(5)[1:] == [0, 0, 0, 0]
    assert stage.playout.silenced_s == pytest.approx(16 * 0.02)
    stage.playout.resume()
    stage.tick(10)
    assert stage.levels(10) == [1000] * 10
    stage.tick(1 + delay_frames)
    assert [(s.outcome, s.heard_text) for s in stage.settled] == [("played", "раз два")]


@pytest.mark.parametrize(
    ("delay_frames", "can_clear", "heard"),
    [(0, True, 8), (3, True, 5), (2, False, 6)],
    ids=["near", "far", "uncleared"],
)
def test_a_cut_tells_what_had_been_heard(delay_frames: int, can_clear: bool, heard: int) -> None:
    stage = Stage(delay_frames, can_clear)
    stage.playout.utter("reply", clip(("один два три четыре пять шесть семь восемь девять десять", 10)))
    stage.playout.utter("prompt", clip(("потом", 5)))
    stage.tick(8)
    stage.playout.cut()
    assert [(s.outcome, len(s.heard_text.split())) for s in stage.settled] == [("cut", heard), ("skipped", 0)]
    assert stage.far.clears == 1
    expected_s = stage.now_s if can_clear else stage.now_s + delay_frames * 0.02
    assert stage.playout.silenced_s == pytest.approx(expected_s)
    stage.tick(5)
    assert stage.levels(5) == [0] * 5


def test_what_was_heard_to_its_end_is_played_even_if_the_cut_comes_before_the_tick() -> None:
    stage = Stage(delay_frames=1)
    stage.playout.utter("reply", clip(("раз", 2)))
    stage.tick(3)
    stage.far.queue.clear()
    stage.playout.cut()
    assert [(s.outcome, s.heard_text) for s in stage.settled] == [("played", "раз")]


def test_speech_asked_for_before_a_cut_is_skipped_when_it_comes_after_it() -> None:
    stage = Stage()
    asked = stage.playout.generation
    stage.playout.cut()
    stage.playout.utter("reply", clip(("поздно", 5)), generation=asked)
    kept = stage.playout.utter("reply", clip(("вовремя", 2), value=300))
    stage.tick(2)
    assert stage.levels(2) == [300, 300]
    assert [(s.outcome, s.heard_text) for s in stage.settled][:1] == [("skipped", "")]
    assert stage.begun == [kept]


def test_a_filler_fades_out_in_one_frame_of_its_own_before_the_answer() -> None:
    stage = Stage()
    stage.playout.utter("filler", clip(("секунду", 20)))
    stage.playout.utter("filler", clip(("ещё", 20)))
    stage.tick(3)
    stage.playout.cut_filler()
    assert [(s.source, s.outcome) for s in stage.settled] == [("filler", "cut"), ("filler", "skipped")]
    stage.playout.utter("reply", clip(("ответ", 3), value=400))
    assert len(stage.far.sent) == 3
    stage.tick(2)
    assert len(stage.far.sent) == 5
    assert stage.levels(2) == [1000, 400]
    assert np.frombuffer(stage.far.sent[3], dtype="<i2")[-1] == 0


def test_a_cut_forgets_the_end_of_a_fading_filler() -> None:
    stage = Stage()
    stage.playout.utter("filler", clip(("секунду", 20)))
    stage.tick(3)
    stage.playout.cut_filler()
    stage.playout.cut()
    stage.tick()
    assert stage.levels(1) == [0]


def test_an_utterance_that_waits_for_its_audio_leaves_silence_and_goes_on() -> None:
    stage = Stage()
    utterance = stage.playout.utter("reply", complete=False)
    stage.tick(2)
    utterance.add_audio(clip(("раз", 2)).pcm, "раз")
    stage.tick(3)
    utterance.add_audio(clip(("два", 1)).pcm, "два")
    utterance.complete = True
    stage.tick(2)
    assert stage.levels(7) == [0, 0, 1000, 1000, 0, 1000, 0]
    assert [s.heard_text for s in stage.settled] == ["раз два"]


def test_a_dropped_utterance_has_failed_with_what_was_heard() -> None:
    stage = Stage()
    utterance = stage.playout.utter("reply", complete=False)
    utterance.add_audio(clip(("раз два", 4)).pcm, "раз два")
    stage.tick(2)
    stage.playout.drop(utterance)
    stage.playout.drop(utterance)
    assert [(s.outcome, s.heard_text, s.last) for s in stage.settled] == [("failed", "раз", True)]


def test_an_utterance_of_nothing_is_played_at_once() -> None:
    stage = Stage()
    stage.playout.utter("reply")
    stage.tick()
    assert [(s.outcome, s.first_sent_s) for s in stage.settled] == [("played", None)]


DEEDS = ("tick", "utter", "filler", "grow", "finish", "late", "cut", "drop")
TOUCHES = ("unduck", "hold", "resume", "cut_filler")


class Drama(Stage):
    """A stage on which anything may be done at any time."""

    def __init__(self, delay_frames: int, can_clear: bool) -> None:
        super().__init__(delay_frames, can_clear)
        self.made: list[Utterance] = []
        self.ticks = 0

    def do(self, deed: str, number: int) -> None:
        if deed in TOUCHES:
            getattr(self.playout, deed)()
        elif deed == "duck":
            self.playout.duck(0.2)
        elif deed == "tick":
            self.tick(number)
            self.ticks += number
        elif deed == "cut":
            self.cut()
        elif deed in ("finish", "drop"):
            self.end_growing(deed)
        else:
            self.utter(deed, number)

    def utter(self, deed: str, number: int) -> None:
        said = clip(("раз два", number), ("три", number))
        generation = self.playout.generation - (deed == "late")
        source: Source = "filler" if deed == "filler" else "reply"
        self.made.append(self.playout.utter(source, said, complete=deed != "grow", generation=generation))

    def end_growing(self, deed: str) -> None:
        growing = next((utterance for utterance in reversed(self.made) if not utterance.complete), None)
        if growing is not None and deed == "drop":
            self.playout.drop(growing)
        if growing is not None:
            growing.complete = True

    def cut(self) -> None:
        self.playout.cut()
        self.do("tick", 1)
        assert self.far.sent[-1] == PHONE.silence()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from((*DEEDS, *TOUCHES, "duck")), st.integers(1, 8)), max_size=50),
    st.integers(0, 3),
    st.booleans(),
)
def test_whatever_is_done_every_utterance_has_one_outcome_and_every_tick_one_frame(
    deeds: list[tuple[str, int]], delay_frames: int, can_clear: bool
) -> None:
    drama = Drama(delay_frames, can_clear)
    for deed, number in deeds:
        drama.do(deed, number)
        assert len(drama.far.sent) == drama.ticks
    drama.cut()
    drama.do("tick", 5)
    outcomes = {settled.utterance_id: settled for settled in drama.settled}
    assert len(outcomes) == len(drama.settled) == len(drama.made)
    for utterance in drama.made:
        settled = outcomes[utterance.id]
        heard = settled.heard_text.split()
        assert utterance.text.split()[: len(heard)] == heard
        assert settled.outcome != "skipped" or settled.first_sent_s is None
