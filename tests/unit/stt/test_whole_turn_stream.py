from collections.abc import AsyncIterator

import anyio
import pytest

from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.recognition import Final, Partial, RecognitionHint, SttEvent, SttFailed
from kamerton.stt.decode_queue import DecodeFailed, DecodeOutcome, DecodeQueue, DecodeRequest
from kamerton.stt.whisper.readings import Transcript
from kamerton.stt.whole_turn_stream import WholeTurnStream
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
HINT = RecognitionHint("ru", ("сорок",))


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class StepWorker:
    """A decode worker that works when the test says so, and reads the number of frames out of the audio."""

    def __init__(self, capacity: int = 8) -> None:
        self.queue = DecodeQueue(capacity)
        self.running: DecodeRequest | None = None
        self.hints: list[RecognitionHint] = []
        self._wanted: set[DecodeRequest] = set()

    def submit(self, request: DecodeRequest, *, final: bool) -> None:
        self._wanted.add(request)
        dropped = self.queue.put(request, final=final)
        if dropped is not None:
            self._deliver(dropped, DecodeFailed("overloaded"))

    def promote(self, request: DecodeRequest) -> bool:
        self.queue.promote(request)
        return request in self._wanted

    def withdraw(self, request: DecodeRequest) -> None:
        self._wanted.discard(request)
        self.queue.remove(request)

    def begin(self) -> None:
        self.running = self.queue.take()
        assert self.running is not None
        self.hints.append(self.running.hint)

    def finish(self, outcome: DecodeOutcome | None = None) -> None:
        assert self.running is not None
        frames = len(self.running.pcm) // PHONE.frame_bytes
        self._deliver(self.running, outcome or Transcript(f"{frames} frames", ("other",), 0.5))

    def run(self, outcome: DecodeOutcome | None = None) -> None:
        self.begin()
        self.finish(outcome)

    def _deliver(self, request: DecodeRequest, outcome: DecodeOutcome) -> None:
        if request in self._wanted:
            self._wanted.discard(request)
            request.deliver(request, outcome)


def _talk(stream: WholeTurnStream, frames: int) -> None:
    for index in range(frames):
        stream.push(AudioFrame(PHONE.silence(), PHONE, index * PHONE.frame_samples))


def _begun(worker: StepWorker, frames: int = 10, turn: int = 1) -> WholeTurnStream:
    stream = WholeTurnStream(worker, PHONE)
    stream.begin_turn(turn, HINT)
    _talk(stream, frames)
    return stream


async def _heard(stream: WholeTurnStream) -> list[SttEvent]:
    """Everything that waits for the consumer now."""
    events: list[SttEvent] = []
    with anyio.move_on_after(0.001):
        async for event in stream:
            events.append(event)  # noqa: PERF401 - the comprehension would lose what came before the time-out
    return events


PARTIAL_10 = Partial(1, "10 frames", stable=True, alternatives=("other",))
FINAL_10 = Final(1, "10 frames", ("other",), 0.5)


async def test_a_pause_is_decoded_ahead_and_reused_at_the_end() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.pause()
    worker.run()
    _talk(stream, 5)
    stream.end_of_turn()
    assert await _heard(stream) == [PARTIAL_10, FINAL_10]
    assert len(worker.queue) == 0
    assert worker.hints == [HINT]


async def test_a_turn_that_ends_while_its_pause_is_decoded_waits_for_that_decode() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.pause()
    worker.begin()
    stream.end_of_turn()
    assert await _heard(stream) == []
    worker.finish()
    assert await _heard(stream) == [FINAL_10]
    assert len(worker.queue) == 0


async def test_a_queued_guess_becomes_the_final_request_when_the_turn_ends() -> None:
    worker = StepWorker()
    other = _begun(worker, 3)
    stream = _begun(worker)
    other.pause()
    stream.pause()
    stream.end_of_turn()
    worker.run()
    assert await _heard(stream) == [FINAL_10]
    assert await _heard(other) == []


async def test_speech_after_the_pause_makes_a_running_decode_stale() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.pause()
    worker.begin()
    stream.resume()
    _talk(stream, 5)
    worker.finish()
    stream.end_of_turn()
    worker.run()
    assert await _heard(stream) == [Final(1, "15 frames", ("other",), 0.5)]


async def test_speech_after_the_pause_takes_a_waiting_request_back() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.pause()
    stream.resume()
    assert len(worker.queue) == 0
    _talk(stream, 1)
    stream.pause()
    worker.run()
    assert await _heard(stream) == [Partial(1, "11 frames", stable=True, alternatives=("other",))]


