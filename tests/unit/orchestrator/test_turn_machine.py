"""Single transitions of the turn machine that are worth naming."""

from __future__ import annotations

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
from kamerton.orchestrator.turn_machine import step

RULES = Rules(CallSettings(), EndpointingSettings())
NOW_S = 10.0

SPEAKING = Floor(bot=Bot.SPEAKING)
PROTECTED = Floor(bot=Bot.SPEAKING, interruptible=False)
CONTESTED = Floor(Caller.SPEAKING, Bot.SPEAKING, Grip.DUCKED, contested=True, turn=1, onset_s=9.5)
HELD = Floor(Caller.PAUSED, Bot.SPEAKING, Grip.HELD, contested=True, turn=1, onset_s=9.5, ended_s=9.9, spoken_ms=300)
AWAITED = Floor(Caller.FINISHED, Bot.THINKING, turn=1, spoken_ms=1000)
PAUSED = Floor(Caller.PAUSED, turn=1, ended_s=9.9, spoken_ms=1000)


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
            case ev.SayPrompt(key, closing):
                shown.append(f"say {key}" + ("!" if closing else ""))
            case ev.Verdict(verdict):
                shown.append(verdict)
            case _:
                shown.append(type(effect).__name__)
    return changed, shown


def words(completeness: Completeness, backchannel: bool = False, turn: int = 1) -> ev.WordsHeard:
    return ev.WordsHeard(turn, completeness, backchannel)


