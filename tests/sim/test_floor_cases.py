"""Situations in which the floor was once lost, at exact instants: keys and noise, two coughs, fillers, good-byes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kamerton.domain.audio import AudioFormat, Clip
from kamerton.domain.dialogue import Completeness, EntityKind, Expectation
from kamerton.domain.notices import BargeInDecided, CallFinished, TranscriptUpdated, TurnFinished
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.speculation import SpeculationSettings
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, EchoFlow, LabCall, ToneVoice
from kamerton.testing.loopback_media import FarBuffer
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio
YES_NO = Expectation(EntityKind.YES_NO)


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


def lab(*turns: ScriptedTurn) -> CallLab:
    return CallLab(ScriptedSpeechToText(turns))


def answers(call: LabCall) -> list[TurnFinished]:
    return [turn for turn in call.of_kind(TurnFinished) if turn.path == "scenario"]


def said(call: LabCall) -> tuple[str, ...]:
    """What the scenario took in, once the call is over."""
    taken: tuple[str, ...] = call.of_kind(CallFinished)[0].variables.get("said", ())
    return taken


def spoken(call: LabCall) -> list[str]:
    return [n.text for n in call.of_kind(TranscriptUpdated) if n.speaker == "bot" and not n.final]


def loudest(call: LabCall, start_s: float, end_s: float) -> float:
    return max(call.loud_at(start_s + n * 0.02) for n in range(int((end_s - start_s) / 0.02)))


async def type_keys(call: LabCall, at_s: float, keys: str, gap_s: float = 0.2) -> None:
    for number, key in enumerate(keys):
        await call.until(at_s + number * gap_s)
        call.media.press(key)


async def test_noise_between_keys_breaks_no_number() -> None:
    async with lab(ScriptedTurn("")).call() as call:
        await type_keys(call, 3.0, "15")
        call.says(3.5, 3.8)
        await type_keys(call, 4.2, "0#")
        await call.until(9.0)
    assert said(call) == ("150",)


async def test_noise_after_keys_breaks_no_number() -> None:
    async with lab(ScriptedTurn("")).call() as call:
        await type_keys(call, 3.0, "150")
        call.says(3.8, 4.1)
        await call.until(9.0)
    assert said(call) == ("150",)


async def test_a_short_word_between_keys_breaks_no_number() -> None:
    async with lab(ScriptedTurn("так.", partial_after_ms=150)).call() as call:
        await type_keys(call, 3.0, "1234")
        call.says(3.8, 4.0)
        await type_keys(call, 4.6, "567")
        await call.until(9.0)
    assert said(call) == ("1234567",)


async def test_keys_pressed_into_a_phrase_that_may_not_be_interrupted_count_after_it() -> None:
    calls = lab()
    calls.flow = EchoFlow(interruptible=False)
    async with calls.call() as call:
        await type_keys(call, 0.4, "42")
        await call.until(8.0)
    assert call.of_kind(TurnFinished)[0].outcome == "played"
    assert said(call) == ("42",)


async def test_what_was_said_before_a_failed_turn_is_not_put_before_the_next() -> None:
    turns = (
        ScriptedTurn("сколько стоит."),
        ScriptedTurn(failure="engine down"),
        ScriptedTurn("хочу оператора."),
    )
    async with lab(*turns).call() as call:
        call.says(3.0, 4.0)
        call.says(4.5, 5.5)
        call.says(9.0, 10.0)
        await call.until(15.0)
    assert spoken(call).count(LAB_PHRASES["not_heard"]) == 1
    assert said(call) == ("хочу оператора.",)


async def test_a_late_answer_that_the_caller_talks_over_at_once_moves_nothing() -> None:
    calls = lab(ScriptedTurn("сто."), ScriptedTurn("пятьдесят."))
    calls.voice = SlowAnswers(texts=("ответ на сто., это всё что я знаю об этом",))
    calls.call_settings = CallSettings(speculation=SpeculationSettings(enabled=False))
    calls.fillers = {}
    async with calls.call() as call:
        call.says(3.0, 4.0)
        first_s = await until_sounds(call, 4.4)
        assert 1.6 < first_s - 4.0 < 1.8
        call.says(first_s + 0.13, first_s + 1.2)
        await call.until(14.0)
    assert said(call) == ("сто пятьдесят.",)


class SlowAnswers(ToneVoice):
    """Takes 1.45 s over some texts; everything else is at hand."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        super().__init__(delay_s=1.45)
        self.texts = texts

    def cached(self, text: str, audio_format: AudioFormat) -> Clip | None:
        return None if text in self.texts else ToneVoice.cached(self, text, audio_format)


