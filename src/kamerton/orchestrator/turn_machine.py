"""The turn machine: who has the floor. Pure: `step(state, event, now_s)` gives a new state and effects.

The caller's side and the bot's side are two small machines. While the bot can be heard, the caller's speech is an
*intrusion*: it ducks the bot at once, silences it when it lasts, and takes the floor when it proves to be speech
(`intrusion.py`). While the bot is quiet, speech is simply a turn, ended by graded endpointing.
"""

from __future__ import annotations

from dataclasses import replace

from kamerton.domain.dialogue import Completeness
from kamerton.listening.endpointing import endpoint
from kamerton.listening.segmenter import (
    SegmentEvent,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSuspected,
    SuspicionDropped,
)
from kamerton.orchestrator import intrusion
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.floor import (
    Bot,
    Caller,
    Floor,
    Grip,
    Rules,
    Step,
    begin_pause,
    say_prompt,
    silence_timer,
)
from kamerton.orchestrator.intrusion import TIMERS as INTRUSION_TIMERS
from kamerton.orchestrator.turn_events import Effect, MachineEvent

_SUSPICION_S = 0.5
"""Longer than any suspicion lasts."""


def step(floor: Floor, event: MachineEvent, now_s: float, rules: Rules) -> Step:
    """Take one event into account."""
    if _is_stale(floor, event):
        return floor, ()
    speaks_in = floor.bot is Bot.SPEAKING and isinstance(event, SpeechSuspected | SpeechStarted)
    if floor.contested or floor.grip is not Grip.NONE or speaks_in:
        taken = intrusion.step(floor, event, now_s, rules)
        if taken is not None:
            return taken
    if isinstance(event, SegmentEvent | ev.WordsHeard | ev.FinalHeard | ev.KeysPressed):
        return _caller_step(floor, event, now_s, rules)
    match event:
        case ev.TimerFired(name):
            return _timer(floor, name, now_s, rules)
        case ev.ReplyReady(interruptible, closing):
            return _reply_ready(floor, interruptible, closing)
        case ev.BotSettled():
            return _settled(floor, event, now_s, rules)
        case ev.StopPressed():
            return _stop_pressed(floor, now_s, rules)


def _is_stale(floor: Floor, event: MachineEvent) -> bool:
    """True for what the ears reported before the machine ended or dropped the turn that it belongs to."""
    open_turn = floor.caller in (Caller.SPEAKING, Caller.PAUSED)
    match event:
        case SpeechSuspected() | SpeechStarted():
            return open_turn
        case SuspicionDropped():
            return floor.caller is not Caller.SUSPECTED
        case SpeechPaused():
            return floor.caller is not Caller.SPEAKING
        case SpeechResumed():
            return floor.caller is not Caller.PAUSED
    return False


def _caller_step(
    floor: Floor,
    event: SegmentEvent | ev.WordsHeard | ev.FinalHeard | ev.KeysPressed,
    now_s: float,
    rules: Rules,
) -> Step:
    """What the caller does while the bot cannot be heard."""
    match event:
        case SpeechSuspected(onset_s):
            # A click while the transcript is awaited must not lose the turn.
            awaited = floor.caller is Caller.FINISHED
            return replace(floor, caller=Caller.FINISHED if awaited else Caller.SUSPECTED, onset_s=onset_s), ()
        case SuspicionDropped():
            return replace(floor, caller=Caller.QUIET), ()
        case SpeechStarted(onset_s):
            return _open_turn(floor, onset_s, rules)
        case SpeechPaused(ended_s, spoken_ms):
            return _paused(floor, ended_s, spoken_ms, now_s, rules)
        case SpeechResumed():
            return replace(floor, caller=Caller.SPEAKING), (ev.ResumeTurn(), ev.Disarm("endpoint"))
        case ev.WordsHeard():
            return _words(floor, event, now_s, rules)
        case ev.FinalHeard():
            return _final(floor, event, now_s, rules)
        case ev.KeysPressed(first):
            return _keys(floor, now_s, rules) if first else _more_keys(floor, now_s, rules)


def _open_turn(floor: Floor, onset_s: float, rules: Rules) -> Step:
    """Speech while the bot is quiet or thinks; in the latter case it continues the turn before."""
    continues = floor.bot is Bot.THINKING or floor.caller is Caller.FINISHED
    opened = replace(
        floor,
        caller=Caller.SPEAKING,
        bot=Bot.QUIET,
        closing=False,
        prompting=False,
        turn=floor.turn + 1,
        onset_s=onset_s,
        completeness=Completeness.UNKNOWN,
        words=False,
    )
    effects: list[Effect] = [ev.Disarm(name) for name in ("silence", "filler", "think", "final", "dtmf")]
    if continues:
        effects += [ev.CancelThinking(), ev.Cut()]
    effects += [
        ev.OpenTurn(opened.turn, onset_s, continues),
        ev.Arm("turn_limit", onset_s + rules.endpointing.turn_limit_s),
    ]
    return opened, tuple(effects)


