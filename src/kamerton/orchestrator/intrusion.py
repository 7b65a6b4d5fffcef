"""Speech while the bot answers, or while keys are typed: duck, decide, resume or yield (DESIGN section 6.4). Pure.

Evidence in order of strength: known words that are no backchannel, length of speech, mere suspicion. Suspicion ducks,
length silences and then takes the floor, words decide at once. A backchannel («угу») or a sound without words gives
the floor back, be it said into speech, into a filler or into the silence of thinking. What may not be interrupted goes
on; the caller's turn is heard meanwhile.
"""

from __future__ import annotations

from kamerton.listening.segmenter import (
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSuspected,
    SuspicionDropped,
)
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.floor import (
    INTRUSION_TIMERS,
    Bot,
    Caller,
    Floor,
    Grip,
    Rules,
    Step,
    begin_pause,
    disarm,
    listen,
    opened,
    paused,
    resumed,
    say_prompt,
    turn_limit,
)
from kamerton.orchestrator.turn_events import Effect, Ending, MachineEvent

_MANY_RUNS = 3
"""From the third stretch of speech on it is no «угу-угу» and no second cough."""
_RUNS_YIELD_S = 0.15
_HEARD_S = 2.0
"""Whoever lets the bot speak for so long before they interrupt it listens to it."""
_TALKER_PAUSE_S = 0.5
"""Whoever talked on and on has stopped when they are silent for so long."""


def step(floor: Floor, event: MachineEvent, now_s: float, rules: Rules) -> Step | None:
    """Take one event into account while the bot answers or keys are typed; None when it is no business of this part."""
    match event:
        case SpeechSuspected(onset_s):
            return _suspected(floor, onset_s)
        case SuspicionDropped():
            return _suspicion_dropped(floor)
        case SpeechStarted(onset_s):
            return _started(floor, onset_s, now_s, rules)
    return _contested(floor, event, now_s, rules) if floor.contested else None


def _contested(floor: Floor, event: MachineEvent, now_s: float, rules: Rules) -> Step | None:
    """A turn is open that has not got the floor."""
    match event:
        case SpeechPaused(ended_s, spoken_ms):
            return _paused(floor, ended_s, spoken_ms, now_s, rules)
        case SpeechResumed(at_s):
            return _resumed(floor, at_s, now_s, rules)
        case ev.WordsHeard():
            return _words(floor, event, now_s, rules)
        case ev.EngineEndedUtterance():
            return floor, ()
        case ev.TimerFired(name):
            return _timer(floor, name, now_s, rules)
        case ev.BotSettled(last=True) if floor.bot is Bot.SPEAKING and floor.ending is not Ending.HANG_UP:
            return _bot_finished(floor, now_s, rules)
    return None


def _suspected(floor: Floor, onset_s: float) -> Step:
    suspected = floor._replace(caller=Caller.SUSPECTED, onset_s=onset_s)
    if floor.protected or not floor.audible:
        return suspected, ()
    return suspected._replace(grip=Grip.DUCKED), (ev.Duck(),)


def _suspicion_dropped(floor: Floor) -> Step:
    dropped = floor._replace(caller=Caller.QUIET, grip=Grip.NONE)
    if floor.grip is Grip.NONE:
        return dropped, ()
    return dropped, (ev.Unduck(), ev.Verdict("ignored", floor.onset_s))


def _started(floor: Floor, onset_s: float, now_s: float, rules: Rules) -> Step:
    begun = opened(floor, onset_s)._replace(contested=True)
    effects: list[Effect] = [ev.OpenTurn(begun.turn, onset_s), turn_limit(begun, now_s, rules)]
    if not floor.protected:
        barge_in = rules.call.barge_in
        effects.append(ev.Arm("hold", max(now_s, onset_s + barge_in.hold_ms / 1000)))
        effects.append(ev.Arm("yield", max(now_s, onset_s + barge_in.yield_ms / 1000)))
    return begun, tuple(effects)


def _paused(floor: Floor, ended_s: float, spoken_ms: float, now_s: float, rules: Rules) -> Step:
    silent = paused(floor, ended_s, spoken_ms)
    effects: list[Effect] = [ev.PauseTurn(), *disarm("hold", "yield")]
    if floor.unbroken:
        effects.append(ev.Arm("decide", now_s + _TALKER_PAUSE_S))
    elif not floor.protected:
        effects.append(ev.Arm("decide", now_s + rules.call.barge_in.decide_ms / 1000))
        if floor.grip is Grip.HELD and not floor.audible:
            # Nothing was silenced: an answer that becomes ready need not wait for the verdict on a short sound.
            silent = silent._replace(grip=Grip.NONE)
            effects.append(ev.Resume())
    return silent, tuple(effects)


def _resumed(floor: Floor, at_s: float, now_s: float, rules: Rules) -> Step:
    speaking = resumed(floor, at_s)
    if floor.protected:
        return speaking, (ev.ResumeTurn(), ev.Disarm("decide"))
    many = speaking.runs >= _MANY_RUNS
    wait_s = _RUNS_YIELD_S if many else rules.call.barge_in.yield_ms / 1000
    return speaking, (ev.ResumeTurn(), ev.Disarm("decide"), ev.Arm("hold", now_s), ev.Arm("yield", now_s + wait_s))


