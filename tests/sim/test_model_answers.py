"""Turns that only the language model can answer: what the caller hears, when, and what is left behind."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kamerton.domain.notices import (
    BargeInDecided,
    ErrorOccurred,
    LLMTextReceived,
    MindState,
    MindStateChanged,
    TurnFinished,
)
from kamerton.llm.limits import TalkLimits
from kamerton.orchestrator.router import AnswerSources
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.speculation import SpeculationSettings
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, EchoFlow, ToneVoice
from kamerton.testing.scripted_model import ScriptedAnswer, ScriptedModel, scripted_talk
from kamerton.testing.virtual_loop import VirtualLoop

QUESTION = "какая сегодня погода."
ANSWER = "сегодня тепло и сухо, можно идти гулять"
NO_MODEL_AHEAD = CallSettings(speculation=SpeculationSettings(model_per_turn=0))


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def model(answers: Mapping[str, ScriptedAnswer] | None = None) -> ScriptedModel:
    return ScriptedModel(answers or {"погода": ScriptedAnswer(ANSWER)})


def lab(talker: ScriptedModel, *turns: ScriptedTurn, **changes: object) -> CallLab:
    made = CallLab(
        ScriptedSpeechToText(turns or (ScriptedTurn(QUESTION),)),
        flow=EchoFlow(knows=("сто.", "пока")),
        voice=ToneVoice(ready=False, delay_s=0.15),
        sources=AnswerSources(model=True),
        talk=scripted_talk(talker, TalkLimits()),
        fillers={},
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.anyio
async def test_the_model_answers_and_the_scenario_asks_on() -> None:
    talker = model()
    async with lab(talker).call() as call:
        call.says(4.0, 5.0)
        await call.until(12.0)
    turn = call.of_kind(TurnFinished)[1]
    assert (turn.path, turn.outcome, turn.user_text) == ("llm", "played", QUESTION)
    assert turn.reply_text == f"{ANSWER.replace(',', '')} что ещё"
    assert "".join(chunk.chunk for chunk in call.of_kind(LLMTextReceived)) == ANSWER
    minds = [notice.state for notice in call.of_kind(MindStateChanged)]
    assert MindState.ROUTING_TO_LLM in minds
    assert set(turn.marks) >= {"t3", "t4", "t5_tts", "t6"}
    assert (talker.running, len(talker.requests)) == (0, 1)


@pytest.mark.anyio
async def test_what_is_asked_ahead_answers_sooner() -> None:
    waits = []
    for settings in (NO_MODEL_AHEAD, CallSettings()):
        talker = model()
        async with lab(talker, call_settings=settings).call() as call:
            call.says(4.0, 5.0)
            await call.until(12.0)
        turn = call.of_kind(TurnFinished)[1]
        assert turn.response_ms is not None
        waits.append(turn.response_ms)
        assert len(talker.requests) == 1
    assert turn.speculation.model_hit
    assert waits[0] - waits[1] == pytest.approx(turn.speculation.saved_ms, abs=21)
    assert turn.speculation.saved_ms > 80


@pytest.mark.anyio
async def test_a_question_that_goes_on_wastes_one_request_and_frees_its_stream() -> None:
    talker = model({"погода": ScriptedAnswer(ANSWER), "билет": ScriptedAnswer("билетов нет")})
    said = ScriptedTurn("какая сегодня погода и где взять билет.", pause_texts=(QUESTION.replace(".", ""),))
    async with lab(talker, said).call() as call:
        call.says(4.0, 5.0)
        call.says(5.3, 6.3)
        await call.until(14.0)
    turn = call.of_kind(TurnFinished)[1]
    assert turn.user_text == said.text
    # Having asked in vain once, it does not ask ahead again: a third of a call's questions may be wasted, not half.
    assert (turn.speculation.model_started, turn.speculation.model_hit) == (1, False)
    assert len(talker.requests) == 2
    assert len(talker.freed_s) == 1
    assert talker.running == 0


@pytest.mark.anyio
async def test_an_interruption_stops_model_and_voice_and_only_what_was_heard_is_remembered() -> None:
    talker = model({"погода": ScriptedAnswer("очень долгий рассказ о погоде, ", endless=True)})
    talker.token_s = 0.25
    async with lab(talker, ScriptedTurn(QUESTION), ScriptedTurn("а какая погода завтра.")).call() as call:
        call.says(4.0, 5.0)
        call.says(9.0, 10.5)
        await call.until(10.0)
        assert talker.running == 0
        freed_s = talker.freed_s[0] - call.started_s
        await call.until(14.0)
    (yielded,) = [notice for notice in call.of_kind(BargeInDecided) if notice.verdict == "yielded"]
    assert freed_s == pytest.approx(yielded.onset_at_s - call.started_s + 0.56, abs=0.05)
    first, second = call.of_kind(TurnFinished)[1:3]
    assert (first.outcome, second.path) == ("cut", "llm")
    assert 0 < len(first.heard_text) < len(first.reply_text)
    heard = [message.text for message in talker.requests[-1].messages if message.role == "assistant"]
    assert heard[-1] == first.heard_text
    assert all(call.loud_at(10.0 + step * 0.02) == 0 for step in range(10))


@pytest.mark.anyio
async def test_the_history_holds_scenario_turns_too() -> None:
    talker = model()
    async with lab(talker, ScriptedTurn("сто."), ScriptedTurn(QUESTION)).call() as call:
        call.says(4.0, 5.0)
        call.says(10.0, 11.0)
        await call.until(16.0)
    said = [(message.role, message.text) for message in talker.requests[0].messages]
    assert ("user", "сто.") in said
    assert ("assistant", "ответ на сто. это всё что я знаю об этом") in said


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (ScriptedAnswer("", failure="the model server is down"), f"{LAB_PHRASES['model_failed']} что ещё"),
        (ScriptedAnswer("", raw="просто текст без разметки"), f"{LAB_PHRASES['model_failed']} что ещё"),
        (ScriptedAnswer("i only speak english my friend"), f"{LAB_PHRASES['model_failed']} что ещё"),
        (ScriptedAnswer("", is_safe=False), f"{LAB_PHRASES['non_secure_response']} что ещё"),
        (ScriptedAnswer(""), f"{LAB_PHRASES['model_failed']} что ещё"),
    ],
    ids=["down", "no json", "english", "unsafe", "empty"],
)
async def test_what_the_caller_hears_when_there_is_no_answer(answer: ScriptedAnswer, heard: str) -> None:
    talker = model({"погода": answer})
    async with lab(talker, ScriptedTurn(QUESTION), ScriptedTurn("сто.")).call() as call:
        call.says(4.0, 5.0)
        call.says(12.0, 13.0)
        await call.until(19.0)
    turn, after = call.of_kind(TurnFinished)[1:3]
    assert turn.reply_text == heard
    assert turn.path == ("llm" if answer.is_safe is False else "fallback")
    assert bool(call.of_kind(ErrorOccurred)) is answer.is_safe
    assert after.path == "scenario"


@pytest.mark.anyio
async def test_an_answer_cut_in_mid_sentence_is_owned_up_to() -> None:
    talker = model({"погода": ScriptedAnswer(ANSWER, cut_after=60)})
    async with lab(talker).call() as call:
        call.says(4.0, 5.0)
        await call.until(14.0)
    turn = call.of_kind(TurnFinished)[1]
    assert turn.reply_text.startswith("сегодня тепло")
    assert turn.reply_text.endswith(f"{LAB_PHRASES['model_failed']} что ещё")
    assert turn.outcome == "played"


@pytest.mark.anyio
async def test_an_endless_answer_ends_after_a_sentence() -> None:
    talker = model({"погода": ScriptedAnswer("так бывает каждый день и каждую ночь", endless=True)})
    async with lab(talker).call() as call:
        call.says(4.0, 5.0)
        await call.until(60.0)
    turn = call.of_kind(TurnFinished)[1]
    assert turn.outcome == "played"
    assert 40 <= len(turn.reply_text.split()) <= 80
    assert talker.running == 0


@pytest.mark.anyio
async def test_a_model_that_never_writes_is_given_up() -> None:
    talker = model()
    talker.first_token_s = 1000.0
    async with lab(talker).call() as call:
        call.says(4.0, 5.0)
        await call.until(18.0)
    turn = call.of_kind(TurnFinished)[1]
    assert turn.reply_text == f"{LAB_PHRASES['model_failed']} что ещё"
    assert talker.running == 0


@pytest.mark.anyio
async def test_nothing_is_left_when_the_caller_hangs_up_in_the_middle() -> None:
    talker = model({"погода": ScriptedAnswer("долго", endless=True)})
    async with lab(talker).call() as call:
        call.says(4.0, 5.0)
        await call.until(6.2)
        assert talker.running == 1
    assert talker.running == 0
