from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import anyio
import pytest

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.recognition import RecognitionHint, SttEvent
from kamerton.listening.listener import Listener, ListeningSettings
from kamerton.listening.segmenter import (
    SegmentEvent,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSuspected,
    SuspicionDropped,
)
from kamerton.listening.vad import VadBatcher
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.call_lab import EnergyVadModel
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class NotedStream:
    """A recogniser's stream that notes what it is told."""

    dropped_ms = 0.0

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.frames: list[AudioFrame] = []
        self.pushed: list[AudioFrame] = []

    def begin_turn(self, turn: int, hint: RecognitionHint, look_back: Sequence[AudioFrame] = ()) -> None:
        self.calls.append(f"begin {turn}")
        self.frames += look_back

    def push(self, frame: AudioFrame) -> None:
        self.frames.append(frame)
        self.pushed.append(frame)

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def end_of_turn(self) -> None:
        self.calls.append("end")

    def abandon_turn(self) -> None:
        self.calls.append("abandon")

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        raise NotImplementedError


class Ears:
    """A listener that hears frames at real pace on the virtual clock."""

    def __init__(
        self,
        batcher: VadBatcher | None = None,
        report: Callable[[SegmentEvent], None] | None = None,
        *,
        continuous: bool = False,
    ) -> None:
        self.stream = NotedStream()
        self.events: list[SegmentEvent] = []
        self.told_s: list[float] = []
        self.batcher = batcher or VadBatcher(EnergyVadModel(), InlineWorker())
        self.listener = Listener(
            PHONE,
            self.batcher,
            self.stream,
            ListeningSettings(),
            anyio.current_time,
            report or self._report,
            continuous=continuous,
        )
        self._number = 0
        self._voice = tone(200.0, 100.0, PHONE, level_dbfs=-15.0)[640:960]

    def _report(self, event: SegmentEvent) -> None:
        self.events.append(event)
        self.told_s.append(anyio.current_time())

    def take(self, loud: bool) -> None:
        pcm = self._voice if loud else PHONE.silence()
        self.listener.hear(AudioFrame(pcm, PHONE, self._number * 160))
        self._number += 1

    async def hear(self, duration_s: float, loud: bool) -> None:
        for _ in range(round(duration_s * 50)):
            await anyio.sleep(0.02)
            self.listener.tick(anyio.current_time())
            self.take(loud)

    async def lose(self, duration_s: float) -> None:
        for _ in range(round(duration_s * 50)):
            await anyio.sleep(0.02)
            self.listener.tick(anyio.current_time())
            self._number += 1


