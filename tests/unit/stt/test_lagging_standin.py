import anyio
import pytest

from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.recognition import Final, Partial, RecognitionHint, SttEvent, SttStream, UtteranceEnded
from kamerton.stt.standins.lagging import LaggingSpeechToText, SpokenWord, StreamingTraits
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
HINT = RecognitionHint()
YES_BUT = (SpokenWord("да,", 100, 400), SpokenWord("но", 700, 850), SpokenWord("завтра", 900, 1300))


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def _frames(start_ms: int, end_ms: int) -> list[AudioFrame]:
    """Frames of this stretch of the call."""
    return [AudioFrame(PHONE.silence(), PHONE, PHONE.samples(at)) for at in range(start_ms, end_ms, 20)]


async def _speak(stream: SttStream, frames: list[AudioFrame]) -> None:
    """Push audio as a line brings it."""
    for frame in frames:
        await anyio.sleep(0.02)
        stream.push(frame)


async def _heard(stream: SttStream) -> list[SttEvent]:
    """Everything that waits for the consumer now."""
    events: list[SttEvent] = []
    with anyio.move_on_after(0.001):
        async for event in stream:
            events.append(event)  # noqa: PERF401 - the comprehension would lose what came before the time-out
    return events


async def test_hypotheses_trail_the_audio_by_the_lag() -> None:
    async with LaggingSpeechToText(YES_BUT).open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        await _speak(stream, _frames(0, 700))
        events = await _heard(stream)
        assert events == [
            Partial(1, "да," if covered == 400 else "", covers_ms=covered) for covered in (100, 200, 300, 400)
        ]


async def test_a_final_waits_for_the_lag_and_has_the_words_that_were_pushed() -> None:
    async with LaggingSpeechToText(YES_BUT).open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        await _speak(stream, _frames(0, 900))
        await _heard(stream)
        ended_s = anyio.current_time()
        stream.end_of_turn()
        assert await anext(aiter(stream)) == Final(1, "да, но")
        assert anyio.current_time() == pytest.approx(ended_s + 0.3)


async def test_a_pause_is_stable_once_it_is_covered_and_speech_takes_that_back() -> None:
    async with LaggingSpeechToText(YES_BUT).open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        await _speak(stream, _frames(0, 500))
        stream.pause()
        await _speak(stream, _frames(500, 820))
        assert (await _heard(stream))[-1] == Partial(1, "да,", stable=True, covers_ms=500)
        stream.resume()
        await _speak(stream, _frames(820, 1300))
        assert (await _heard(stream))[-1] == Partial(1, "да, но", stable=False, covers_ms=1000)


async def test_without_news_of_silence_only_words_and_pauses_are_told() -> None:
    traits = StreamingTraits(tells_silence=False)
    async with LaggingSpeechToText(YES_BUT, traits=traits).open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        await _speak(stream, _frames(0, 1700))
        events = await _heard(stream)
        assert [(event.text, event.covers_ms) for event in events if isinstance(event, Partial)] == [
            ("да,", 400),
            ("да, но", 900),
            ("да, но завтра", 1300),
        ]


async def test_an_utterance_that_the_engine_ends_is_evidence_and_its_text_is_joined() -> None:
    traits = StreamingTraits(lag_ms=0, utterance_pause_ms=260)
    async with LaggingSpeechToText(YES_BUT, traits=traits).open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        await _speak(stream, _frames(0, 1400))
        events = await _heard(stream)
        assert [event for event in events if isinstance(event, UtteranceEnded)] == [UtteranceEnded(1, covers_ms=660)]
        assert events[-1] == Partial(1, "да, но завтра", covers_ms=1400)
        stream.end_of_turn()
        assert await _heard(stream) == [Final(1, "да, но завтра")]


async def test_a_word_that_has_begun_keeps_the_utterance_open() -> None:
    traits = StreamingTraits(lag_ms=0, utterance_pause_ms=350)
    async with LaggingSpeechToText(YES_BUT, traits=traits).open(PHONE) as stream:
        stream.begin_turn(1, HINT)
        await _speak(stream, _frames(0, 840))
        assert not any(isinstance(event, UtteranceEnded) for event in await _heard(stream))


async def test_a_continuous_one_counts_a_turn_from_its_look_back() -> None:
    traits = StreamingTraits(continuous=True)
    async with LaggingSpeechToText(YES_BUT, traits=traits).open(PHONE) as stream:
        heard = _frames(0, 5000)
        await _speak(stream, heard)
        assert await _heard(stream) == []
        stream.begin_turn(1, HINT, heard[-25:])
        await _speak(stream, _frames(5000, 5300))
        assert (await _heard(stream))[-1] == Partial(1, "да,", covers_ms=500)


async def test_words_of_a_call_fall_to_the_turns_as_these_are_cut() -> None:
    words = (SpokenWord("да,", 3000, 3300), SpokenWord("но", 3600, 3800), SpokenWord("завтра", 3900, 4300))
    async with LaggingSpeechToText.of_call(*words).open(PHONE) as stream:
        stream.begin_turn(1, HINT, _frames(2600, 3100))
        await _speak(stream, _frames(3100, 3500))
        stream.end_of_turn()
        stream.begin_turn(2, HINT, _frames(3200, 3700))
        await _speak(stream, _frames(3700, 4400))
        stream.end_of_turn()
        await anyio.sleep(1)
        finals = [event for event in await _heard(stream) if isinstance(event, Final)]
        assert finals == [Final(1, "да,"), Final(2, "но завтра")]


@pytest.mark.parametrize(("continuous", "second"), [(False, "да, но"), (True, "но")])
async def test_only_a_continuous_one_knows_what_it_gave_already(continuous: bool, second: str) -> None:
    words = (SpokenWord("да,", 3000, 3300), SpokenWord("но", 3600, 3800))
    traits = StreamingTraits(lag_ms=0, continuous=continuous)
    async with LaggingSpeechToText.of_call(*words, traits=traits).open(PHONE) as stream:
        heard = _frames(0, 3500)
        if continuous:
            await _speak(stream, heard)
        stream.begin_turn(1, HINT, heard[130:])
        stream.end_of_turn()
        assert await anext(aiter(stream)) == Final(1, "да,")
        stream.begin_turn(2, HINT, heard[145:])
        await _speak(stream, _frames(3500, 3900))
        await _heard(stream)
        stream.end_of_turn()
        assert await anext(aiter(stream)) == Final(2, second)


async def test_an_abandoned_turn_leaves_its_words_to_the_next_and_after_the_script_nothing_is_said() -> None:
    async with LaggingSpeechToText(YES_BUT, traits=StreamingTraits(lag_ms=0)).open(PHONE) as stream:
        stream.begin_turn(1, HINT, _frames(0, 500))
        stream.abandon_turn()
        for turn, text in ((2, "да,"), (3, "")):
            stream.begin_turn(turn, HINT, _frames(0, 500))
            stream.end_of_turn()
            assert [event for event in await _heard(stream) if isinstance(event, Final)] == [Final(turn, text)]


async def test_leaving_cancels_what_is_still_to_come() -> None:
    async with LaggingSpeechToText(YES_BUT).open(PHONE) as stream:
        stream.begin_turn(1, HINT, _frames(0, 500))
        stream.end_of_turn()
        stream.begin_turn(2, HINT, _frames(0, 500))
    await anyio.sleep(1)
    stream.begin_turn(3, HINT, _frames(0, 500))
    stream.push(_frames(0, 20)[0])
    assert [event async for event in stream] == []