async def test_a_decode_that_was_there_before_the_caller_went_on_is_not_reused() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.pause()
    worker.run()
    stream.resume()
    _talk(stream, 2)
    stream.end_of_turn()
    assert await _heard(stream) == [PARTIAL_10]
    worker.run()
    assert await _heard(stream) == [Final(1, "12 frames", ("other",), 0.5)]


async def test_the_same_pause_is_decoded_once() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.pause()
    _talk(stream, 3)
    stream.pause()
    assert len(worker.queue) == 1


async def test_without_a_pause_the_end_decodes_everything() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.end_of_turn()
    worker.run()
    assert await _heard(stream) == [FINAL_10]


async def test_a_guess_that_failed_is_decoded_anew_at_the_end() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.pause()
    worker.run(DecodeFailed("engine fault"))
    stream.end_of_turn()
    worker.run()
    assert await _heard(stream) == [FINAL_10]


@pytest.mark.parametrize("retryable", [True, False])
async def test_a_final_decode_that_fails_is_told(retryable: bool) -> None:
    worker = StepWorker()
    stream = _begun(worker, turn=4)
    stream.end_of_turn()
    worker.run(DecodeFailed("engine fault", retryable))
    assert await _heard(stream) == [SttFailed(4, "engine fault", retryable)]


async def test_an_abandoned_turn_is_forgotten_and_the_next_starts_empty() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.pause()
    worker.begin()
    stream.abandon_turn()
    worker.finish()
    stream.end_of_turn()
    stream.begin_turn(2, HINT)
    _talk(stream, 4)
    stream.end_of_turn()
    worker.run()
    assert await _heard(stream) == [Final(2, "4 frames", ("other",), 0.5)]


async def test_a_turn_begun_over_another_replaces_it() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.pause()
    stream.begin_turn(2, HINT)
    stream.end_of_turn()
    assert len(worker.queue) == 0
    assert await _heard(stream) == [Final(2, "", (), 0.0)]


async def test_an_earlier_turn_gets_its_final_although_the_next_has_begun() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.end_of_turn()
    stream.begin_turn(2, HINT)
    _talk(stream, 3)
    stream.pause()
    worker.run()
    stream.abandon_turn()
    assert await _heard(stream) == [FINAL_10]


async def test_a_final_that_takes_too_long_fails_at_its_deadline_and_only_once() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.end_of_turn()
    worker.begin()
    start = anyio.current_time()
    failure = await anext(aiter(stream))
    assert anyio.current_time() - start == pytest.approx(8.0)
    assert isinstance(failure, SttFailed)
    assert (failure.turn, failure.retryable) == (1, True)
    worker.finish()
    assert await _heard(stream) == []


async def test_a_final_past_its_deadline_is_not_decoded_any_more() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.end_of_turn()
    await anyio.sleep(9)
    assert len(worker.queue) == 0


async def test_overload_drops_guesses_quietly_and_finals_loudly() -> None:
    worker = StepWorker(capacity=1)
    guess, first, second = _begun(worker), _begun(worker), _begun(worker)
    guess.pause()
    first.end_of_turn()
    second.end_of_turn()
    assert await _heard(second) == [SttFailed(1, "overloaded")]
    worker.run()
    assert await _heard(first) == [FINAL_10]
    assert await _heard(guess) == []
    guess.end_of_turn()
    worker.run()
    assert await _heard(guess) == [FINAL_10]


async def test_closing_takes_everything_back_and_ends_the_iteration() -> None:
    worker = StepWorker()
    stream = _begun(worker)
    stream.end_of_turn()
    stream.begin_turn(2, HINT)
    _talk(stream, 2)
    stream.pause()
    stream.close()
    assert len(worker.queue) == 0
    assert [event async for event in stream] == []
    stream.begin_turn(3, HINT)
    _talk(stream, 2)
    stream.end_of_turn()
    stream.close()
    assert len(worker.queue) == 0


async def test_a_waiting_consumer_is_woken_by_the_close() -> None:
    stream = _begun(StepWorker())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_exhaust, aiter(stream))
        await anyio.sleep(1)
        stream.close()


async def _exhaust(events: AsyncIterator[SttEvent]) -> None:
    async for _ in events:
        raise AssertionError("nothing was said")


async def test_calls_out_of_place_are_harmless() -> None:
    worker = StepWorker()
    stream = WholeTurnStream(worker, PHONE)
    _talk(stream, 3)
    stream.pause()
    stream.resume()
    stream.end_of_turn()
    stream.abandon_turn()
    assert await _heard(stream) == []
    assert len(worker.queue) == 0


