"""The bot's side: answers that start, end and fail, the silence ladder, and what ends a call. Pure."""

from __future__ import annotations

from kamerton.orchestrator import turn_events as ev
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
    listen,
    say_prompt,
    silence_timer,
)
from kamerton.orchestrator.turn_events import Ending

_LATER_S = 0.5
"""Longer than any suspicion lasts: when what is due now is looked at again."""


def step(
    floor: Floor,
    event: ev.ReplyReady | ev.ReplyFailed | ev.FillerStarted | ev.BotSettled | ev.StopPressed,
    now_s: float,
    rules: Rules,
) -> Step:
    """Take into account what became of what the bot says."""
    match event:
        case ev.ReplyReady():
            return _reply_ready(floor, event, now_s)
        case ev.ReplyFailed(turn):
            return _no_answer(floor, now_s, rules) if turn == floor.answering else (floor, ())
        case ev.FillerStarted():
            return floor._replace(filling=floor.bot is Bot.THINKING), ()
        case ev.BotSettled():
            return _settled(floor, event, now_s, rules)
        case ev.StopPressed():
            return _stop_pressed(floor, now_s, rules)


def timer(floor: Floor, name: str, now_s: float, rules: Rules) -> Step:
    """A timer of the bot's side is due."""
    match name:
        case "filler":
            return _filler_due(floor, now_s)
        case "think":
            return _no_answer(floor, now_s, rules)
        case "silence":
            return _silence_due(floor, now_s, rules)
        case "unheard":
            return _unheard_due(floor, now_s, rules)
        case "call_limit":
            return _limit_due(floor, now_s, rules)
        case "leave":
            return _leave_now(floor, now_s, rules)
    return floor, ()


def _reply_ready(floor: Floor, event: ev.ReplyReady, now_s: float) -> Step:
    """The answer starts, unless the caller took the floor meanwhile."""
    if floor.bot is not Bot.THINKING or event.turn != floor.answering:
        return floor, ()
    interruptible = event.interruptible and event.ending is not Ending.HANG_UP
    speaking = floor._replace(
        bot=Bot.SPEAKING,
        filling=False,
        awaited=False,
        interruptible=interruptible,
        ending=event.ending,
        sounds_s=now_s,
    )
    disarmed = disarm(*WAIT_TIMERS, "silence", "unheard")
    if speaking.protected and floor.grip is not Grip.NONE:
        # Whoever speaks meanwhile neither softens nor holds back what may not be interrupted.
        return speaking._replace(grip=Grip.NONE), (*disarmed, ev.Resume())
    return speaking, disarmed


def _settled(floor: Floor, event: ev.BotSettled, now_s: float, rules: Rules) -> Step:
    """Something that the bot said has come to its end, or failed."""
    if event.filler and floor.bot is Bot.THINKING:
        over = floor._replace(filling=False)
        return over, (ev.Arm("filler", now_s + rules.call.patience.filler_gap_ms / 1000),) if event.played else ()
    # An answer that fails behind a filler that plays out is not the last thing to settle, but nothing follows it.
    failed = not event.played and not event.filler
    if not (event.last or failed) or floor.bot is not Bot.SPEAKING:
        return floor, ()
    if floor.ending.closes:
        return floor, (_end(floor),)
    if failed and not floor.prompting:
        return say_prompt(floor, "apology", now_s, rules)
    if floor.ending is Ending.TRANSFER:
        # No transport here can transfer a call yet, and the caller must not be left waiting for a person.
        return say_prompt(floor, "operator_unavailable", now_s, rules)
    return listen(floor if floor.protected else floor._replace(drowned=0), now_s, rules)


def _no_answer(floor: Floor, now_s: float, rules: Rules) -> Step:
    """What was to be said did not come in time, or not at all."""
    if floor.bot is not Bot.THINKING:
        return floor, ()
    dropped = (ev.Cut(), *disarm(*WAIT_TIMERS))
    answered = floor.ending is Ending.HANG_UP_UNLESS_ANSWERED and floor.turn_open
    if floor.ending.closes and not answered:
        return floor, (*dropped, _end(floor))
    if floor.prompting:
        heard, armed = listen(floor, now_s, rules)
        return heard, (*dropped, *armed)
    asked, effects = say_prompt(floor._replace(filling=False), "apology", now_s, rules)
    return asked, (*dropped, *effects)