@pytest.mark.parametrize(
    ("floor", "event", "expected"),
    [
        (SPEAKING, SpeechSuspected(9.9), ["Duck"]),
        (PROTECTED, SpeechSuspected(9.9), []),
        (Floor(), SpeechSuspected(9.9), []),
        (Floor(Caller.SUSPECTED, Bot.SPEAKING, Grip.DUCKED), SuspicionDropped(), ["Unduck", "ignored"]),
        (SPEAKING, SpeechStarted(9.9), ["OpenTurn", "+turn_limit", "+hold", "+yield"]),
        (PROTECTED, SpeechStarted(9.9), ["OpenTurn", "+turn_limit"]),
        (Floor(), SpeechStarted(9.9), ["OpenTurn", "+turn_limit"]),
        (AWAITED, SpeechStarted(9.9), ["CancelThinking", "Cut", "OpenTurn", "+turn_limit"]),
        (CONTESTED, ev.TimerFired("hold"), ["Hold"]),
        (CONTESTED, ev.TimerFired("yield"), ["Cut", "yielded"]),
        (CONTESTED, words(Completeness.PLAUSIBLE), ["Cut", "yielded"]),
        (CONTESTED, words(Completeness.PLAUSIBLE, backchannel=True), []),
        (CONTESTED, words(Completeness.PLAUSIBLE, turn=0), []),
        (CONTESTED, SpeechPaused(9.9, 400.0), ["PauseTurn", "+decide"]),
        (HELD, words(Completeness.UNKNOWN, backchannel=True), ["AbandonTurn", "Resume", "resumed"]),
        (HELD, words(Completeness.COMPLETE), ["Cut", "yielded", "+endpoint"]),
        (HELD, SpeechResumed(NOW_S), ["ResumeTurn", "+hold", "+yield"]),
        (HELD, ev.TimerFired("decide"), ["AbandonTurn", "Resume", "resumed"]),
        (HELD, ev.StopPressed(), ["Cut", "+endpoint"]),
        (HELD, ev.BotSettled(filler=False, played=True, last=True), ["Resume", "+endpoint"]),
        (CONTESTED, ev.BotSettled(filler=False, played=True, last=True), ["Unduck", "+turn_limit"]),
        (SPEAKING, ev.BotSettled(filler=False, played=True, last=True), ["+silence"]),
        (SPEAKING, ev.BotSettled(filler=False, played=True, last=False), []),
        (SPEAKING, ev.BotSettled(filler=True, played=True, last=True), ["+silence"]),
        (SPEAKING, ev.BotSettled(filler=False, played=False, last=True), ["say apology", "+think"]),
        (Floor(bot=Bot.SPEAKING, prompting=True), ev.BotSettled(filler=False, played=False, last=True), ["+silence"]),
        (Floor(bot=Bot.SPEAKING, closing=True), ev.BotSettled(filler=False, played=True, last=True), ["EndCall"]),
        (SPEAKING, ev.StopPressed(), ["Cut", "+silence"]),
        (Floor(Caller.SUSPECTED, Bot.SPEAKING, Grip.DUCKED), ev.StopPressed(), ["Cut", "+silence"]),
        (PROTECTED, ev.StopPressed(), []),
        (Floor(), ev.StopPressed(), []),
        (Floor(Caller.SPEAKING, turn=1), SpeechPaused(9.9, 800.0), ["PauseTurn", "+endpoint"]),
        (PAUSED, words(Completeness.COMPLETE), ["+endpoint"]),
        (PAUSED, SpeechResumed(NOW_S), ["ResumeTurn"]),
        (PAUSED, ev.TimerFired("endpoint"), ["EndTurn", "+filler", "+final", "+think"]),
        (PAUSED, ev.TimerFired("turn_limit"), ["EndTurn", "+filler", "+final", "+think"]),
        (AWAITED, ev.FinalHeard(1, words=True), ["Think"]),
        (AWAITED, ev.FinalHeard(0, words=True), []),
        (AWAITED, ev.FinalHeard(1, words=False, failed=True), ["Think"]),
        (AWAITED, ev.FinalHeard(1, words=False), ["Think"]),
        (
            Floor(Caller.FINISHED, Bot.THINKING, turn=1, spoken_ms=200),
            ev.FinalHeard(1, words=False),
            ["AbandonTurn", "+silence"],
        ),
        (AWAITED, ev.TimerFired("final"), ["Think"]),
        (AWAITED, ev.TimerFired("filler"), ["SayFiller"]),
        (AWAITED, ev.TimerFired("think"), ["CancelThinking", "say apology", "+think"]),
        (AWAITED, ev.BotSettled(filler=True, played=True, last=True), ["+filler"]),
        (AWAITED, ev.BotSettled(filler=True, played=False, last=True), []),
        (Floor(bot=Bot.THINKING, prompting=True), ev.TimerFired("think"), ["CancelThinking", "+silence"]),
        (Floor(bot=Bot.THINKING, prompting=True, closing=True), ev.TimerFired("think"), ["CancelThinking", "EndCall"]),
        (Floor(), ev.TimerFired("silence"), ["say still_there", "+think"]),
        (Floor(ladder=1), ev.TimerFired("silence"), ["say silence_goodbye!", "+think"]),
        (Floor(Caller.SUSPECTED), ev.TimerFired("silence"), ["+silence"]),
        (PROTECTED, ev.KeysPressed(), []),
        (SPEAKING, ev.KeysPressed(), ["CancelThinking", "Cut", "AbandonTurn", "+final", "+think"]),
        (Floor(), ev.KeysPressed(), ["AbandonTurn", "+final", "+think"]),
        (AWAITED, ev.KeysPressed(first=False), ["+final", "+think"]),
        (Floor(), ev.KeysPressed(first=False), []),
        (
            PROTECTED,
            ev.TimerFired("call_limit"),
            ["CancelThinking", "Cut", "AbandonTurn", "say max_length!", "+think", "+call_limit"],
        ),
        (Floor(bot=Bot.SPEAKING, closing=True), ev.TimerFired("call_limit"), ["+call_limit"]),
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


def test_a_suspicion_leaves_an_awaited_transcript_awaited() -> None:
    suspected, _ = after(AWAITED, SpeechSuspected(9.9))
    dropped, _ = after(suspected, SuspicionDropped())
    assert after(dropped, ev.FinalHeard(1, words=True))[1] == ["Think"]


def test_speech_with_a_pause_is_taken_for_speech_when_it_is_long_enough() -> None:
    long_enough = Floor(Caller.PAUSED, Bot.SPEAKING, Grip.HELD, contested=True, turn=1, ended_s=9.9, spoken_ms=500)
    assert after(long_enough, ev.TimerFired("decide"))[1] == ["Cut", "yielded", "+endpoint"]


def test_keys_never_share_a_turn_with_words_that_may_still_come() -> None:
    typed, _ = after(AWAITED, ev.KeysPressed())
    assert typed.turn == AWAITED.turn + 1
    assert after(typed, ev.FinalHeard(1, words=True))[1] == []


def test_answering_resets_the_silence_ladder() -> None:
    thinking, _ = after(Floor(Caller.FINISHED, Bot.THINKING, turn=1, ladder=1), ev.FinalHeard(1, words=True))
    assert thinking.ladder == 0


def test_a_closing_line_is_never_interruptible() -> None:
    closing, _ = after(Floor(bot=Bot.THINKING), ev.ReplyReady(interruptible=True, closing=True))
    assert (closing.bot, closing.interruptible, closing.closing) == (Bot.SPEAKING, False, True)


def test_a_reply_that_comes_after_the_caller_took_the_floor_is_ignored() -> None:
    listening = Floor(Caller.SPEAKING, turn=2)
    assert step(listening, ev.ReplyReady(interruptible=True, closing=True), NOW_S, RULES) == (listening, ())
