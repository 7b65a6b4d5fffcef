"""Calls on recognisers that lag, stream, end turns by themselves, open late, break and are lost."""

from __future__ import annotations

import pytest

from kamerton.domain.notices import CallFinished, TranscriptUpdated, TurnFinished
from kamerton.domain.recognition import SpeechToText
from kamerton.stt.standins.faulty import FaultySpeechToText, Reconnection, StreamFaults
from kamerton.stt.standins.lagging import LaggingSpeechToText, SpokenWord, StreamingTraits
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, LabCall
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
LOOK_BACK_MS = 400


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def word(text: str, start_ms: float, end_ms: float) -> SpokenWord:
    """A word at its place in the turn's speech."""
    return SpokenWord(text, start_ms + LOOK_BACK_MS, end_ms + LOOK_BACK_MS)


def lagging(*turns: tuple[SpokenWord, ...], **traits: float | bool | None) -> LaggingSpeechToText:
    return LaggingSpeechToText(*turns, traits=StreamingTraits(**traits))  # type: ignore[arg-type]


def faulty(*faults: StreamFaults, turns: tuple[ScriptedTurn, ...]) -> SpeechToText:
    return FaultySpeechToText(ScriptedSpeechToText(turns), *faults)


def said(call: LabCall) -> tuple[str, ...]:
    taken: tuple[str, ...] = call.of_kind(CallFinished)[0].variables.get("said", ())
    return taken


def spoken(call: LabCall) -> list[str]:
    return [n.text for n in call.of_kind(TranscriptUpdated) if n.speaker == "bot" and not n.final]


BUT = (word("да.", 50, 380), word("но не сейчас.", 700, 1380))


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("tells_silence", [True, False])
async def test_words_that_are_still_on_their_way_are_waited_for(continuous: bool, tells_silence: bool) -> None:
    """«Да, но …»: when the caller pauses after «да», the engine has not even told that."""
    async with CallLab(lagging(BUT, continuous=continuous, tells_silence=tells_silence)).call() as call:
        call.says(3.0, 3.4)
        call.says(3.62, 4.4)
        await call.until(9.0)
    assert said(call) == ("да. но не сейчас.",)


async def test_a_streaming_recogniser_costs_its_lag_and_no_more() -> None:
    async with CallLab(lagging((word("сто.", 100, 900),), lag_ms=300)).call() as call:
        call.says(3.0, 4.0)
        await call.until(9.0)
    answer = call.of_kind(TurnFinished)[-1]
    assert (answer.user_text, answer.ended_because) == ("сто.", "complete")
    assert answer.response_ms is not None
    assert 300 <= answer.response_ms <= 720


async def test_an_engine_that_ends_utterances_by_itself_loses_no_word() -> None:
    words = (word("мне нужна страховка", 100, 900), word("на машину.", 1500, 2200))
    async with CallLab(lagging(words, utterance_pause_ms=300)).call() as call:
        call.says(3.0, 4.0)
        call.says(4.35, 5.3)
        await call.until(10.0)
    assert said(call) == ("мне нужна страховка на машину.",)


async def test_words_said_before_the_recogniser_is_open_are_kept() -> None:
    stt = faulty(StreamFaults(opens_after_s=2.5), turns=(ScriptedTurn("алло. я по объявлению."),))
    async with CallLab(stt).call() as call:
        call.says(0.2, 1.6)
        await call.until(8.0)
    assert said(call) == ("алло. я по объявлению.",)


@pytest.mark.parametrize(
    "faults",
    [
        StreamFaults(ends_after_s=3.5),
        StreamFaults(breaks_after_s=3.5),
        StreamFaults(push_breaks_after_s=3.5),
        StreamFaults(refuses="no network"),
        StreamFaults(reconnections=(Reconnection(3.5, 0.4, 0.0),)),
    ],
    ids=["ends", "raises", "push raises", "refuses", "reconnects"],
)
async def test_a_stream_lost_in_mid_turn_costs_no_word(faults: StreamFaults) -> None:
    async with CallLab(faulty(faults, turns=(ScriptedTurn("сто."),))).call() as call:
        call.says(3.0, 4.2)
        await call.until(10.0)
    assert said(call) == ("сто.",)
    assert LAB_PHRASES["not_heard"] not in spoken(call)


async def test_a_stream_that_is_lost_while_its_transcript_is_awaited_is_asked_anew() -> None:
    turns = (ScriptedTurn("сто.", partial_after_ms=3000, final_after_ms=600),)
    async with CallLab(faulty(StreamFaults(ends_after_s=4.5), turns=turns)).call() as call:
        call.says(3.0, 4.0)
        await call.until(12.0)
    assert said(call) == ("сто.",)


async def test_a_recogniser_that_is_lost_for_good_ends_the_call_honestly() -> None:
    refusals = [StreamFaults(refuses="no network")] * 9
    async with CallLab(faulty(StreamFaults(ends_after_s=5.0), *refusals, turns=())).call() as call:
        await call.until(20.0)
        assert call.media.goodbye
    assert spoken(call)[-1] == LAB_PHRASES["recognition_goodbye"]
    assert [finished.ended_by for finished in call.of_kind(CallFinished)] == ["error"]


@pytest.mark.parametrize("faults", [(), (StreamFaults(silent_after_s=0.0),)], ids=["fails", "never answers"])
async def test_a_recogniser_that_fails_turn_after_turn_is_not_asked_for_ever(faults: tuple[StreamFaults, ...]) -> None:
    turns = tuple(ScriptedTurn(failure="engine down") for _ in range(100))
    async with CallLab(faulty(*faults, turns=turns)).call() as call:
        for number in range(20):
            call.says(3.0 + 14 * number, 4.0 + 14 * number)
        await call.until(100.0)
        assert call.media.goodbye
    assert spoken(call).count(LAB_PHRASES["not_heard"]) == 2
    assert spoken(call)[-1] == LAB_PHRASES["recognition_goodbye"]


async def test_one_understood_turn_forgives_the_failures_before_it() -> None:
    failed = ScriptedTurn(failure="engine down")
    turns = (failed, failed, ScriptedTurn("сто."), failed, failed, ScriptedTurn("да."))
    async with CallLab(faulty(turns=turns)).call() as call:
        for number in range(6):
            call.says(3.0 + 6 * number, 4.0 + 6 * number)
        await call.until(40.0)
    assert said(call) == ("сто.", "да.")