def _paused(floor: Floor, ended_s: float, spoken_ms: float, now_s: float, rules: Rules) -> Step:
    paused, armed = begin_pause(replace(floor, spoken_ms=spoken_ms), ended_s, now_s, rules)
    return paused, (ev.PauseTurn(), *armed)


def _words(floor: Floor, event: ev.WordsHeard, now_s: float, rules: Rules) -> Step:
    if event.turn != floor.turn or floor.caller not in (Caller.SPEAKING, Caller.PAUSED):
        return floor, ()
    known = replace(floor, completeness=event.completeness, words=True)
    if floor.caller is Caller.SPEAKING:
        return known, ()
    return begin_pause(known, floor.ended_s, now_s, rules)


def _end_turn(floor: Floor, because: str, ended_s: float, now_s: float, rules: Rules) -> Step:
    patience = rules.call.patience
    ended = replace(floor, caller=Caller.FINISHED, bot=Bot.THINKING, ended_s=ended_s, fillers=0)
    return ended, (
        ev.Disarm("turn_limit"),
        ev.Disarm("endpoint"),
        ev.EndTurn(because, ended_s),
        ev.Arm("filler", now_s + patience.filler_after_ms / 1000),
        *_deadlines(now_s, rules),
    )


def _final(floor: Floor, event: ev.FinalHeard, now_s: float, rules: Rules) -> Step:
    if event.turn != floor.turn or floor.caller is not Caller.FINISHED:
        return floor, ()
    heard = replace(floor, caller=Caller.QUIET)
    noise = not event.words and not event.failed and floor.spoken_ms < rules.call.patience.noise_ms
    if noise:
        quiet = replace(heard, bot=Bot.QUIET)
        disarmed = (ev.Disarm("filler"), ev.Disarm("think"), ev.Disarm("final"))
        return quiet, (*disarmed, ev.AbandonTurn(), silence_timer(quiet, now_s, rules))
    return replace(heard, ladder=0), (ev.Disarm("final"), ev.Think(event.failed))


def _timer(floor: Floor, name: str, now_s: float, rules: Rules) -> Step:
    match name:
        case "endpoint" if floor.caller is Caller.PAUSED:
            because = endpoint(floor.ended_s, floor.completeness, rules.endpointing).because
            return _end_turn(floor, because, floor.ended_s, now_s, rules)
        case "turn_limit" if floor.caller in (Caller.SPEAKING, Caller.PAUSED):
            return _end_turn(floor, "ceiling", now_s, now_s, rules)
        case "final" if floor.caller is Caller.FINISHED:
            return replace(floor, caller=Caller.QUIET), (ev.Think(failed=True),)
        case "filler" if floor.bot is Bot.THINKING:
            return replace(floor, fillers=floor.fillers + 1), (ev.SayFiller(first=floor.fillers == 0),)
        case "think" if floor.bot is Bot.THINKING:
            return _no_answer(floor, now_s, rules)
        case "silence" if floor.bot is Bot.QUIET:
            return _silence(floor, now_s, rules)
        case "call_limit":
            return _call_limit(floor, now_s, rules)
    return floor, ()


def _no_answer(floor: Floor, now_s: float, rules: Rules) -> Step:
    """What was to be said did not come in time, or not at all."""
    dropped = (ev.CancelThinking(), ev.Disarm("think"), ev.Disarm("filler"), ev.Disarm("final"))
    if floor.closing:
        return floor, (*dropped, ev.EndCall("completed"))
    caller = Caller.QUIET if floor.caller is Caller.FINISHED else floor.caller
    if floor.prompting:
        quiet = replace(floor, caller=caller, bot=Bot.QUIET, prompting=False)
        return quiet, (*dropped, silence_timer(quiet, now_s, rules))
    asked, effects = say_prompt(replace(floor, caller=caller), "apology", now_s, rules)
    return asked, (*dropped, *effects)


def _silence(floor: Floor, now_s: float, rules: Rules) -> Step:
    if floor.caller is Caller.SUSPECTED:
        # Whether this is speech is known in a moment; until then the silence is neither over nor forgotten.
        return floor, (ev.Arm("silence", now_s + _SUSPICION_S),)
    if floor.caller is not Caller.QUIET:
        return floor, ()
    last = floor.ladder > 0
    climbed = replace(floor, ladder=floor.ladder + 1)
    return say_prompt(climbed, "silence_goodbye" if last else "still_there", now_s, rules, closing=last)


