"""Simulated calls on the virtual clock: who speaks when, to the millisecond."""

from __future__ import annotations

import pytest

from kamerton.domain.dialogue import EntityKind, Expectation
from kamerton.domain.notices import BargeInDecided, CallFinished, TurnFinished
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import CallLab, EchoFlow, ToneVoice
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def lab(*turns: ScriptedTurn) -> CallLab:
    return CallLab(ScriptedSpeechToText(turns))


async def test_greeting_is_audible_within_two_frames() -> None:
    async with lab().call() as call:
        await call.until(0.5)
        assert call.loud_at(0.06) > 1000


async def test_a_complete_answer_ends_the_turn_after_the_short_pause() -> None:
    async with lab(ScriptedTurn("сто.")).call() as call:
        call.says(3.0, 4.0)
        await call.until(8.0)
    greeting, answer = call.of_kind(TurnFinished)
    assert (greeting.path, greeting.outcome, greeting.heard_text) == ("greeting", "played", greeting.reply_text)
    assert (answer.user_text, answer.ended_because, answer.outcome) == ("сто.", "complete", "played")
    assert answer.response_ms is not None
    assert 190 <= answer.response_ms <= 260


async def test_an_open_phrase_waits_through_a_long_pause() -> None:
    script = ScriptedTurn("сто пятьдесят.", pause_texts=("сто…",))
    async with lab(script).call() as call:
        call.says(3.0, 3.5)
        call.says(4.2, 4.9)
        await call.until(9.0)
    answers = [turn for turn in call.of_kind(TurnFinished) if turn.path == "scenario"]
    assert [turn.user_text for turn in answers] == ["сто пятьдесят."]


async def test_real_speech_ducks_silences_and_takes_the_floor() -> None:
    async with lab(ScriptedTurn("стойте. я передумал.", partial_after_ms=100)).call() as call:
        call.says(0.5, 1.8)
        await call.until(6.0)
    (decided,) = call.of_kind(BargeInDecided)
    assert decided.verdict == "yielded"
    assert decided.ducked_at_s is not None
    assert decided.ducked_at_s - decided.onset_at_s <= 0.12
    assert decided.silenced_at_s is not None
    assert decided.silenced_at_s - decided.onset_at_s <= 0.35
    greeting, answer = call.of_kind(TurnFinished)
    assert greeting.outcome == "cut"
    assert greeting.reply_text.startswith(greeting.heard_text)
    assert greeting.heard_text != greeting.reply_text
    assert answer.user_text == "стойте. я передумал."


async def test_a_backchannel_gives_the_floor_back_at_the_clause_boundary() -> None:
    async with lab(ScriptedTurn("угу", partial_after_ms=100)).call() as call:
        call.says(0.5, 0.86)
        await call.until(5.0)
    (decided,) = call.of_kind(BargeInDecided)
    assert decided.verdict == "resumed"
    (greeting,) = call.of_kind(TurnFinished)
    assert (greeting.outcome, greeting.heard_text) == ("played", greeting.reply_text)


async def test_a_click_only_ducks() -> None:
    async with lab().call() as call:
        call.says(0.5, 0.54)
        await call.until(5.0)
    assert [decided.verdict for decided in call.of_kind(BargeInDecided)] == ["ignored"]
    assert call.of_kind(TurnFinished)[0].outcome == "played"


async def test_an_uninterruptible_line_is_said_to_its_end_and_the_answer_still_heard() -> None:
    calls = lab(ScriptedTurn("сто."))
    calls.flow = EchoFlow(interruptible=False)
    async with calls.call() as call:
        call.says(0.3, 1.0)
        await call.until(8.0)
    greeting, answer = call.of_kind(TurnFinished)
    assert greeting.outcome == "played"
    assert answer.user_text == "сто."


async def test_silence_is_asked_about_and_then_ends_the_call() -> None:
    async with lab().call() as call:
        await call.until(40.0)
        assert call.media.end_reason is not None
    assert [turn.path for turn in call.of_kind(TurnFinished)] == ["greeting", "silence", "silence"]
    (finished,) = call.of_kind(CallFinished)
    assert finished.ended_by == "bot"


