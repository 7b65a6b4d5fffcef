"""Speech into the bot's speech: duck, decide, resume or yield (DESIGN section 6.4). Pure; a part of the turn machine.

Evidence in order of strength: known words that are no backchannel, length of speech, mere suspicion. Suspicion ducks,
length silences and then takes the floor, words decide at once. A backchannel («угу») or a sound without words gives
the floor back.
"""

from __future__ import annotations

from dataclasses import replace

from kamerton.domain.dialogue import Completeness
from kamerton.listening.segmenter import (
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSuspected,
    SuspicionDropped,
)
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.floor import Bot, Caller, Floor, Grip, Rules, Step, begin_pause, silence_timer
from kamerton.orchestrator.turn_events import Effect, MachineEvent

TIMERS = ("hold", "yield", "decide")
"""The timers of an intrusion; whoever ends one disarms them."""


def step(floor: Floor, event: MachineEvent, now_s: float, rules: Rules) -> Step | None:
    """Take one event of an intrusion into account; None when it is none of its business."""
    match event:
        case SpeechSuspected(onset_s):
            suspected = replace(floor, caller=Caller.SUSPECTED, onset_s=onset_s)
            if not floor.interruptible:
                return suspected, ()
            return replace(suspected, grip=Grip.DUCKED), (ev.Duck(),)
        case SuspicionDropped():
            dropped = replace(floor, caller=Caller.QUIET, grip=Grip.NONE)
            return dropped, (ev.Unduck(), ev.Verdict("ignored", floor.onset_s))
        case SpeechStarted(onset_s):
            return _started(floor, onset_s, now_s, rules)
        case SpeechPaused(ended_s, spoken_ms):
            return _paused(floor, ended_s, spoken_ms, now_s, rules)
        case SpeechResumed():
            return _resumed(floor, now_s)
        case ev.WordsHeard():
            return _words(floor, event, now_s, rules)
        case ev.TimerFired(name):
            return _timer(floor, name, now_s, rules)
        case ev.BotSettled(last=True) if not floor.closing:
            return _bot_finished(floor, now_s, rules)
    return None


def _started(floor: Floor, onset_s: float, now_s: float, rules: Rules) -> Step:
    opened = replace(
        floor,
        caller=Caller.SPEAKING,
        contested=True,
        turn=floor.turn + 1,
        onset_s=onset_s,
        completeness=Completeness.UNKNOWN,
        words=False,
    )
    effects: list[Effect] = [
        ev.OpenTurn(opened.turn, onset_s),
        ev.Arm("turn_limit", onset_s + rules.endpointing.turn_limit_s),
    ]
    if floor.interruptible:
        barge_in = rules.call.barge_in
        effects.append(ev.Arm("hold", max(now_s, onset_s + barge_in.hold_ms / 1000)))
        effects.append(ev.Arm("yield", max(now_s, onset_s + barge_in.yield_ms / 1000)))
    return opened, tuple(effects)


def _paused(floor: Floor, ended_s: float, spoken_ms: float, now_s: float, rules: Rules) -> Step:
    paused = replace(floor, caller=Caller.PAUSED, ended_s=ended_s, spoken_ms=spoken_ms)
    effects: list[Effect] = [ev.PauseTurn(), ev.Disarm("hold"), ev.Disarm("yield")]
    if floor.interruptible:
        effects.append(ev.Arm("decide", now_s + rules.call.barge_in.decide_ms / 1000))
    return paused, tuple(effects)


def _resumed(floor: Floor, now_s: float) -> Step:
    speaking = replace(floor, caller=Caller.SPEAKING)
    if not floor.interruptible:
        return speaking, (ev.ResumeTurn(),)
    # Speech, a pause and speech again is no «угу»: it takes the floor.
    return speaking, (ev.ResumeTurn(), ev.Disarm("decide"), ev.Arm("hold", now_s), ev.Arm("yield", now_s + 0.15))


def _words(floor: Floor, event: ev.WordsHeard, now_s: float, rules: Rules) -> Step:
    if event.turn != floor.turn or floor.caller not in (Caller.SPEAKING, Caller.PAUSED):
        return floor, ()
    known = replace(floor, completeness=event.completeness, words=not event.backchannel)
    if not floor.interruptible:
        return known, ()
    if not event.backchannel:
        return _yield_floor(known, now_s, rules)
    return _give_back(known) if floor.caller is Caller.PAUSED else (known, ())


def _timer(floor: Floor, name: str, now_s: float, rules: Rules) -> Step | None:
    if name == "hold" and floor.caller is Caller.SPEAKING:
        return replace(floor, grip=Grip.HELD), (ev.Hold(),)
    if name == "yield" and floor.caller is Caller.SPEAKING:
        return _yield_floor(floor, now_s, rules)
    if name == "decide" and floor.caller is Caller.PAUSED:
        real = floor.words or floor.spoken_ms >= rules.call.barge_in.real_speech_ms
        return _yield_floor(floor, now_s, rules) if real else _give_back(floor)
    if name in (*TIMERS, "endpoint", "turn_limit"):
        return floor, ()
    return None


def _yield_floor(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The caller takes the floor; a pause that already goes on ends the turn by the usual rules."""
    taken = replace(floor, contested=False, grip=Grip.NONE, bot=Bot.QUIET, prompting=False, ladder=0)
    effects: tuple[Effect, ...] = (*(ev.Disarm(n) for n in TIMERS), ev.Cut(), ev.Verdict("yielded", floor.onset_s))
    if floor.caller is not Caller.PAUSED:
        return taken, effects
    paused, armed = begin_pause(taken, floor.ended_s, now_s, rules)
    return paused, (*effects, *armed)


def _give_back(floor: Floor) -> Step:
    """It was a backchannel or noise: the bot goes on."""
    resume: Effect = ev.Resume() if floor.grip is Grip.HELD else ev.Unduck()
    given = replace(floor, caller=Caller.QUIET, contested=False, grip=Grip.NONE)
    disarmed = tuple(ev.Disarm(name) for name in (*TIMERS, "turn_limit"))
    return given, (*disarmed, ev.AbandonTurn(), resume, ev.Verdict("resumed", floor.onset_s))


def _bot_finished(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The bot came to its end by itself while the caller was speaking: the turn has the floor, if it is one."""
    free = replace(floor, contested=False, grip=Grip.NONE, bot=Bot.QUIET, prompting=False)
    # What comes next must be heard: neither softly nor held back.
    loosened: Effect = ev.Resume() if floor.grip is Grip.HELD else ev.Unduck()
    effects: tuple[Effect, ...] = (*(ev.Disarm(name) for name in TIMERS), loosened)
    if floor.caller is Caller.PAUSED:
        paused, armed = begin_pause(free, floor.ended_s, now_s, rules)
        return paused, (*effects, *armed)
    if floor.caller is Caller.SPEAKING:
        limit_s = floor.onset_s + rules.endpointing.turn_limit_s
        return free, (*effects, ev.Arm("turn_limit", max(now_s, limit_s)))
    return free, (*effects, silence_timer(free, now_s, rules))