def _words(floor: Floor, event: ev.WordsHeard, now_s: float, rules: Rules) -> Step:
    known = floor._replace(
        completeness=event.completeness,
        words=not event.backchannel,
        covers_s=max(floor.covers_s, event.covers_s),
    )
    if event.backchannel:
        return _give_back(known) if floor.caller is Caller.PAUSED else (known, ())
    return (known, ()) if floor.protected else _yield_floor(known, now_s, rules)


def _timer(floor: Floor, name: str, now_s: float, rules: Rules) -> Step | None:
    if name not in (*INTRUSION_TIMERS, "endpoint", "turn_limit"):
        return None
    if name == "decide" and floor.unbroken:
        return floor._replace(unbroken=False), ()
    if floor.protected:
        return floor, ()
    if name == "hold" and floor.caller is Caller.SPEAKING:
        return floor._replace(grip=Grip.HELD), (ev.Hold(),)
    if name == "yield" and floor.caller is Caller.SPEAKING:
        return _yield_floor(floor, now_s, rules)
    if name == "decide" and floor.caller is Caller.PAUSED:
        return _yield_floor(floor, now_s, rules) if _is_speech(floor, rules) else _give_back(floor)
    return floor, ()


def _is_speech(floor: Floor, rules: Rules) -> bool:
    return floor.words or floor.longest_ms >= rules.call.barge_in.real_speech_ms


def _yield_floor(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The caller takes the floor; a pause that already goes on ends the turn by the usual rules."""
    over = floor.answering if floor.typing is None else floor.typing
    effects: list[Effect] = [*disarm(*INTRUSION_TIMERS, "filler", "think", "final", "silence")]
    if floor.typing is not None:
        effects += [ev.Disarm("keys"), ev.DropKeys()]
    effects.append(ev.Cut())
    if floor.audible:
        effects.append(ev.Verdict("yielded", floor.onset_s))
    if floor.bot is not Bot.QUIET:
        effects.append(ev.TakeFloor(floor.turn, over, floor.onset_s))
    if floor.leaving:
        effects.append(ev.Arm("leave", now_s + rules.call.patience.leave_s))
    taken = floor._replace(
        contested=False,
        grip=Grip.NONE,
        bot=Bot.QUIET,
        filling=False,
        awaited=False,
        typing=None,
        prompting=False,
        ending=Ending.GO_ON,
        ladder=0,
        drowned=_drowned(floor),
        interrupted=floor.answering if floor.bot is Bot.SPEAKING else None,
    )
    if floor.caller is not Caller.PAUSED:
        return taken, (*effects, turn_limit(taken, now_s, rules))
    waiting, armed = begin_pause(taken, floor.ended_s, now_s, rules)
    return waiting, (*effects, *armed)


def _drowned(floor: Floor) -> int:
    """How many answers in a row had no chance to be heard, with the one from which the floor is taken now."""
    if floor.bot is Bot.QUIET:
        return floor.drowned
    given_a_chance = floor.bot is Bot.SPEAKING and floor.onset_s - floor.sounds_s >= _HEARD_S
    return 0 if given_a_chance else floor.drowned + 1


def _give_back(floor: Floor) -> Step:
    """It was a backchannel or noise: the bot goes on."""
    given = floor._replace(caller=Caller.QUIET, contested=False, grip=Grip.NONE, unbroken=False)
    effects: list[Effect] = [*disarm(*INTRUSION_TIMERS, "turn_limit"), ev.AbandonTurn(), _loosened(floor)]
    if floor.audible and not floor.protected:
        effects.append(ev.Verdict("resumed", floor.onset_s))
    return given, tuple(effects)


def _bot_finished(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The bot came to its end by itself while the caller was speaking: the turn has the floor, if it is one."""
    murmur = floor.caller is Caller.PAUSED and not _is_speech(floor, rules)
    if floor.ending.closes and murmur:
        return floor._replace(caller=Caller.QUIET, contested=False), (ev.AbandonTurn(), ev.EndCall("completed"))
    if murmur and floor.ending is Ending.TRANSFER:
        given, effects = _give_back(floor)
        asked, said = say_prompt(given, "operator_unavailable", now_s, rules)
        return asked, (*effects, *said)
    if murmur and floor.protected:
        given, effects = _give_back(floor)
        heard, armed = listen(given, now_s, rules)
        return heard, (*effects, *armed)
    # What comes next must be heard: neither softly nor held back.
    free, armed = listen(floor if floor.protected else floor._replace(drowned=0), now_s, rules)
    return free, (*disarm(*INTRUSION_TIMERS), _loosened(floor), *armed)


def _loosened(floor: Floor) -> Effect:
    return ev.Resume() if floor.grip is Grip.HELD else ev.Unduck()