async def test_the_recogniser_hears_at_least_300_ms_before_the_onset_and_every_frame_after() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        await ears.hear(2.0, loud=False)
        await ears.hear(0.3, loud=True)
        started = next(event for event in ears.events if isinstance(event, SpeechStarted))
        ears.listener.open_turn(1, started.onset_s, RecognitionHint())
        await ears.hear(0.5, loud=True)
        tasks.cancel_scope.cancel()
    first_s = ears.stream.frames[0].start_sample / 8000
    assert 0.3 <= 2.0 - first_s <= 0.45
    numbers = [frame.start_sample // 160 for frame in ears.stream.frames]
    assert numbers == list(range(numbers[0], 140))


async def test_look_back_survives_a_late_decision() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        await ears.hear(2.0, loud=False)
        await ears.hear(0.6, loud=True)
        started = next(event for event in ears.events if isinstance(event, SpeechStarted))
        ears.listener.open_turn(1, started.onset_s, RecognitionHint())
        tasks.cancel_scope.cancel()
    assert 2.0 - ears.stream.frames[0].start_sample / 8000 >= 0.3


async def test_a_turn_is_told_to_the_recogniser_in_its_order() -> None:
    ears = Ears()
    listener = ears.listener
    listener.pause_turn()
    listener.resume_turn()
    listener.open_turn(3, 0.0, RecognitionHint())
    listener.pause_turn()
    listener.resume_turn()
    listener.end_turn()
    listener.abandon_turn()
    listener.open_turn(4, 0.0, RecognitionHint())
    listener.abandon_turn()
    assert ears.stream.calls == ["begin 3", "pause", "resume", "end", "begin 4", "abandon"]


async def test_nothing_reaches_the_recogniser_between_turns() -> None:
    ears = Ears()
    await ears.hear(0.2, loud=False)
    ears.listener.open_turn(1, 10.0, RecognitionHint())
    ears.listener.end_turn()
    await ears.hear(0.2, loud=False)
    assert ears.stream.frames == []


async def test_speech_that_outlasts_its_turn_is_noticed_anew() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        await ears.hear(0.5, loud=True)
        ears.listener.open_turn(1, 0.0, RecognitionHint())
        ears.listener.end_turn()
        await ears.hear(0.5, loud=True)
        tasks.cancel_scope.cancel()
    kinds = [type(event) for event in ears.events]
    assert kinds == [SpeechSuspected, SpeechStarted, SpeechSuspected, SpeechStarted]


async def test_a_closed_listener_is_deaf() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        ears.listener.open_turn(1, 0.0, RecognitionHint())
        await ears.hear(0.06, loud=True)
        ears.listener.close()
        ears.events.clear()
        heard = len(ears.stream.frames)
        judged = ears.batcher.windows_judged
        await ears.hear(1.0, loud=True)
        tasks.cancel_scope.cancel()
    assert (ears.events, len(ears.stream.frames), ears.batcher.windows_judged) == ([], heard, judged)


async def test_a_click_is_suspected_and_dropped() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        await ears.hear(0.5, loud=False)
        await ears.hear(0.04, loud=True)
        await ears.hear(0.5, loud=False)
        tasks.cancel_scope.cancel()
    assert [type(event) for event in ears.events] == [SpeechSuspected, SuspicionDropped]


async def test_a_line_that_stops_in_mid_speech_is_silence_at_the_calls_pace() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        await ears.hear(1.0, loud=False)
        await ears.hear(1.0, loud=True)
        ears.listener.open_turn(1, 1.0, RecognitionHint())
        heard = len(ears.stream.frames)
        await ears.lose(1.0)
        tasks.cancel_scope.cancel()
    (paused,) = [event for event in ears.events if isinstance(event, SpeechPaused)]
    assert paused.ended_s == pytest.approx(2.0, abs=0.04)
    assert ears.told_s[ears.events.index(paused)] <= 2.0 + 0.2
    filled = ears.stream.frames[heard:]
    assert 40 <= len(filled) <= 50
    assert not any(any(frame.pcm) for frame in filled)


async def test_a_phone_that_sends_only_speech_is_heard_from_its_first_frame_on() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        for _ in range(2):
            await ears.lose(2.0)
            await ears.hear(1.0, loud=True)
        await ears.lose(2.0)
        tasks.cancel_scope.cancel()
    started = [event.onset_s for event in ears.events if isinstance(event, SpeechStarted)]
    resumed = [event.at_s for event in ears.events if isinstance(event, SpeechResumed)]
    paused = [event.ended_s for event in ears.events if isinstance(event, SpeechPaused)]
    assert [*started, *resumed] == pytest.approx([2.0, 5.0], abs=0.06)
    assert paused == pytest.approx([3.0, 6.0], abs=0.06)


async def test_a_process_that_stood_still_does_not_take_it_for_silence_of_the_line() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        await ears.hear(1.0, loud=True)
        ears.listener.open_turn(1, 0.0, RecognitionHint())
        await anyio.sleep(5.0)  # neither ticks nor frames
        ears.listener.tick(anyio.current_time())
        for _ in range(250):
            ears.take(loud=True)
        await ears.hear(0.5, loud=True)
        tasks.cancel_scope.cancel()
    assert not [event for event in ears.events if isinstance(event, SpeechPaused)]
    assert len(ears.stream.frames) == 50 + 250 + 25
    assert ears.listener.filled_ms == 0


async def test_the_end_of_a_turn_is_not_given_to_the_next() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        await ears.hear(1.0, loud=False)
        await ears.hear(1.0, loud=True)
        ears.listener.open_turn(1, 1.0, RecognitionHint())
        await ears.hear(0.2, loud=False)
        ears.listener.end_turn()
        first = len(ears.stream.frames)
        await ears.hear(0.3, loud=True)
        ears.listener.open_turn(2, 2.2, RecognitionHint())
        tasks.cancel_scope.cancel()
    look_back = ears.stream.frames[first:]
    assert look_back[0].start_sample / 8000 == pytest.approx(2.05, abs=0.03)
    assert look_back[-1].start_sample / 8000 == pytest.approx(2.48)


async def test_the_audio_of_an_abandoned_turn_is_given_to_the_next() -> None:
    ears = Ears()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        await ears.hear(1.0, loud=False)
        await ears.hear(0.3, loud=True)
        ears.listener.open_turn(1, 1.0, RecognitionHint())
        ears.listener.abandon_turn()
        first = len(ears.stream.frames)
        ears.listener.open_turn(2, 1.2, RecognitionHint())
        tasks.cancel_scope.cancel()
    assert ears.stream.frames[first].start_sample / 8000 == pytest.approx(0.8, abs=0.03)


async def test_a_continuous_recogniser_hears_the_call_and_not_only_its_turns() -> None:
    ears = Ears(continuous=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ears.batcher.run)
        await ears.hear(0.5, loud=False)
        ears.listener.open_turn(1, 0.4, RecognitionHint())
        ears.listener.end_turn()
        await ears.lose(1.0)
        tasks.cancel_scope.cancel()
    assert len(ears.stream.pushed) == pytest.approx(75, abs=2)


async def test_a_fault_in_what_a_call_does_with_its_events_ends_that_call_by_its_tick() -> None:
    def broken(event: SegmentEvent) -> None:
        raise RuntimeError("the call is upset")

    batcher = VadBatcher(EnergyVadModel(), InlineWorker())
    ears, other = Ears(batcher, broken), Ears(batcher)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(batcher.run)
        for _ in range(25):
            await anyio.sleep(0.02)
            ears.take(loud=True)
            other.take(loud=True)
        tasks.cancel_scope.cancel()
    with pytest.raises(RuntimeError, match="upset"):
        ears.listener.tick(anyio.current_time())
    assert [type(event) for event in other.events] == [SpeechSuspected, SpeechStarted]
    assert batcher.sink_failures == 1
