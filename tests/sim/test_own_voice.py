"""What the recogniser hears when the assistant's own words come back: the second defence, behind the ears' own."""

from __future__ import annotations

import pytest

from kamerton.domain.notices import BargeInDecided, CallFinished, TurnFinished
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import CallLab, EchoFlow
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
GREETING = "добрый день, меня зовут соня, я расскажу вам о наших страховках, слушаю вас"


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def lab(*turns: ScriptedTurn) -> CallLab:
    return CallLab(ScriptedSpeechToText(turns), flow=EchoFlow(greeting=GREETING))


async def test_what_our_own_voice_interrupted_is_said_again_once() -> None:
    """Long enough to take the floor by its length, before its words are known."""
    words = ScriptedTurn("добрый день меня зовут", partial_after_ms=300)
    async with lab(words, ScriptedTurn("день меня зовут соня", partial_after_ms=300)).call() as call:
        call.says(1.4, 2.4)
        call.says(4.6, 5.5)
        await call.until(14.0)
    assert [decided.verdict for decided in call.of_kind(BargeInDecided)] == ["yielded", "yielded"]
    assert [turn.outcome for turn in call.of_kind(TurnFinished)] == ["cut", "cut"]
    assert call.of_kind(TurnFinished)[1].reply_text == GREETING.replace(",", "")
    assert "said" not in call.of_kind(CallFinished)[0].variables


async def test_our_own_words_that_come_back_after_the_end_are_no_answer() -> None:
    async with lab(ScriptedTurn("страховках слушаю вас")).call() as call:
        end_s = 0.06 * len(GREETING.replace(", ", ""))
        call.says(end_s + 0.2, end_s + 1.1)
        await call.until(end_s + 6.0)
    assert [turn.path for turn in call.of_kind(TurnFinished)] == ["greeting"]
    assert "said" not in call.of_kind(CallFinished)[0].variables


async def test_a_caller_who_says_other_words_is_heard() -> None:
    async with lab(ScriptedTurn("меня зовут пётр. и у меня вопрос.", partial_after_ms=100)).call() as call:
        call.says(1.4, 3.0)
        await call.until(9.0)
    assert [decided.verdict for decided in call.of_kind(BargeInDecided)] == ["yielded"]
    assert call.of_kind(CallFinished)[0].variables["said"] == ("меня зовут пётр. и у меня вопрос.",)
