"""Simulated calls on a line that returns the assistant's voice."""

from __future__ import annotations

import pytest

from kamerton.domain.notices import BargeInDecided, TurnFinished
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import CallLab, LineEcho
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@pytest.mark.parametrize("return_loss_db", [12.0, 18.0])
@pytest.mark.parametrize("delay_s", [0.06, 0.2, 0.4])
async def test_the_assistant_says_everything_and_answers_nobody(return_loss_db: float, delay_s: float) -> None:
    lab = CallLab(ScriptedSpeechToText((ScriptedTurn("сто."),)), echo=LineEcho(return_loss_db, delay_s))
    async with lab.call() as call:
        call.says(3.0, 4.0)
        await call.until(8.0)
    assert [decided.verdict for decided in call.of_kind(BargeInDecided) if decided.verdict != "ignored"] == []
    greeting, answer = call.of_kind(TurnFinished)
    assert (greeting.outcome, greeting.heard_text) == ("played", greeting.reply_text)
    assert (answer.user_text, answer.outcome, answer.heard_text) == ("сто.", "played", answer.reply_text)


@pytest.mark.parametrize("delay_s", [0.06, 0.2])
async def test_a_caller_above_the_echo_still_takes_the_floor(delay_s: float) -> None:
    script = ScriptedTurn("стойте. я передумал.", partial_after_ms=100)
    async with CallLab(ScriptedSpeechToText((script,)), echo=LineEcho(12.0, delay_s)).call() as call:
        call.says(1.0, 2.2)
        await call.until(6.0)
    yielded = [decided for decided in call.of_kind(BargeInDecided) if decided.verdict == "yielded"]
    (decided,) = yielded
    assert decided.ducked_at_s is not None
    assert decided.ducked_at_s - decided.onset_at_s <= 0.12
    assert decided.silenced_at_s is not None
    assert decided.silenced_at_s - decided.onset_at_s <= 0.35
    greeting, answer = call.of_kind(TurnFinished)
    assert greeting.outcome == "cut"
    assert answer.user_text == "стойте. я передумал."
