import anyio
import pytest

from kamerton.domain.audio import PHONE
from kamerton.domain.recognition import Final, Partial, RecognitionHint, SttEvent, SttFailed, SttStream
from kamerton.stt.standins.scripted import InstantSpeechToText, ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
HINT = RecognitionHint()


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


async def _next(stream: SttStream) -> tuple[float, SttEvent]:
    event = await anext(aiter(stream))
    return round(anyio.current_time(), 6), event


async def _silent_for(stream: SttStream, seconds: float) -> bool:
    with anyio.move_on_after(seconds) as limit:
        await anext(aiter(stream))
    return limit.cancelled_caught


async def test_the_instant_one_answers_at_pause_and_end_of_every_turn() -> None:
    stt = InstantSpeechToText("да")
    async with stt.open(PHONE) as stream:
        for turn in (1, 2):
            stream.begin_turn(turn, HINT)
            stream.pause()
            assert await _next(stream) == (0.0, Partial(turn, "да", stable=True))
            stream.end_of_turn()
            assert await _next(stream) == (0.0, Final(turn, "да"))
    await stt.aclose()


async def test_the_instant_one_needs_no_pause() -> None:
    async with InstantSpeechToText("да").open(PHONE) as stream:
        stream.begin_turn(7, HINT)
        stream.end_of_turn()
        assert await _next(stream) == (0.0, Final(7, "да"))


async def test_scripted_delays_are_exact() -> None:
    stt = ScriptedSpeechToText([ScriptedTurn("сорок", ("сурок",), 0.7, partial_after_ms=250, final_after_ms=400)])
    async with stt.open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        await anyio.sleep(1)
        stream.pause()
        assert await _next(stream) == (
            1.25,
            Partial(1, "сорок", stable=True, alternatives=("сурок",)),
        )
        stream.resume()
        await anyio.sleep(0.75)
        stream.end_of_turn()
        assert await _next(stream) == (2.4, Final(1, "сорок", ("сурок",), 0.7))


async def test_a_turn_that_ends_in_its_pause_reuses_the_pauses_decode() -> None:
    stt = ScriptedSpeechToText([ScriptedTurn("да", partial_after_ms=300, final_after_ms=900)] * 2)
    async with stt.open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        stream.pause()
        await _next(stream)
        await anyio.sleep(0.2)
        stream.end_of_turn()
        assert await _next(stream) == (0.5, Final(1, "да"))
        stream.begin_turn(2, HINT)
        stream.pause()
        await anyio.sleep(0.1)
        stream.end_of_turn()
        assert await _next(stream) == (0.8, Final(2, "да"))


async def test_each_pause_may_hear_something_else() -> None:
    stt = ScriptedSpeechToText([ScriptedTurn("сто пятьдесят", pause_texts=("сто",))])
    async with stt.open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        texts = []
        for _ in range(2):
            stream.pause()
            stream.pause()
            texts.append((await _next(stream))[1])
            stream.resume()
        assert texts == [Partial(1, "сто", stable=True), Partial(1, "сто пятьдесят", stable=True)]


async def test_speech_after_a_pause_takes_its_partial_back() -> None:
    stt = ScriptedSpeechToText([ScriptedTurn("да", partial_after_ms=300)])
    async with stt.open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        stream.pause()
        stream.resume()
        assert await _silent_for(stream, 5)


async def test_a_scripted_failure_comes_instead_of_the_final() -> None:
    stt = ScriptedSpeechToText([ScriptedTurn(failure="line cut", retryable=False, final_after_ms=100)])
    async with stt.open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        stream.end_of_turn()
        assert await _next(stream) == (0.1, SttFailed(1, "line cut", retryable=False))


async def test_an_abandoned_turn_leaves_its_line_to_the_next_and_the_script_ends_in_silence() -> None:
    stt = ScriptedSpeechToText([ScriptedTurn("да")])
    async with stt.open(PHONE) as stream:
        for turn, text in ((2, "да"), (4, "")):
            stream.begin_turn(turn - 1, HINT)
            stream.abandon_turn()
            stream.end_of_turn()
            stream.begin_turn(turn, HINT)
            stream.end_of_turn()
            assert await _next(stream) == (0.0, Final(turn, text))


async def test_calls_take_scripts_in_the_order_of_opening() -> None:
    stt = ScriptedSpeechToText([ScriptedTurn("первый")], [ScriptedTurn("второй")])
    texts = []
    for _ in range(3):
        async with stt.open(PHONE) as stream:
            stream.begin_turn(1, HINT)
            stream.end_of_turn()
            event = (await _next(stream))[1]
            assert isinstance(event, Final)
            texts.append(event.text)
    assert texts == ["первый", "второй", "второй"]


async def test_leaving_cancels_what_is_still_to_come() -> None:
    stt = ScriptedSpeechToText([ScriptedTurn("да", final_after_ms=50), ScriptedTurn("нет", partial_after_ms=50)])
    async with stt.open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        stream.end_of_turn()
        stream.begin_turn(2, HINT)
        stream.pause()
    await anyio.sleep(1)
    assert [event async for event in stream] == []
