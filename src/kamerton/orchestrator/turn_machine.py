"""The turn machine: who has the floor. Pure: `step(state, event, now_s)` gives a new state and effects.

While the bot answers (thinks, fills a wait or speaks), or keys are typed, the caller's speech is an *intrusion*
(`intrusion.py`). While the bot listens, speech is simply a turn (`caller_turn.py`). What the bot says, and what ends a
call, is in `bot_turn.py`, typed numbers are in `keys.py`.
"""

from __future__ import annotations

from kamerton.listening.segmenter import (
    SegmentEvent,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSuspected,
    SuspicionDropped,
)
from kamerton.orchestrator import bot_turn, caller_turn, intrusion, keys
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.floor import Bot, Caller, Floor, Rules, Step
from kamerton.orchestrator.turn_events import MachineEvent


def step(floor: Floor, event: MachineEvent, now_s: float, rules: Rules) -> Step:
    """Take one event into account."""
    if _is_stale(floor, event):
        return floor, ()
    if floor.bot is not Bot.QUIET or floor.typing is not None or floor.contested:
        taken = intrusion.step(floor, event, now_s, rules)
        if taken is not None:
            return taken
    if isinstance(event, SegmentEvent | ev.WordsHeard | ev.EngineEndedUtterance):
        return caller_turn.step(floor, event, now_s, rules)
    if isinstance(event, ev.TimerFired):
        return _timer(floor, event.name, now_s, rules)
    return _other(floor, event, now_s, rules)


def _is_stale(floor: Floor, event: MachineEvent) -> bool:
    """True for what the ears reported before the machine ended or dropped the turn that it belongs to."""
    match event:
        case SpeechSuspected() | SpeechStarted():
            return floor.turn_open
        case SuspicionDropped():
            return floor.caller is not Caller.SUSPECTED
        case SpeechPaused():
            return floor.caller is not Caller.SPEAKING
        case SpeechResumed():
            return floor.caller is not Caller.PAUSED
        case ev.WordsHeard(turn) | ev.EngineEndedUtterance(turn):
            return turn != floor.turn or not floor.turn_open
    return False


def _other(
    floor: Floor,
    event: ev.FinalHeard
    | ev.RecogniserGone
    | ev.ReplyReady
    | ev.ReplyFailed
    | ev.FillerStarted
    | ev.BotSettled
    | ev.StopPressed
    | ev.KeysPressed
    | ev.HoldChanged
    | ev.ServiceStopping,
    now_s: float,
    rules: Rules,
) -> Step:
    """What neither the ears nor a timer told."""
    match event:
        case ev.FinalHeard():
            return caller_turn.final(floor, event, now_s, rules)
        case ev.RecogniserGone():
            return caller_turn.recogniser_lost(floor, now_s, rules)
        case ev.KeysPressed():
            return keys.pressed(floor, event, now_s, rules)
        case ev.ServiceStopping():
            return bot_turn.service_stopping(floor, now_s, rules)
        case ev.HoldChanged(held):
            return bot_turn.hold_changed(floor, held, now_s, rules)
        case _:
            return bot_turn.step(floor, event, now_s, rules)


def _timer(floor: Floor, name: str, now_s: float, rules: Rules) -> Step:
    match name:
        case "endpoint" if floor.caller is Caller.PAUSED:
            return caller_turn.endpoint_reached(floor, now_s, rules)
        case "turn_limit" if floor.turn_open:
            return caller_turn.limit_reached(floor, now_s, rules)
        case "final" if floor.awaited:
            return caller_turn.final(floor, ev.FinalHeard(floor.answering, words=False, failed=True), now_s, rules)
        case "keys":
            return keys.gap_passed(floor, now_s, rules)
    return bot_turn.timer(floor, name, now_s, rules)
