"""Lines that bring nothing: a phone that saves its frames in silence, gaps of the network, a frozen process."""

from __future__ import annotations

import pytest

from kamerton.domain.notices import CallFinished, ConditionNoted, TranscriptUpdated, TurnFinished
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, LabCall
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def lab(*turns: ScriptedTurn) -> CallLab:
    return CallLab(ScriptedSpeechToText(turns))


def said(call: LabCall) -> tuple[str, ...]:
    taken: tuple[str, ...] = call.of_kind(CallFinished)[0].variables.get("said", ())
    return taken


def spoken(call: LabCall) -> list[str]:
    return [n.text for n in call.of_kind(TranscriptUpdated) if n.speaker == "bot" and not n.final]


@pytest.mark.parametrize(("text", "pause_ms"), [("сто.", 200), ("сто", 420)], ids=["complete", "plausible"])
async def test_frames_that_stop_in_mid_sentence_end_the_turn_by_its_grade(text: str, pause_ms: float) -> None:
    async with lab(ScriptedTurn(text)).call() as call:
        call.says(3.0, 60.0)
        call.sends_nothing(4.0, 60.0)
        await call.until(9.0)
    (answer,) = [turn for turn in call.of_kind(TurnFinished) if turn.path == "scenario"]
    assert answer.response_ms is not None
    assert pause_ms - 20 <= answer.response_ms <= pause_ms + 80


async def test_the_silence_ladder_and_not_the_wire_ends_a_call_without_frames() -> None:
    async with lab(ScriptedTurn("сто.")).call() as call:
        call.says(3.0, 60.0)
        call.sends_nothing(4.0, 100.0)
        await call.until(60.0)
        assert call.media.end_reason is not None
    assert spoken(call)[-2:] == [LAB_PHRASES["still_there"], LAB_PHRASES["silence_goodbye"]]
    assert call.of_kind(CallFinished)[0].ended_by == "bot"


async def test_a_phone_that_never_sent_a_frame_is_greeted_asked_and_let_go() -> None:
    async with lab().call() as call:
        call.sends_nothing(0.0, 100.0)
        await call.until(60.0)
        assert call.media.end_reason is not None
    assert spoken(call) == [
        "добрый день слушаю вас",
        LAB_PHRASES["still_there"],
        LAB_PHRASES["silence_goodbye"],
    ]


async def test_a_gap_inside_a_number_does_not_end_it() -> None:
    script = ScriptedTurn("сто пятьдесят.", pause_texts=("сто…",))
    async with lab(script).call() as call:
        call.says(3.0, 4.5)
        call.sends_nothing(3.6, 3.9)
        await call.until(9.0)
    assert said(call) == ("сто пятьдесят.",)
    assert [notice for notice in call.of_kind(ConditionNoted) if notice.condition == "frames_missing"]


async def test_a_phone_that_sends_only_while_its_owner_speaks() -> None:
    async with lab(ScriptedTurn("сто."), ScriptedTurn("да."), ScriptedTurn("нет.")).call() as call:
        spans = [(3.0, 3.8), (7.0, 7.5), (11.0, 11.6)]
        quiet_from_s = 0.0
        for start_s, end_s in spans:
            call.says(start_s, end_s)
            call.sends_nothing(quiet_from_s, start_s)
            quiet_from_s = end_s
        call.sends_nothing(quiet_from_s, 100.0)
        await call.until(15.0)
    assert said(call) == ("сто.", "да.", "нет.")
    responses = [turn.response_ms for turn in call.of_kind(TurnFinished) if turn.path == "scenario"]
    assert all(response is not None and response <= 300 for response in responses)
