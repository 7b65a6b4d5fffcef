"""Single transitions of the turn machine that are worth naming."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kamerton.domain.dialogue import Completeness
from kamerton.listening.endpointing import EndpointingSettings
from kamerton.listening.segmenter import (
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSuspected,
    SuspicionDropped,
)
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.floor import Bot, Caller, Floor, Grip, Rules
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.turn_events import Ending
from kamerton.orchestrator.turn_machine import step

RULES = Rules(CallSettings(), EndpointingSettings())
NOW_S = 10.0

SPEAKING = Floor(bot=Bot.SPEAKING)
PROTECTED = Floor(bot=Bot.SPEAKING, interruptible=False)
OPEN = Floor(last=1, turn=1, onset_s=9.5, run_from_s=9.5)
CONTESTED = OPEN._replace(caller=Caller.SPEAKING, bot=Bot.SPEAKING, grip=Grip.DUCKED, contested=True)
HELD = CONTESTED._replace(caller=Caller.PAUSED, grip=Grip.HELD, ended_s=9.9, spoken_ms=300, longest_ms=300)
AWAITED = Floor(bot=Bot.THINKING, last=1, turn=1, answering=1, awaited=True, asked_ms=1000)
THINKING = AWAITED._replace(awaited=False)
FILLING = THINKING._replace(filling=True)
OVER_THOUGHT = THINKING._replace(caller=Caller.SPEAKING, contested=True, last=2, turn=2, onset_s=9.5, run_from_s=9.5)
PAUSED = OPEN._replace(caller=Caller.PAUSED, ended_s=9.9, spoken_ms=1000, longest_ms=1000)
TYPING = Floor(last=1, typing=1)
TALKER = OVER_THOUGHT._replace(unbroken=True, ceilings=1)


def after(floor: Floor, event: ev.MachineEvent) -> tuple[Floor, list[str]]:
    """The new floor and the effects in short: timers by name, others by kind."""
    changed, effects = step(floor, event, NOW_S, RULES)
    shown = []
    for effect in effects:
        match effect:
            case ev.Arm(name):
                shown.append(f"+{name}")
            case ev.Disarm():
                pass
            case ev.SayPrompt(_, key, ending):
                shown.append(f"say {key}" + ("!" if ending is Ending.HANG_UP else ""))
            case ev.Verdict(verdict):
                shown.append(verdict)
            case _:
                shown.append(type(effect).__name__)
    return changed, shown


def words(completeness: Completeness, backchannel: bool = False, turn: int = 1) -> ev.WordsHeard:
    return ev.WordsHeard(turn, completeness, backchannel)


LOST = ["Cut", "AbandonTurn", "say recognition_goodbye!", "+think"]


@pytest.mark.parametrize(
    ("floor", "event", "expected"),
    [
        (SPEAKING, SpeechSuspected(9.9), ["Duck"]),
        (FILLING, SpeechSuspected(9.9), ["Duck"]),
        (THINKING, SpeechSuspected(9.9), []),
        (PROTECTED, SpeechSuspected(9.9), []),
        (Floor(), SpeechSuspected(9.9), []),
        (Floor(Caller.SUSPECTED, Bot.SPEAKING, Grip.DUCKED), SuspicionDropped(), ["Unduck", "ignored"]),
        (Floor(Caller.SUSPECTED, Bot.THINKING), SuspicionDropped(), []),
        (SPEAKING, SpeechStarted(9.9), ["OpenTurn", "+turn_limit", "+hold", "+yield"]),
        (PROTECTED, SpeechStarted(9.9), ["OpenTurn", "+turn_limit"]),
        (Floor(), SpeechStarted(9.9), ["OpenTurn", "+turn_limit"]),
        (AWAITED, SpeechStarted(9.9), ["OpenTurn", "+turn_limit", "+hold", "+yield"]),
        (AWAITED._replace(unbroken=True), SpeechStarted(9.9), ["OpenTurn", "+turn_limit"]),
        (CONTESTED, ev.TimerFired("hold"), ["Hold"]),
        (CONTESTED, ev.TimerFired("yield"), ["Cut", "yielded", "TakeFloor", "+turn_limit"]),
        (CONTESTED, words(Completeness.PLAUSIBLE), ["Cut", "yielded", "TakeFloor", "+turn_limit"]),
        (CONTESTED, words(Completeness.PLAUSIBLE, backchannel=True), []),
        (CONTESTED, words(Completeness.PLAUSIBLE, turn=0), []),
        (CONTESTED, SpeechPaused(9.9, 400.0), ["PauseTurn", "+decide"]),
        (HELD, words(Completeness.UNKNOWN, backchannel=True), ["AbandonTurn", "Resume", "resumed"]),
        (HELD, words(Completeness.COMPLETE), ["Cut", "yielded", "TakeFloor", "+endpoint"]),
        (HELD, SpeechResumed(NOW_S), ["ResumeTurn", "+hold", "+yield"]),
        (HELD, ev.TimerFired("decide"), ["AbandonTurn", "Resume", "resumed"]),
        (HELD, ev.StopPressed(), ["Cut", "+endpoint"]),
        (HELD, ev.BotSettled(filler=False, played=True, last=True), ["Resume", "+endpoint"]),
        (CONTESTED, ev.BotSettled(filler=False, played=True, last=True), ["Unduck", "+turn_limit"]),
        (OVER_THOUGHT, ev.TimerFired("yield"), ["Cut", "TakeFloor", "+turn_limit"]),
        (OVER_THOUGHT, words(Completeness.COMPLETE, turn=2), ["Cut", "TakeFloor", "+turn_limit"]),
        (OVER_THOUGHT, ev.TimerFired("filler"), ["+filler"]),
        (
            OVER_THOUGHT._replace(caller=Caller.PAUSED, longest_ms=300),
            words(Completeness.UNKNOWN, backchannel=True, turn=2),
            ["AbandonTurn", "Unduck"],
        ),
        (OVER_THOUGHT._replace(grip=Grip.HELD), SpeechPaused(9.9, 300.0), ["PauseTurn", "+decide", "Resume"]),
        (OVER_THOUGHT._replace(filling=True), ev.TimerFired("yield"), ["Cut", "yielded", "TakeFloor", "+turn_limit"]),
        (TALKER, words(Completeness.COMPLETE, turn=2), []),
        (TALKER, SpeechPaused(9.9, 300.0), ["PauseTurn", "+decide"]),
        (SPEAKING, ev.BotSettled(filler=False, played=True, last=True), ["+silence"]),
        (SPEAKING, ev.BotSettled(filler=False, played=True, last=False), []),
        (SPEAKING, ev.BotSettled(filler=True, played=True, last=True), ["+silence"]),
        (SPEAKING, ev.BotSettled(filler=False, played=False, last=True), ["say apology", "+think"]),
        (SPEAKING._replace(prompting=True), ev.BotSettled(filler=False, played=False, last=True), ["+silence"]),
        (SPEAKING._replace(ending=Ending.HANG_UP), ev.BotSettled(filler=False, played=True, last=True), ["EndCall"]),
        (
            SPEAKING._replace(ending=Ending.TRANSFER),
            ev.BotSettled(filler=False, played=True, last=True),
            ["say operator_unavailable", "+think"],
        ),
        (SPEAKING, ev.StopPressed(), ["Cut", "+silence"]),
        (FILLING, ev.StopPressed(), ["Cut", "+silence"]),
        (Floor(Caller.SUSPECTED, Bot.SPEAKING, Grip.DUCKED), ev.StopPressed(), ["Cut", "+silence"]),
        (PROTECTED, ev.StopPressed(), []),
        (Floor(), ev.StopPressed(), []),
        (OPEN._replace(caller=Caller.SPEAKING), SpeechPaused(9.9, 800.0), ["PauseTurn", "+endpoint"]),
        (PAUSED, words(Completeness.COMPLETE), ["+endpoint"]),
        (PAUSED, SpeechResumed(NOW_S), ["ResumeTurn"]),
        (PAUSED, ev.TimerFired("endpoint"), ["EndTurn", "+filler", "+final", "+think"]),
        (PAUSED, ev.TimerFired("turn_limit"), ["EndTurn", "+filler", "+final", "+think"]),
        (AWAITED, ev.FinalHeard(1, words=True), ["Think"]),
        (AWAITED, ev.FinalHeard(0, words=True), []),
        (THINKING, ev.FinalHeard(1, words=True), []),
        (AWAITED, ev.FinalHeard(1, words=False, failed=True), ["say not_heard", "+think"]),
        (AWAITED, ev.FinalHeard(1, words=False), ["say not_heard", "+think"]),
        (AWAITED._replace(asked_ms=200), ev.FinalHeard(1, words=False), ["FadeFiller", "ForgetTurn", "+silence"]),
        (
            AWAITED._replace(asked_ms=380),
            ev.FinalHeard(1, words=False),
            ["FadeFiller", "ForgetTurn", "+silence", "+unheard"],
        ),
        (AWAITED._replace(failures=2), ev.FinalHeard(1, words=False, failed=True), LOST),
        (AWAITED, ev.RecogniserGone(), LOST),
        (SPEAKING, ev.RecogniserGone(), []),
        (SPEAKING._replace(deaf=True), ev.BotSettled(False, True, True), ["say recognition_goodbye!", "+think"]),
        (AWAITED._replace(ceilings=1), ev.FinalHeard(1, words=True), ["Think"]),
        (AWAITED._replace(ceilings=1), ev.FinalHeard(1, words=False), ["say cannot_hear", "+think"]),
        (AWAITED._replace(ceilings=2), ev.FinalHeard(1, words=True), ["say cannot_hear", "+think"]),
        (AWAITED._replace(ceilings=3), ev.FinalHeard(1, words=True), ["say line_goodbye!", "+think"]),
        (AWAITED._replace(drowned=5), ev.FinalHeard(1, words=True), ["Think"]),
        (AWAITED._replace(drowned=6), ev.FinalHeard(1, words=True), ["say cannot_hear", "+think"]),
        (AWAITED._replace(drowned=7), ev.FinalHeard(1, words=True), ["Think"]),
        (AWAITED._replace(drowned=13), ev.FinalHeard(1, words=False), ["say cannot_hear", "+think"]),
        (AWAITED._replace(drowned=20), ev.FinalHeard(1, words=True), ["say line_goodbye!", "+think"]),
        (CONTESTED._replace(insisting=True), ev.TimerFired("yield"), []),
        (CONTESTED._replace(insisting=True), words(Completeness.COMPLETE), []),
        (AWAITED, ev.TimerFired("final"), ["say not_heard", "+think"]),
        (AWAITED, ev.TimerFired("filler"), ["SayFiller"]),
        (AWAITED, ev.TimerFired("think"), ["Cut", "say apology", "+think"]),
        (AWAITED, ev.BotSettled(filler=True, played=True, last=True), ["+filler"]),
        (AWAITED, ev.BotSettled(filler=True, played=False, last=True), []),
        (Floor(bot=Bot.THINKING, prompting=True), ev.TimerFired("think"), ["Cut", "+silence"]),
        (Floor(bot=Bot.THINKING, prompting=True, ending=Ending.HANG_UP), ev.TimerFired("think"), ["Cut", "EndCall"]),
        (Floor(), ev.TimerFired("silence"), ["say still_there", "+think"]),
        (Floor(held=True), ev.TimerFired("silence"), []),
        (Floor(held=True), ev.HoldChanged(False), ["+silence"]),
        (Floor(ladder=1), ev.TimerFired("silence"), ["say silence_goodbye", "+think"]),
        (Floor(Caller.SUSPECTED), ev.TimerFired("silence"), ["+silence"]),
        (Floor(), ev.TimerFired("unheard"), ["say not_heard", "+think"]),
        (PROTECTED, ev.KeysPressed(), ["OpenKeys"]),
        (SPEAKING, ev.KeysPressed(), ["Cut", "AbandonTurn", "OpenKeys", "+keys"]),
        (TYPING, ev.KeysPressed(), ["+keys"]),
        (TYPING, ev.TimerFired("keys"), ["EndKeys", "Think", "+filler", "+final", "+think"]),
        (TYPING, SpeechStarted(9.9), ["OpenTurn", "+turn_limit", "+hold", "+yield"]),
        (
            TYPING._replace(caller=Caller.PAUSED, contested=True, turn=2, last=2, longest_ms=300),
            ev.TimerFired("decide"),
            ["AbandonTurn", "Unduck"],
        ),
        (
            TYPING._replace(caller=Caller.SPEAKING, contested=True, turn=2, last=2),
            ev.TimerFired("yield"),
            ["DropKeys", "Cut", "+turn_limit"],
        ),
        (PROTECTED._replace(typing=1, last=1), ev.BotSettled(False, True, True), ["+keys"]),
        (
            PROTECTED,
            ev.TimerFired("call_limit"),
            ["Cut", "AbandonTurn", "DropKeys", "say max_length!", "+think", "+call_limit"],
        ),
        (SPEAKING._replace(ending=Ending.HANG_UP), ev.TimerFired("call_limit"), ["+call_limit"]),
        (SPEAKING._replace(limit_passed=True), ev.TimerFired("call_limit"), ["EndCall"]),
        (SPEAKING, ev.ServiceStopping(), ["FinishSentence"]),
        (SPEAKING._replace(leaving=True), ev.BotSettled(False, True, True), ["say service_goodbye!", "+think"]),
        (Floor(), ev.ServiceStopping(), ["Cut", "AbandonTurn", "DropKeys", "say service_goodbye!", "+think"]),
        (OPEN._replace(caller=Caller.SPEAKING), ev.ServiceStopping(), ["+leave"]),
        (PAUSED._replace(leaving=True), ev.TimerFired("endpoint"), ["EndTurn", "say service_goodbye!", "+think"]),
    ],
)
def test_effects(floor: Floor, event: ev.MachineEvent, expected: list[str]) -> None:
    assert after(floor, event)[1] == expected


@pytest.mark.parametrize(
    ("floor", "event"),
    [
        (AWAITED, SpeechPaused(9.9, 100.0)),
        (Floor(), SpeechPaused(9.9, 100.0)),
        (SPEAKING, SpeechResumed(NOW_S)),
        (AWAITED, SpeechResumed(NOW_S)),
        (AWAITED, SuspicionDropped()),
        (CONTESTED, SuspicionDropped()),
        (CONTESTED, SpeechStarted(9.9)),
        (PAUSED, SpeechSuspected(9.9)),
    ],
)
def test_what_the_ears_said_of_a_turn_that_is_over_changes_nothing(floor: Floor, event: ev.MachineEvent) -> None:
    assert step(floor, event, NOW_S, RULES) == (floor, ())


def test_a_murmur_over_the_end_of_a_transfer_leaves_nobody_waiting_for_a_person() -> None:
    murmur = HELD._replace(ending=Ending.TRANSFER, longest_ms=300)
    asked, effects = after(murmur, ev.BotSettled(filler=False, played=True, last=True))
    assert "AbandonTurn" in effects
    assert effects[-2:] == ["say operator_unavailable", "+think"]
    assert asked.turn_open is False


def test_whoever_interrupts_while_the_service_stops_is_let_finish_for_a_moment() -> None:
    speaking = HELD._replace(caller=Caller.SPEAKING, leaving=True)
    assert "+leave" in after(speaking, ev.TimerFired("yield"))[1]
    assert "+leave" in after(HELD._replace(longest_ms=900, leaving=True), ev.TimerFired("decide"))[1]


def test_a_suspicion_leaves_an_awaited_transcript_awaited() -> None:
    suspected, _ = after(AWAITED, SpeechSuspected(9.9))
    dropped, _ = after(suspected, SuspicionDropped())
    assert after(dropped, ev.FinalHeard(1, words=True))[1] == ["Think"]


def test_speech_is_told_from_a_murmur_by_its_longest_stretch() -> None:
    long_enough = HELD._replace(longest_ms=500)
    assert after(long_enough, ev.TimerFired("decide"))[1] == ["Cut", "yielded", "TakeFloor", "+endpoint"]
    twice = HELD._replace(spoken_ms=970, longest_ms=360)
    assert after(twice, ev.TimerFired("decide"))[1] == ["AbandonTurn", "Resume", "resumed"]


def test_a_third_stretch_of_speech_takes_the_floor_soon() -> None:
    resumed, _ = step(HELD._replace(runs=1), SpeechResumed(NOW_S), NOW_S, RULES)
    assert yield_at(HELD) == pytest.approx(NOW_S + 0.56)
    assert yield_at(resumed._replace(caller=Caller.PAUSED)) == pytest.approx(NOW_S + 0.15)


def yield_at(floor: Floor) -> float:
    _, effects = step(floor, SpeechResumed(NOW_S), NOW_S, RULES)
    return next(effect.at_s for effect in effects if isinstance(effect, ev.Arm) and effect.name == "yield")


def test_keys_never_share_a_turn_with_words_that_may_still_come() -> None:
    typed, _ = after(AWAITED, ev.KeysPressed())
    assert typed.typing == AWAITED.turn + 1
    assert after(typed, ev.FinalHeard(1, words=True))[1] == []


def test_answering_resets_the_silence_ladder() -> None:
    thinking, _ = after(AWAITED._replace(ladder=1), ev.FinalHeard(1, words=True))
    assert thinking.ladder == 0


def test_the_last_line_of_a_call_is_never_interruptible_but_the_goodbye_to_a_silent_caller_is() -> None:
    closing, _ = after(THINKING, ev.ReplyReady(1, interruptible=True, ending=Ending.HANG_UP))
    assert (closing.bot, closing.interruptible, closing.ending) == (Bot.SPEAKING, False, Ending.HANG_UP)
    asked, _ = after(THINKING, ev.ReplyReady(1, interruptible=True, ending=Ending.HANG_UP_UNLESS_ANSWERED))
    assert asked.interruptible


def test_a_reply_that_comes_after_the_caller_took_the_floor_is_ignored() -> None:
    listening = Floor(Caller.SPEAKING, turn=2, last=2)
    assert step(listening, ev.ReplyReady(1, True, Ending.HANG_UP), NOW_S, RULES) == (listening, ())
    other = THINKING._replace(answering=7)
    assert step(other, ev.ReplyReady(1, True, Ending.GO_ON), NOW_S, RULES) == (other, ())


def endpoint_at(effects: tuple[ev.Effect, ...]) -> float:
    return next(effect.at_s for effect in effects if isinstance(effect, ev.Arm) and effect.name == "endpoint")


def test_a_recogniser_that_lags_is_waited_for_in_proportion() -> None:
    rules = replace(RULES, lag_s=0.3)
    speaking = OPEN._replace(caller=Caller.SPEAKING)
    said_yes, _ = step(speaking, ev.WordsHeard(1, Completeness.COMPLETE, False, covers_s=9.7), 9.95, rules)
    paused, effects = step(said_yes, SpeechPaused(9.9, 400.0), NOW_S, rules)
    assert endpoint_at(effects) == pytest.approx(9.9 + 0.45)
    _, effects = step(paused, ev.WordsHeard(1, Completeness.COMPLETE, False, covers_s=9.9), 10.15, rules)
    assert endpoint_at(effects) == pytest.approx(10.15)


def test_a_grade_says_nothing_of_what_follows_a_pause() -> None:
    complete, _ = after(PAUSED, words(Completeness.COMPLETE))
    resumed, _ = after(complete, SpeechResumed(NOW_S))
    assert resumed.completeness is Completeness.UNKNOWN


def test_a_recogniser_that_hears_the_end_adds_to_a_whole_thought_and_not_to_a_half_one() -> None:
    ended = ev.EngineEndedUtterance(1)
    for grade, pause_s in ((Completeness.PLAUSIBLE, 0.2), (Completeness.OPEN, 1.1)):
        floor, _ = step(PAUSED, words(grade), 9.95, RULES)
        _, effects = step(floor, ended, 9.95, RULES)
        assert endpoint_at(effects) == pytest.approx(9.9 + pause_s)


@pytest.mark.parametrize(
    ("floor", "event", "drowned"),
    [
        (CONTESTED._replace(sounds_s=9.0, onset_s=9.5, drowned=2), ev.TimerFired("yield"), 3),
        (CONTESTED._replace(sounds_s=7.0, onset_s=9.5, drowned=2), ev.TimerFired("yield"), 0),
        (OVER_THOUGHT._replace(drowned=2), ev.TimerFired("yield"), 3),
        (SPEAKING._replace(drowned=3), ev.BotSettled(filler=False, played=True, last=True), 0),
        (SPEAKING._replace(drowned=6, insisting=True), ev.BotSettled(filler=False, played=True, last=True), 6),
        (CONTESTED._replace(drowned=3), ev.BotSettled(filler=False, played=True, last=True), 0),
        (PROTECTED._replace(drowned=3), ev.BotSettled(filler=False, played=True, last=True), 3),
    ],
)
def test_answers_that_had_no_chance_to_be_heard_are_counted(floor: Floor, event: ev.MachineEvent, drowned: int) -> None:
    after_it, _ = step(floor, event, NOW_S, RULES)
    assert after_it.drowned == drowned
    assert not after_it.insisting