async def test_a_reply_that_takes_long_is_covered_by_fillers() -> None:
    calls = lab(ScriptedTurn("сто.", final_after_ms=2500, partial_after_ms=2500))
    async with calls.call() as call:
        call.says(3.0, 4.0)
        await call.until(12.0)
    answer = call.of_kind(TurnFinished)[1]
    assert answer.outcome == "played"
    assert answer.marks["t6"] - answer.marks["t_eos"] > 2
    assert call.loud_at(5.3) > 1000


async def test_goodbye_ends_the_call_after_it_was_heard() -> None:
    async with lab(ScriptedTurn("пока")).call() as call:
        call.says(3.0, 3.5)
        await call.until(12.0)
        assert call.media.goodbye
    assert call.of_kind(TurnFinished)[-1].outcome == "played"
    assert call.of_kind(CallFinished)[0].ended_by == "bot"


async def test_speech_right_after_the_end_of_turn_continues_it() -> None:
    calls = lab(ScriptedTurn("сто."), ScriptedTurn("пятьдесят."))
    async with calls.call() as call:
        call.says(3.0, 3.6)
        call.says(4.0, 5.0)
        await call.until(10.0)
    assert call.of_kind(TurnFinished)[-1].user_text == "сто пятьдесят."
    assert call.of_kind(CallFinished)[0].variables["said"] == ("сто пятьдесят.",)


async def test_keys_are_a_turn() -> None:
    async with lab().call() as call:
        await call.until(3.0)
        for digit in "150":
            call.media.press(digit)
        await call.until(9.0)
    answer = call.of_kind(TurnFinished)[-1]
    assert (answer.user_text, answer.ended_because) == ("150", "dtmf")


async def test_a_frame_leaves_every_20_ms_from_the_first_to_the_last() -> None:
    async with lab(ScriptedTurn("сто.")).call() as call:
        call.says(3.0, 4.0)
        await call.until(8.0)
    gaps = [b.at_s - a.at_s for a, b in zip(call.media.sent, call.media.sent[1:], strict=False)]
    assert max(gaps) == pytest.approx(0.02, abs=1e-6)
    assert min(gaps) == pytest.approx(0.02, abs=1e-6)


async def test_a_voice_that_fails_apologises() -> None:
    calls = lab(ScriptedTurn("сто."))
    calls.voice = ToneVoice(failing=("ответ на сто., это всё что я знаю об этом",))
    async with calls.call() as call:
        call.says(3.0, 4.0)
        await call.until(9.0)
    assert call.of_kind(TurnFinished)[-1].reply_text == "простите у нас неполадка"


async def test_a_recogniser_that_fails_asks_again() -> None:
    async with lab(ScriptedTurn(failure="engine down")).call() as call:
        call.says(3.0, 4.0)
        await call.until(9.0)
    assert call.of_kind(TurnFinished)[-1].reply_text == "не расслышала"


async def test_more_words_than_the_sound_can_hold_are_not_believed() -> None:
    """Recognisers make sentences of a cough: the bot goes on."""
    async with lab(ScriptedTurn("субтитры сделал кто-то другой", partial_after_ms=100)).call() as call:
        call.says(0.5, 0.86)
        await call.until(5.0)
    assert [decided.verdict for decided in call.of_kind(BargeInDecided)] == ["resumed"]


async def test_a_number_heard_in_a_murmur_is_not_believed_where_numbers_are_expected() -> None:
    """A recogniser that is hinted with numbers reads one into «угу»."""
    calls = lab(ScriptedTurn("двадцать", partial_after_ms=100))
    calls.flow = EchoFlow(expects=Expectation(EntityKind.NUMBER))
    async with calls.call() as call:
        call.says(0.5, 0.86)
        await call.until(5.0)
    assert [decided.verdict for decided in call.of_kind(BargeInDecided)] == ["resumed"]
