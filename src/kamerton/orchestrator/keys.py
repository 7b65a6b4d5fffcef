"""Numbers typed on the phone's keys: a turn of its own, which no noise breaks and no phrase swallows. Pure."""

from __future__ import annotations

from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.caller_turn import deadlines
from kamerton.orchestrator.floor import (
    INTRUSION_TIMERS,
    WAIT_TIMERS,
    Bot,
    Caller,
    Floor,
    Grip,
    Rules,
    Step,
    disarm,
)
from kamerton.orchestrator.turn_events import Effect, Ending

_SPEECH_S = 0.5
"""While somebody speaks into the typing, its end is looked at again after this."""


def pressed(floor: Floor, event: ev.KeysPressed, now_s: float, rules: Rules) -> Step:
    """A key: it takes the floor as speech would, or waits for the end of a phrase that may not be interrupted."""
    gap_s = 0.0 if event.finished else rules.call.patience.dtmf_gap_s
    if floor.typing is not None:
        return _more(floor, now_s, gap_s)
    number = floor.last + 1
    begun = floor._replace(last=number, typing=number)
    if floor.bot is Bot.SPEAKING and not floor.interruptible:
        return begun, (ev.OpenKeys(number),)
    typed = begun._replace(
        caller=Caller.QUIET,
        bot=Bot.QUIET,
        grip=Grip.NONE,
        contested=False,
        filling=False,
        awaited=False,
        prompting=False,
        unbroken=False,
        ending=Ending.GO_ON,
        ladder=0,
    )
    stopped = disarm(*INTRUSION_TIMERS, *WAIT_TIMERS, "silence", "endpoint", "turn_limit", "unheard")
    return typed, (*stopped, ev.Cut(), ev.AbandonTurn(), ev.OpenKeys(number), ev.Arm("keys", now_s + gap_s))


def _more(floor: Floor, now_s: float, gap_s: float) -> Step:
    """Typing goes on; whatever was heard into it meant nothing."""
    waits = floor.bot is Bot.SPEAKING
    armed: tuple[Effect, ...] = () if waits else (ev.Arm("keys", now_s + gap_s),)
    if waits or not floor.turn_open:
        return floor, armed
    ignored = floor._replace(caller=Caller.QUIET, contested=False, grip=Grip.NONE)
    return ignored, (*disarm(*INTRUSION_TIMERS, "turn_limit"), ev.AbandonTurn(), ev.Resume(), *armed)


def gap_passed(floor: Floor, now_s: float, rules: Rules) -> Step:
    """No further key came: the number is complete, unless somebody speaks into it just now."""
    if floor.typing is None or floor.bot is Bot.SPEAKING:
        return floor, ()
    if floor.caller is Caller.SPEAKING and not floor.protected:
        return floor, (ev.Arm("keys", now_s + _SPEECH_S),)
    ended = floor._replace(
        caller=Caller.QUIET,
        bot=Bot.THINKING,
        grip=Grip.NONE,
        contested=False,
        answering=floor.typing,
        typing=None,
        awaited=False,
        prompting=False,
        interruptible=True,
        failures=0,
        fillers=0,
    )
    effects: list[Effect] = [*disarm(*INTRUSION_TIMERS, "turn_limit")]
    if floor.turn_open:
        effects += [ev.AbandonTurn(), ev.Resume()]
    filler = ev.Arm("filler", now_s + rules.call.patience.filler_after_ms / 1000)
    effects += [ev.EndKeys(floor.typing), ev.Think(floor.typing), filler, *deadlines(now_s, rules)]
    return ended, (*effects, ev.Disarm("final"))