def _call_limit(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The call has lasted long enough; asked again for as long as the caller talks the good-bye away."""
    again = ev.Arm("call_limit", now_s + rules.call.patience.prompt_deadline_s)
    if floor.closing:
        return floor, (again,)
    disarmed = tuple(ev.Disarm(name) for name in (*INTRUSION_TIMERS, "endpoint", "turn_limit", "final", "silence"))
    stopped = replace(floor, caller=Caller.QUIET, grip=Grip.NONE, contested=False)
    asked, effects = say_prompt(stopped, "max_length", now_s, rules, closing=True)
    return asked, (ev.CancelThinking(), ev.Cut(), ev.AbandonTurn(), *disarmed, *effects, again)


def _reply_ready(floor: Floor, interruptible: bool, closing: bool) -> Step:
    if floor.bot is not Bot.THINKING:
        # The caller took the floor meanwhile; the reply was cancelled and must not start.
        return floor, ()
    speaking = replace(floor, bot=Bot.SPEAKING, interruptible=interruptible and not closing, closing=closing)
    return speaking, tuple(ev.Disarm(name) for name in ("filler", "think", "silence"))


def _settled(floor: Floor, event: ev.BotSettled, now_s: float, rules: Rules) -> Step:
    if event.filler and floor.bot is Bot.THINKING:
        if not event.played:
            return floor, ()
        return floor, (ev.Arm("filler", now_s + rules.call.patience.filler_gap_ms / 1000),)
    # An answer that fails behind a filler that plays out is not the last thing to settle, but nothing follows it.
    failed = not event.played and not event.filler
    if not (event.last or failed) or floor.bot is not Bot.SPEAKING:
        return floor, ()
    if floor.closing:
        return floor, (ev.EndCall("completed"),)
    if failed and not floor.prompting:
        return say_prompt(floor, "apology", now_s, rules)
    quiet = replace(floor, bot=Bot.QUIET, grip=Grip.NONE, prompting=False)
    if floor.caller in (Caller.QUIET, Caller.SUSPECTED):
        return quiet, (silence_timer(quiet, now_s, rules),)
    return quiet, ()


def _stop_pressed(floor: Floor, now_s: float, rules: Rules) -> Step:
    if floor.bot is not Bot.SPEAKING or not floor.interruptible:
        return floor, ()
    quiet = replace(floor, bot=Bot.QUIET, grip=Grip.NONE, contested=False, prompting=False)
    stopped: tuple[Effect, ...] = (ev.Cut(), *(ev.Disarm(name) for name in INTRUSION_TIMERS))
    if floor.caller is Caller.PAUSED:
        paused, armed = begin_pause(quiet, floor.ended_s, now_s, rules)
        return paused, (*stopped, *armed)
    if floor.caller is Caller.SPEAKING:
        return quiet, stopped
    return quiet, (*stopped, silence_timer(quiet, now_s, rules))


def _keys(floor: Floor, now_s: float, rules: Rules) -> Step:
    """Typed keys take the floor at once, as speech would."""
    if not floor.interruptible and floor.bot is Bot.SPEAKING:
        return floor, ()
    cut = (ev.CancelThinking(), ev.Cut(), ev.AbandonTurn()) if floor.bot is not Bot.QUIET else (ev.AbandonTurn(),)
    disarmed = tuple(ev.Disarm(name) for name in (*INTRUSION_TIMERS, "silence", "filler", "endpoint", "turn_limit"))
    typed = replace(
        floor,
        caller=Caller.FINISHED,
        bot=Bot.THINKING,
        grip=Grip.NONE,
        contested=False,
        closing=False,
        prompting=False,
        turn=floor.turn + 1,
        spoken_ms=rules.call.patience.noise_ms,
        fillers=0,
    )
    return typed, (*cut, *disarmed, *_deadlines(now_s, rules))


def _more_keys(floor: Floor, now_s: float, rules: Rules) -> Step:
    """Typing goes on: a long number takes longer than a transcript may."""
    return floor, _deadlines(now_s, rules) if floor.caller is Caller.FINISHED else ()


def _deadlines(now_s: float, rules: Rules) -> tuple[Effect, ...]:
    """The latest instants at which a finished turn must be known, and answered."""
    patience = rules.call.patience
    return (
        ev.Arm("final", now_s + patience.final_deadline_s),
        ev.Arm("think", now_s + patience.think_deadline_s),
    )
