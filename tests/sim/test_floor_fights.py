"""Both sides at once on the virtual clock: interruptions, overlaps, long and broken speech."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from kamerton.domain.notices import BargeInDecided, CallFinished, TranscriptUpdated, TurnFinished
from kamerton.orchestrator.settings import CallSettings
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, EchoFlow, LabCall, ToneVoice
from kamerton.testing.loopback_media import FarBuffer
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
GREETING_S = 1.5
"""The lab's greeting lasts 60 ms per character of «добрый день» and «слушаю вас», 1.32 s."""


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def lab(*turns: ScriptedTurn) -> CallLab:
    return CallLab(ScriptedSpeechToText(turns))


def answers(call: LabCall) -> list[TurnFinished]:
    return [turn for turn in call.of_kind(TurnFinished) if turn.path == "scenario"]


def loudest(call: LabCall, start_s: float, end_s: float) -> float:
    return max(call.loud_at(start_s + n * 0.02) for n in range(int((end_s - start_s) / 0.02)))


async def test_speech_during_a_filler_silences_it_and_goes_on_with_the_turn() -> None:
    calls = lab(ScriptedTurn("сто.", final_after_ms=3000, partial_after_ms=3000), ScriptedTurn("пятьдесят."))
    calls.fillers = {"thinking": ("одну минутку пожалуйста я посмотрю",)}
    async with calls.call() as call:
        call.says(3.0, 4.0)
        call.says(5.5, 6.3)
        await call.until(13.0)
    assert loudest(call, 5.3, 5.5) > 1000
    assert loudest(call, 5.8, 6.3) == 0
    assert [turn.user_text for turn in answers(call)][-1].endswith("пятьдесят.")
    assert answers(call)[-1].outcome == "played"


@pytest.mark.parametrize("until_s", [1.26, 1.34, 1.40, 1.9])
@pytest.mark.parametrize("far_buffer", [FarBuffer(), FarBuffer(60.0), FarBuffer(40.0, can_clear=False)])
async def test_whoever_speaks_into_the_end_of_a_line_hears_the_next_one_at_full_level(
    until_s: float, far_buffer: FarBuffer
) -> None:
    """The bot may end by itself while it is ducked or held: what it says next must be as loud as ever."""
    calls = lab(ScriptedTurn("сто."))
    calls.far_buffer = far_buffer
    async with calls.call() as call:
        call.says(until_s - 0.3, until_s + 0.7)
        await call.until(9.0)
    (answer,) = answers(call)
    assert answer.outcome == "played"
    assert answer.spoken_from_s is not None
    assert loudest(call, answer.spoken_from_s + 0.2, answer.spoken_from_s + 1.0) > 4000


@pytest.mark.parametrize("far_buffer", [FarBuffer(), FarBuffer(80.0), FarBuffer(40.0, can_clear=False)])
@pytest.mark.parametrize("start_ms", range(200, 1500, 210))
@pytest.mark.parametrize("text", ["угу", "стойте."])
async def test_whenever_the_caller_speaks_the_call_goes_on(start_ms: int, text: str, far_buffer: FarBuffer) -> None:
    calls = lab(ScriptedTurn(text, partial_after_ms=120), ScriptedTurn("да."))
    calls.far_buffer = far_buffer
    async with calls.call() as call:
        call.says(start_ms / 1000, start_ms / 1000 + 0.36)
        call.says(9.0, 9.6)
        await call.until(14.0)
    assert answers(call)[-1].outcome == "played"
    gaps = [b.at_s - a.at_s for a, b in pairwise(call.media.sent)]
    assert max(gaps) == pytest.approx(0.02)
    assert min(gaps) == pytest.approx(0.02)
    for decided in call.of_kind(BargeInDecided):
        if decided.verdict == "yielded":
            assert decided.silenced_at_s is not None
            assert decided.silenced_at_s - decided.onset_at_s <= 0.7


async def test_the_line_is_silent_after_a_cut_until_the_answer() -> None:
    async with lab(ScriptedTurn("стойте.", partial_after_ms=50)).call() as call:
        call.says(0.4, 0.75)
        await call.until(6.0)
    (decided,) = call.of_kind(BargeInDecided)
    assert decided.silenced_at_s is not None
    (answer,) = answers(call)
    assert answer.spoken_from_s is not None
    silent_s = decided.silenced_at_s - call.started_s
    assert loudest(call, silent_s + 0.001, answer.spoken_from_s - call.started_s - 0.001) == 0


async def test_speaking_through_the_whole_greeting_is_a_turn_that_is_answered() -> None:
    async with lab(ScriptedTurn("здравствуйте. мне нужна страховка.")).call() as call:
        call.says(0.0, 2.5)
        await call.until(8.0)
    assert [turn.user_text for turn in answers(call)] == ["здравствуйте. мне нужна страховка."]


async def test_speaking_through_an_uninterruptible_greeting_is_answered_after_it() -> None:
    calls = lab(ScriptedTurn("сто."))
    calls.flow = EchoFlow(interruptible=False)
    async with calls.call() as call:
        call.says(0.0, 2.5)
        await call.until(8.0)
    assert call.of_kind(TurnFinished)[0].outcome == "played"
    assert [turn.user_text for turn in answers(call)] == ["сто."]


