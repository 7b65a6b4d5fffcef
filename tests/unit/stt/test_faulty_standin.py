from collections.abc import Callable

import anyio
import pytest

from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.errors import EngineError
from kamerton.domain.recognition import Final, RecognitionHint, SttReconnected, SttStream
from kamerton.stt.standins.faulty import FaultySpeechToText, Reconnection, StreamFaults
from kamerton.stt.standins.scripted import InstantSpeechToText
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
HINT = RecognitionHint()


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def _faulty(*faults: StreamFaults) -> FaultySpeechToText:
    return FaultySpeechToText(InstantSpeechToText("да"), *faults)


def _turn(stream: SttStream, turn: int) -> None:
    stream.begin_turn(turn, HINT)
    stream.end_of_turn()


async def test_a_stream_that_opens_late() -> None:
    async with _faulty(StreamFaults(opens_after_s=2.5)).open(PHONE) as stream:
        assert anyio.current_time() == 2.5
        _turn(stream, 1)
        assert await anext(aiter(stream)) == Final(1, "да")


async def test_an_engine_that_refuses_n_times_and_then_serves() -> None:
    stt = _faulty(*[StreamFaults(refuses="no place")] * 2)
    for _ in range(2):
        with pytest.raises(EngineError, match="no place"):
            async with stt.open(PHONE):
                raise AssertionError("it was to refuse")
    async with stt.open(PHONE) as stream:
        _turn(stream, 1)
        assert await anext(aiter(stream)) == Final(1, "да")
    assert stt.openings == 3


@pytest.mark.parametrize("waiting", [True, False], ids=["while it is awaited", "before it is asked"])
async def test_a_stream_that_ends_in_mid_call(waiting: bool) -> None:
    async with _faulty(StreamFaults(ends_after_s=1)).open(PHONE) as stream:
        await anyio.sleep(0 if waiting else 2)
        assert [event async for event in stream] == []
        assert anyio.current_time() == (1 if waiting else 2)


async def test_a_stream_that_breaks_in_mid_call() -> None:
    async with _faulty(StreamFaults(breaks_after_s=1)).open(PHONE) as stream:
        _turn(stream, 1)
        assert await anext(aiter(stream)) == Final(1, "да")
        with pytest.raises(EngineError, match="told to break"):
            await anext(aiter(stream))


async def test_a_stream_that_refuses_audio() -> None:
    frame = AudioFrame(PHONE.silence(), PHONE, 0)
    async with _faulty(StreamFaults(push_breaks_after_s=1)).open(PHONE) as stream:
        stream.push(frame)
        await anyio.sleep(1)
        with pytest.raises(EngineError, match="refuse audio"):
            stream.push(frame)


async def test_a_stream_that_never_answers_ends_with_its_close() -> None:
    async with _faulty(StreamFaults(silent_after_s=0)).open(PHONE) as stream:
        _turn(stream, 1)
        with anyio.move_on_after(60) as limit:
            await anext(aiter(stream))
        assert limit.cancelled_caught
    assert [event async for event in stream] == []


async def test_a_connection_that_comes_back_tells_what_it_lost_and_then_what_was_due() -> None:
    broken = Reconnection(after_s=1, lasts_s=2, lost_ms=140)
    async with _faulty(StreamFaults(reconnections=[broken])).open(PHONE) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(_later, 1.5, lambda: _turn(stream, 7))
        event = await anext(aiter(stream))
        assert isinstance(event, SttReconnected)
        assert (event.turn, event.lost_ms, anyio.current_time()) == (7, 140, 3)
        assert await anext(aiter(stream)) == Final(7, "да")


async def _later(delay_s: float, act: Callable[[], None]) -> None:
    await anyio.sleep(delay_s)
    act()