def _filler_due(floor: Floor, now_s: float) -> Step:
    """The wait is to be covered; not while somebody speaks."""
    if floor.bot is not Bot.THINKING:
        return floor, ()
    if floor.caller is not Caller.QUIET:
        return floor, (ev.Arm("filler", now_s + _LATER_S),)
    return floor._replace(fillers=floor.fillers + 1), (ev.SayFiller(floor.answering, first=floor.fillers == 0),)


def _silence_due(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The silence ladder takes its next step."""
    if floor.bot is not Bot.QUIET or floor.typing is not None or floor.held:
        return floor, ()
    if floor.caller is Caller.SUSPECTED:
        # Whether this is speech is known in a moment; until then the silence is neither over nor forgotten.
        return floor, (ev.Arm("silence", now_s + _LATER_S),)
    if floor.caller is not Caller.QUIET:
        return floor, ()
    last = floor.ladder > 0
    climbed = floor._replace(ladder=floor.ladder + 1)
    key, ending = ("silence_goodbye", Ending.HANG_UP_UNLESS_ANSWERED) if last else ("still_there", Ending.GO_ON)
    return say_prompt(climbed, key, now_s, rules, ending)


def _unheard_due(floor: Floor, now_s: float, rules: Rules) -> Step:
    """A short sound was not understood, and nothing followed it: ask for it again."""
    if floor.bot is not Bot.QUIET or floor.caller is not Caller.QUIET or floor.typing is not None:
        return floor, ()
    return say_prompt(floor, "not_heard", now_s, rules)


def _limit_due(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The call has lasted long enough: a good-bye, and if that does not come to its end either, just the end."""
    if floor.limit_passed:
        return floor, (ev.EndCall("max_length"),)
    again = ev.Arm("call_limit", now_s + rules.call.patience.goodbye_s)
    passed = floor._replace(limit_passed=True)
    if floor.ending is Ending.HANG_UP:
        return passed, (again,)
    stopped, effects = _silenced(passed)
    asked, said = say_prompt(stopped, "max_length", now_s, rules, Ending.HANG_UP)
    return asked, (*effects, *said, again)


def _stop_pressed(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The bot is to be silent, whether it speaks, fills a wait or thinks."""
    if floor.bot is Bot.QUIET or (floor.bot is Bot.SPEAKING and not floor.interruptible):
        return floor, ()
    heard, armed = listen(floor._replace(unbroken=False), now_s, rules)
    return heard, (ev.Cut(), *disarm(*INTRUSION_TIMERS, *WAIT_TIMERS), *armed)


def hold_changed(floor: Floor, held: bool, now_s: float, rules: Rules) -> Step:
    """Nobody who is on hold is asked whether they are there."""
    changed = floor._replace(held=held)
    if held or floor.bot is not Bot.QUIET or floor.turn_open:
        return changed, ()
    return changed, (silence_timer(changed, now_s, rules),)


def service_stopping(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The sentence that is being said is finished; a caller who speaks is let finish, for a moment; then good-bye."""
    leaving = floor._replace(leaving=True)
    if floor.ending.closes:
        return leaving, ()
    if floor.bot is Bot.SPEAKING:
        return leaving, (ev.FinishSentence(),)
    if floor.bot is Bot.QUIET and floor.turn_open:
        return leaving, (ev.Arm("leave", now_s + rules.call.patience.leave_s),)
    return _leave_now(leaving, now_s, rules)


def _leave_now(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The service stops: the good-bye is said without waiting for anybody."""
    if floor.ending.closes:
        return floor, ()
    stopped, effects = _silenced(floor)
    asked, said = say_prompt(stopped, "service_goodbye", now_s, rules, Ending.HANG_UP)
    return asked, (*effects, *said)


def _end(floor: Floor) -> ev.EndCall:
    return ev.EndCall("recogniser_lost", failed=True) if floor.deaf else ev.EndCall("completed")


def _silenced(floor: Floor) -> Step:
    """Nothing of what was being said, heard or typed goes on."""
    still = floor._replace(caller=Caller.QUIET, grip=Grip.NONE, contested=False, filling=False, typing=None)
    timers = (*INTRUSION_TIMERS, *WAIT_TIMERS, "endpoint", "turn_limit", "silence", "keys", "unheard", "leave")
    return still, (ev.Cut(), ev.AbandonTurn(), ev.DropKeys(), *disarm(*timers))