async def test_a_turn_of_30_seconds_is_heard_whole_in_two_parts() -> None:
    worker = StepWorker()
    stream = _begun(worker, frames=1001)
    worker.run()
    _talk(stream, 480)
    stream.end_of_turn()
    worker.run()
    # Silence everywhere: the cut is at the earliest place, 10 s and half of a quiet stretch.
    assert await _heard(stream) == [Final(1, "505 frames 976 frames", (), 0.5)]
    assert stream.dropped_ms == 0


async def test_a_part_that_is_not_decoded_when_the_turn_ends_is_waited_for() -> None:
    worker = StepWorker()
    stream = _begun(worker, frames=1001)
    stream.end_of_turn()
    assert await _heard(stream) == []
    worker.run(Transcript("сколько стоит", (), 0.6))
    assert await _heard(stream) == []
    worker.run(Transcript("полис", (), 0.3))
    assert await _heard(stream) == [Final(1, "сколько стоит полис", (), 0.3)]


async def test_a_part_without_words_leaves_the_rest_as_it_is() -> None:
    worker = StepWorker()
    stream = _begun(worker, frames=1001)
    worker.run(Transcript())
    stream.end_of_turn()
    worker.run(Transcript("сорок", ("сурок",), 0.9))
    assert await _heard(stream) == [Final(1, "сорок", ("сурок",), 0.9)]


async def test_the_hypothesis_of_a_long_turn_has_all_its_parts() -> None:
    worker = StepWorker()
    stream = _begun(worker, frames=1001)
    worker.begin()
    part, worker.running = worker.running, None
    stream.pause()
    worker.run(Transcript("полис"))
    assert await _heard(stream) == []
    worker.running = part
    worker.finish(Transcript("сколько стоит"))
    assert await _heard(stream) == [Partial(1, "сколько стоит полис", stable=True)]


@pytest.mark.parametrize("pausing", [True, False], ids=["at a pause", "at the end"])
async def test_a_part_whose_decode_failed_is_asked_for_again(pausing: bool) -> None:
    worker = StepWorker()
    stream = _begun(worker, frames=1001)
    worker.run(DecodeFailed("engine fault"))
    if pausing:
        stream.pause()
        worker.run(Transcript("сколько стоит"))
        worker.run(Transcript("полис"))
        assert await _heard(stream) == [Partial(1, "сколько стоит полис", stable=True)]
    stream.end_of_turn()
    if not pausing:
        worker.run(Transcript("сколько стоит"))
        worker.run(Transcript("полис"))
    (final,) = await _heard(stream)
    assert isinstance(final, Final)
    assert final.text == "сколько стоит полис"


async def test_a_part_that_fails_for_good_fails_its_turn_once() -> None:
    worker = StepWorker()
    stream = _begun(worker, frames=1001)
    stream.end_of_turn()
    worker.run(DecodeFailed("engine fault"))
    assert await _heard(stream) == [SttFailed(1, "engine fault")]
    assert len(worker.queue) == 0


async def test_no_part_is_cut_in_a_pause_unless_there_is_no_room_left() -> None:
    worker = StepWorker()
    stream = _begun(worker, frames=990)
    stream.pause()
    worker.run()
    _talk(stream, 200)
    assert len(worker.queue) == 0
    _talk(stream, 220)
    assert len(worker.queue) == 1
    worker.run()
    stream.end_of_turn()
    worker.run()
    assert (await _heard(stream))[-1] == Final(1, "505 frames 905 frames", (), 0.5)
    assert stream.dropped_ms == 0


async def test_an_abandoned_long_turn_takes_its_parts_back() -> None:
    worker = StepWorker()
    stream = _begun(worker, frames=1001)
    assert len(worker.queue) == 1
    stream.abandon_turn()
    assert len(worker.queue) == 0
    stream.begin_turn(2, HINT)
    _talk(stream, 4)
    stream.end_of_turn()
    worker.run()
    assert await _heard(stream) == [Final(2, "4 frames", ("other",), 0.5)]


async def test_endless_turns_lose_their_oldest_audio_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    worker = StepWorker(capacity=64)
    stream = _begun(worker, frames=50 * 130)
    assert 0 < stream.dropped_ms < 130_000 - 28_000
    assert [record.message for record in caplog.records] == ["a turn is too long to be heard whole"]
    stream.close()


async def test_events_nobody_takes_are_bounded_and_finals_outlive_partials() -> None:
    worker = StepWorker()
    stream = WholeTurnStream(worker, PHONE)
    for turn in range(40):
        stream.begin_turn(turn, HINT)
        _talk(stream, 1)
        stream.pause()
        worker.run()
        stream.end_of_turn()
    events = await _heard(stream)
    assert len(events) == 64
    assert [event.turn for event in events if isinstance(event, Final)] == list(range(40))