async def until_sounds(call: LabCall, from_s: float) -> float:
    """Wait until the bot can be heard; the instant."""
    at_s = from_s
    while True:
        await call.until(at_s)
        if call.loud_at(at_s) > 1000:
            return at_s
        at_s += 0.02


async def until_said(call: LabCall, text: str) -> float:
    """Wait until the bot begins to say something; the instant."""
    at_s = 0.0
    while text not in spoken(call):
        at_s += 0.02
        await call.until(at_s)
    return at_s


async def test_a_murmur_while_the_assistant_thinks_neither_delays_nor_doubles_the_answer() -> None:
    responses = []
    for murmurs in (False, True):
        calls = lab(ScriptedTurn("сто."), ScriptedTurn("угу", partial_after_ms=150))
        calls.voice = SlowAnswers(texts=("ответ на сто., это всё что я знаю об этом",))
        calls.call_settings = CallSettings(speculation=SpeculationSettings(enabled=False))
        calls.fillers = {}
        async with calls.call() as call:
            call.says(3.0, 4.0)
            if murmurs:
                call.says(4.6, 4.96)
            await call.until(12.0)
        (answer,) = answers(call)
        assert said(call) == ("сто.",)
        responses.append(answer.response_ms)
    assert responses[0] == pytest.approx(responses[1], abs=21)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [((0.3, 0.6), (0.75, 1.05), ""), ((0.3, 0.66), (0.91, 1.27), "угу")],
    ids=["two coughs", "«угу-угу»"],
)
@pytest.mark.parametrize("partial_after_ms", [120, 500])
async def test_two_short_sounds_do_not_take_the_floor(
    first: tuple[float, float], second: tuple[float, float], text: str, partial_after_ms: float
) -> None:
    calls = lab(ScriptedTurn(text, partial_after_ms=partial_after_ms), ScriptedTurn(text, partial_after_ms=120))
    calls.flow = EchoFlow(greeting="добрый день, меня зовут соня, я расскажу вам о наших страховках, слушаю вас")
    async with calls.call() as call:
        call.says(*first)
        call.says(*second)
        await call.until(9.0)
    assert {decided.verdict for decided in call.of_kind(BargeInDecided)} == {"resumed"}
    assert call.of_kind(TurnFinished)[0].outcome == "played"
    assert said(call) == ()


@pytest.mark.parametrize("partial_after_ms", [120, 900])
async def test_a_murmur_into_a_phrase_that_may_not_be_interrupted_answers_no_question_after_it(
    partial_after_ms: float,
) -> None:
    calls = lab(ScriptedTurn("угу", partial_after_ms=partial_after_ms))
    calls.flow = EchoFlow(
        greeting="правила такие что их надо дослушать, вы согласны", interruptible=False, expects=YES_NO
    )
    calls.completeness = lambda text, expectation: Completeness.COMPLETE
    async with calls.call() as call:
        call.says(1.0, 1.36)
        await call.until(9.0)
    assert call.of_kind(TurnFinished)[0].outcome == "played"
    assert said(call) == ()


async def test_a_filler_said_to_a_cough_ends_when_it_turns_out_to_be_nothing() -> None:
    calls = lab(ScriptedTurn("", partial_after_ms=2000, final_after_ms=2000))
    calls.fillers = {"thinking": ("одну минутку пожалуйста я сейчас посмотрю",)}
    async with calls.call() as call:
        call.says(3.0, 3.3)
        await call.until(9.0)
    over_s = 3.39 + 2.0
    assert loudest(call, over_s - 0.5, over_s) > 1000
    assert loudest(call, over_s + 0.1, over_s + 0.8) == 0


async def test_a_cough_is_not_told_to_wait_a_moment() -> None:
    calls = lab(ScriptedTurn("", partial_after_ms=700, final_after_ms=700))
    async with calls.call() as call:
        call.says(3.0, 3.2)
        await call.until(9.0)
    assert loudest(call, 3.0, 9.0) == 0


async def test_stop_pressed_during_a_filler_is_silence() -> None:
    calls = lab(ScriptedTurn("сто.", partial_after_ms=4000, final_after_ms=4000))
    calls.fillers = {"thinking": ("одну минутку пожалуйста я сейчас посмотрю",)}
    async with calls.call() as call:
        call.says(3.0, 4.0)
        at_s = await until_sounds(call, 4.4)
        call.media.interrupt()
        await call.until(at_s + 5.0)
    assert loudest(call, at_s + 0.06, at_s + 5.0) == 0


