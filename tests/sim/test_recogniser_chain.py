"""A call whose recognisers fail one after the other: no word is lost, and nobody waits longer than one filler."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from kamerton.domain.audio import PHONE, AudioFrame
from kamerton.domain.errors import EngineError
from kamerton.domain.notices import CallFinished, TurnFinished
from kamerton.domain.recognition import Final, RecognitionHint, SpeechToText, SttEvent, SttFailed, SttStream
from kamerton.stt.chain import ChainLink, ChainPatience, RecognizerChain
from kamerton.stt.standins.faulty import FaultySpeechToText, StreamFaults
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import CallLab, LabCall
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.vendors.breaker import BreakerSettings

pytestmark = pytest.mark.anyio
HINT = RecognitionHint()


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def scripted(*texts: str) -> SpeechToText:
    return ScriptedSpeechToText(tuple(ScriptedTurn(text) for text in texts))


def cloud(*faults: StreamFaults, texts: tuple[str, ...] = ("облако.",) * 4, breaker: int = 2) -> ChainLink:
    settings = BreakerSettings(failures=breaker, rest_s=15)
    return ChainLink("cloud", FaultySpeechToText(scripted(*texts), *faults), is_service=True, breaker=settings)


def local(*texts: str) -> ChainLink:
    return ChainLink("local", scripted(*(texts or ("сто.",) * 4)), is_service=False)


def say(stream: SttStream, turn: int) -> None:
    stream.begin_turn(turn, HINT)
    for number in range(50):
        stream.push(AudioFrame(PHONE.silence(), PHONE, number * PHONE.frame_samples))
    stream.end_of_turn()


async def outcome(stream: SttStream) -> SttEvent:
    while not isinstance(event := await anext(aiter(stream)), Final | SttFailed):
        pass
    return event


LOST = {
    "refuses": StreamFaults(refuses="wrong key"),
    "opens late": StreamFaults(opens_after_s=60),
    "ends": StreamFaults(ends_after_s=0.1),
    "breaks": StreamFaults(breaks_after_s=0.1),
    "breaks in push": StreamFaults(push_breaks_after_s=0.0),
    "is silent": StreamFaults(silent_after_s=0.0),
}


@pytest.mark.parametrize("faults", LOST.values(), ids=LOST.keys())
async def test_the_next_one_reads_the_same_turn(faults: StreamFaults) -> None:
    chain = RecognizerChain((cloud(faults), local()), ChainPatience(open_s=2, final_s=2.5))
    async with chain.open(PHONE) as stream:
        await anyio.sleep(0.2)
        say(stream, 1)
        began_s = anyio.current_time()
        assert await outcome(stream) == Final(1, "сто.")
        assert anyio.current_time() - began_s <= 2.6


async def test_a_failed_turn_of_the_last_one_is_told() -> None:
    link = ChainLink("local", ScriptedSpeechToText((ScriptedTurn(failure="no words"),)), is_service=False)
    chain = RecognizerChain((cloud(StreamFaults(refuses="away")), link))
    async with chain.open(PHONE) as stream:
        say(stream, 1)
        failed = await outcome(stream)
        assert isinstance(failed, SttFailed)


async def test_when_every_one_is_lost_the_iteration_says_why() -> None:
    broken = ChainLink("local", FaultySpeechToText(scripted(), StreamFaults(refuses="no memory")), is_service=False)
    chain = RecognizerChain((cloud(StreamFaults(refuses="wrong key")), broken))
    async with chain.open(PHONE) as stream:
        with pytest.raises(EngineError, match=r"cloud: .*wrong key; local: .*no memory"):
            await anext(aiter(stream))


async def test_a_service_that_rests_is_not_asked_and_comes_back_between_turns() -> None:
    link = cloud(StreamFaults(refuses="away"), breaker=1)
    chain = RecognizerChain((link, local()))
    async with chain.open(PHONE) as stream:
        for turn, (wait_s, text) in enumerate(((0, "сто."), (1, "сто."), (15, "сто."), (1, "облако.")), 1):
            await anyio.sleep(wait_s)
            say(stream, turn)
            assert await outcome(stream) == Final(turn, text), turn
    assert link.counts["streams"] == 2
    assert link.breaker.state(anyio.current_time()) == "closed"


async def test_calls_leave_a_service_that_failed_others() -> None:
    link = cloud(StreamFaults(silent_after_s=0.0), StreamFaults(silent_after_s=0.0), breaker=1)
    chain = RecognizerChain((link, local()))
    async with chain.open(PHONE) as first, chain.open(PHONE) as second:
        await anyio.sleep(0.1)
        say(first, 1)
        assert await outcome(first) == Final(1, "сто.")
        began_s = anyio.current_time()
        say(second, 1)
        assert await outcome(second) == Final(1, "сто.")
        assert anyio.current_time() - began_s < 0.5
    assert link.counts["failures:timeout"] == 1


async def test_a_probe_whose_call_ends_leaves_the_next_one_to_try() -> None:
    link = cloud(StreamFaults(refuses="away"), breaker=1)
    chain = RecognizerChain((link, local()))
    async with chain.open(PHONE) as stream:
        say(stream, 1)
        await outcome(stream)
    await anyio.sleep(20)
    async with chain.open(PHONE):
        await anyio.sleep(0.1)
        assert link.breaker.state(anyio.current_time()) == "half_open"
    assert link.breaker.would_admit(anyio.current_time())


async def test_the_chain_is_in_trouble_only_when_nobody_is_well() -> None:
    link = cloud(StreamFaults(refuses="away"), breaker=1)
    chain = RecognizerChain((link, local()))
    assert chain.name == "cloud+local"
    async with chain.open(PHONE) as stream:
        say(stream, 1)
        await outcome(stream)
    assert chain.state.trouble == ""
    await chain.aclose()


def says_at(*instants: float) -> Callable[[LabCall], None]:
    def speak(call: LabCall) -> None:
        for at_s in instants:
            call.says(at_s, at_s + 1.0)

    return speak


@pytest.mark.parametrize("faults", LOST.values(), ids=LOST.keys())
async def test_a_whole_call_goes_on_when_the_cloud_is_pulled(faults: StreamFaults) -> None:
    chain = RecognizerChain((cloud(faults), local()))
    async with CallLab(chain).call() as call:
        says_at(3.0, 12.0)(call)
        await call.until(20.0)
    said = call.of_kind(CallFinished)[0].variables.get("said", ())
    assert said == ("сто.", "облако.")
    first, second = call.of_kind(TurnFinished)[-2:]
    assert first.response_ms is not None
    assert first.response_ms < 4500
    assert second.response_ms is not None
    assert second.response_ms < 1000