async def test_two_sentences_with_a_pause_are_one_turn() -> None:
    script = ScriptedTurn("мне нужна страховка. на машину.", pause_texts=("мне нужна страховка",))
    async with lab(script).call() as call:
        call.says(3.0, 4.0)
        call.says(4.35, 5.2)
        await call.until(10.0)
    assert [turn.user_text for turn in answers(call)] == ["мне нужна страховка. на машину."]


async def test_what_was_heard_is_known_behind_a_buffer_that_cannot_be_cleared() -> None:
    calls = lab(ScriptedTurn("стойте.", partial_after_ms=50))
    calls.far_buffer = FarBuffer(40.0, can_clear=False)
    calls.flow = EchoFlow(greeting="раз два три четыре пять шесть семь восемь девять десять")
    async with calls.call() as call:
        call.says(0.7, 1.8)
        await call.until(6.0)
    greeting = call.of_kind(TurnFinished)[0]
    assert greeting.outcome == "cut"
    assert greeting.spoken_to_s is not None
    played_s = 0.7 + 0.23 + 0.06  # until it was held, with the frames on their way
    words = greeting.reply_text.split()
    expected = int(len(words) * played_s / (0.06 * len(greeting.reply_text)))
    assert abs(len(greeting.heard_text.split()) - expected) <= 1
    assert call.media.cleared_at_s == []


async def test_the_answer_before_a_silence_is_not_put_before_the_words_after_it() -> None:
    calls = lab(ScriptedTurn("сто."), ScriptedTurn("да."))
    calls.voice = ToneVoice(ready=False, delay_s=0.4)
    async with calls.call() as call:
        call.says(3.0, 4.0)
        await call.until(8.0)
        prompts = call.of_kind(TurnFinished)[-1]
        assert prompts.spoken_to_s is not None
        silent_s = prompts.spoken_to_s - call.started_s + calls.call_settings.patience.silence_prompt_s
        call.says(silent_s - 0.02, silent_s + 0.6)
        await call.until(silent_s + 8.0)
    assert answers(call)[-1].user_text == "да."


@pytest.mark.parametrize("at_ms", range(11100, 11500, 40))
async def test_no_click_at_any_instant_makes_a_silence_endless(at_ms: int) -> None:
    async with lab().call() as call:
        call.says(at_ms / 1000, at_ms / 1000 + 0.04)
        await call.until(60.0)
        assert call.media.end_reason is not None


async def test_stop_pressed_in_the_pause_of_an_interruption_ends_the_turn_soon() -> None:
    async with lab(ScriptedTurn("сто.", partial_after_ms=700)).call() as call:
        call.says(0.4, 0.75)
        await call.until(0.95)
        call.media.interrupt()
        await call.until(6.0)
    (answer,) = answers(call)
    assert answer.response_ms is not None
    assert answer.response_ms < 1500


async def test_stop_pressed_silences_the_bot_and_the_silence_ladder_goes_on() -> None:
    async with lab().call() as call:
        await call.until(0.5)
        call.media.interrupt()
        await call.until(0.6)
        assert call.loud_at(0.58) == 0
        await call.until(12.0)
    assert call.of_kind(TurnFinished)[0].outcome == "cut"
    assert call.of_kind(TurnFinished)[1].reply_text == LAB_PHRASES["still_there"]


async def test_a_long_number_may_be_typed_slowly() -> None:
    async with lab().call() as call:
        for number, digit in enumerate("89161234567"):
            await call.until(3.0 + number * 1.2)
            call.media.press(digit)
        await call.until(22.0)
    assert [turn.user_text for turn in answers(call)] == ["89161234567"]


async def test_speech_while_typing_is_a_turn_of_its_own_with_its_own_marks() -> None:
    async with lab(ScriptedTurn("сто.")).call() as call:
        await call.until(3.0)
        call.media.press("7")
        call.says(3.2, 5.5)
        await call.until(10.0)
    (answer,) = answers(call)
    assert answer.user_text == "сто."
    assert answer.response_ms is not None
    assert answer.response_ms < 300
    assert all(notice.text for notice in call.of_kind(TranscriptUpdated) if notice.speaker == "user")


async def test_keys_pressed_while_words_are_awaited_win() -> None:
    async with lab(ScriptedTurn("мимо.", partial_after_ms=2000, final_after_ms=2000)).call() as call:
        call.says(3.0, 3.6)
        await call.until(5.0)
        call.media.press("4")
        await call.until(5.4)
        call.media.press("2")
        await call.until(10.0)
    assert [turn.user_text for turn in answers(call)] == ["42"]


async def test_the_longest_call_is_ended_politely_in_the_middle_of_a_word() -> None:
    calls = lab(ScriptedTurn("сто."))
    calls.call_settings = CallSettings(patience=replace(CallSettings().patience, call_limit_s=3.5))
    async with calls.call() as call:
        call.says(3.0, 4.5)
        await call.until(10.0)
        assert call.media.goodbye
    assert call.of_kind(TurnFinished)[-1].reply_text == LAB_PHRASES["max_length"]
    assert call.of_kind(TurnFinished)[-1].outcome == "played"
    assert call.of_kind(CallFinished)[0].ended_by == "bot"