async def test_a_short_yes_that_was_not_recognised_is_asked_for_soon_and_once() -> None:
    async with lab(ScriptedTurn(""), ScriptedTurn("")).call() as call:
        call.says(3.0, 3.38)
        call.says(9.0, 9.38)
        asked_s = await until_sounds(call, 3.4)
        await call.until(18.0)
    assert asked_s - 3.38 < 2.0
    assert spoken(call).count(LAB_PHRASES["not_heard"]) == 1


async def test_an_answer_during_the_goodbye_to_a_silent_caller_keeps_the_call() -> None:
    calls = lab(ScriptedTurn("я здесь. просто искал очки.", partial_after_ms=100))
    async with calls.call() as call:
        goodbye_s = await until_said(call, LAB_PHRASES["silence_goodbye"])
        call.says(goodbye_s + 0.3, goodbye_s + 1.5)
        await call.until(goodbye_s + 6.0)
        assert call.media.end_reason is None
    assert said(call) == ("я здесь. просто искал очки.",)


@pytest.mark.parametrize("words", ["много слов", ""])
async def test_somebody_who_talks_on_and_on_is_told_so_and_the_call_ends(words: str) -> None:
    """A television, a crowd: bounded, with words and without."""
    calls = lab(*(ScriptedTurn(words) for _ in range(20)))
    async with calls.call() as call:
        call.says(2.0, 400.0)
        await call.until(150.0)
        assert call.media.end_reason is not None
    assert LAB_PHRASES["cannot_hear"] in spoken(call)
    assert spoken(call)[-1] == LAB_PHRASES["line_goodbye"]
    outcomes = {turn.reply_text: turn.outcome for turn in call.of_kind(TurnFinished)[1:]}
    assert set(outcomes.values()) == {"played"}
    (finished,) = call.of_kind(CallFinished)
    assert finished.duration_s < 120


async def test_whoever_talks_on_and_then_stops_is_heard() -> None:
    calls = lab(ScriptedTurn("первая часть"), ScriptedTurn("вторая часть."), ScriptedTurn("сто."))
    async with calls.call() as call:
        call.says(3.0, 43.0)
        call.says(50.0, 51.0)
        await call.until(58.0)
    assert said(call) == ("первая часть", "вторая часть.", "сто.")


async def test_a_call_on_hold_is_not_asked_whether_anybody_is_there() -> None:
    async with lab().call() as call:
        await call.until(4.0)
        call.media.hold(True)
        await call.until(64.0)
        assert spoken(call) == ["добрый день слушаю вас"]
        call.media.hold(False)
        await call.until(78.0)
    assert spoken(call)[1:] == [LAB_PHRASES["still_there"]]


async def test_a_stopping_service_ends_the_sentence_and_says_goodbye() -> None:
    calls = lab()
    calls.flow = EchoFlow(greeting="раз два три четыре, пять шесть семь восемь, девять десять одиннадцать")
    async with calls.call() as call:
        await call.until(0.5)
        call.stopping.begin()
        await call.until(9.0)
        assert call.media.goodbye
    greeting, goodbye = call.of_kind(TurnFinished)
    assert (greeting.outcome, greeting.heard_text) == ("played", "раз два три четыре")
    assert (goodbye.reply_text, goodbye.outcome) == (LAB_PHRASES["service_goodbye"], "played")


@pytest.mark.parametrize("at_s", [0.0, 2.5, 3.4, 4.15, 4.3, 5.0, 9.0])
async def test_a_stopping_service_ends_every_call_soon(at_s: float) -> None:
    calls = lab(ScriptedTurn("сто.", partial_after_ms=80))
    async with calls.call() as call:
        call.says(3.0, 4.0)
        await call.until(at_s)
        call.stopping.begin()
        await call.until(at_s + 10.0)
        assert call.media.goodbye
    assert spoken(call)[-1] == LAB_PHRASES["service_goodbye"]
    assert call.of_kind(TurnFinished)[-1].outcome == "played"


async def test_a_call_that_comes_back_goes_on_where_it_stood() -> None:
    calls = lab(ScriptedTurn("сто."))
    async with calls.call() as call:
        call.says(3.0, 4.0)
        await call.until(7.0)
    async with calls.call() as again:
        await again.until(3.0)
    assert spoken(again)[0] == "что ещё"
    assert said(again) == ("сто.",)


async def test_the_longest_call_ends_even_when_nothing_that_is_sent_is_ever_heard() -> None:
    calls = lab()
    calls.call_settings = CallSettings(patience=replace(CallSettings().patience, call_limit_s=30.0))
    calls.far_buffer = FarBuffer(tells=False)
    async with calls.call() as call:
        call.says(3.0, 1000.0)
        await call.until(60.0)
        assert call.media.end_reason is not None
