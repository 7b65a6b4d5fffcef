"""Who has the floor: the state that the parts of the turn machine share, and the steps that they have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from kamerton.domain.dialogue import Completeness
from kamerton.listening.endpointing import EndpointingSettings, endpoint
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.turn_events import Effect, Ending

INTRUSION_TIMERS = ("hold", "yield", "decide")
"""The timers of an intrusion; whoever ends one disarms them."""
WAIT_TIMERS = ("filler", "think", "final")
"""The timers of a wait for an answer."""

_COVERED_S = 0.12
"""Words that reach this close to the end of speech cover it: their own end is known no better."""
_LAG_PATIENCE = 1.5
"""Of a recogniser's usual lag, how much is waited for the words of the last stretch."""


class Caller(Enum):
    """What the caller is doing."""

    QUIET = "quiet"
    SUSPECTED = "suspected"
    SPEAKING = "speaking"
    PAUSED = "paused"


class Bot(Enum):
    """What the bot is doing."""

    QUIET = "quiet"
    THINKING = "thinking"
    """It owes an answer: the transcript is awaited, or the answer is being prepared."""
    SPEAKING = "speaking"


class Grip(Enum):
    """How far an intrusion has brought the bot."""

    NONE = "none"
    DUCKED = "ducked"
    HELD = "held"


class Floor(NamedTuple):
    """Everything the machine remembers. Numbers of turns are the ledger's.

    A tuple, since a changed copy is made for every event.
    """

    caller: Caller = Caller.QUIET
    bot: Bot = Bot.QUIET
    grip: Grip = Grip.NONE
    filling: bool = False
    """A filler can be heard while the bot thinks."""
    contested: bool = False
    """The open turn began while the bot answered, and has not been given the floor yet."""
    interruptible: bool = True
    """What the bot says may be interrupted."""
    ending: Ending = Ending.GO_ON
    """Of what the bot says, or prepares to say."""
    prompting: bool = False
    """What the bot says, or prepares to say, is a system phrase: when it fails there is no other to say instead."""
    last: int = 0
    """The newest number given."""
    turn: int = 0
    """The caller's open turn, or the latest one."""
    answering: int = 0
    """What the bot answers, or says."""
    awaited: bool = False
    """The transcript of the turn that is to be answered is not there yet."""
    typing: int | None = None
    """The turn that is being typed on the keys."""
    onset_s: float = 0.0
    ended_s: float = 0.0
    spoken_ms: float = 0.0
    asked_ms: float = 0.0
    """Length of the turn that is to be answered: its longest stretch without a pause."""
    run_from_s: float = 0.0
    """Where the stretch of speech began that has no pause yet."""
    longest_ms: float = 0.0
    """The longest stretch without a pause in the open turn."""
    runs: int = 0
    """Stretches of speech in the open turn."""
    completeness: Completeness = Completeness.UNKNOWN
    words: bool = False
    covers_s: float = -math.inf
    """Up to where the known words cover the caller's audio."""
    engine_ended: bool = False
    """The recogniser takes the open turn to be over."""
    unbroken: bool = False
    """Somebody talks on without a pause since a turn was ended for its length: that is no interruption."""
    ceilings: int = 0
    """Turns in a row that were ended for their length."""
    sounds_s: float = -math.inf
    """When what the bot says began to sound."""
    drowned: int = 0
    """Answers in a row that somebody spoke into before they had been heard for a moment."""
    insisting: bool = False
    """What the bot says, or prepares to say, is said to its end: nothing before it could be."""
    failures: int = 0
    """Turns in a row that the recogniser failed on."""
    unheard: bool = False
    """The caller was asked to repeat a short sound without words; once is enough until they are understood."""
    interrupted: int | None = None
    """What the bot was saying when the open turn took the floor from it."""
    said_again: int | None = None
    """What was said once more, since it had been our own voice that interrupted it; once is enough."""
    ladder: int = 0
    """Steps of the silence ladder already taken."""
    fillers: int = 0
    """Fillers said for the current turn."""
    held: bool = False
    """The far end has put the call on hold."""
    deaf: bool = False
    """Nothing that the caller says can be understood any more: the call is to end."""
    leaving: bool = False
    """The service stops: the call is to end politely."""
    limit_passed: bool = False
    """The call has reached its longest time."""

    @property
    def audible(self) -> bool:
        """The bot can be heard."""
        return self.bot is Bot.SPEAKING or self.filling

    @property
    def protected(self) -> bool:
        """What the bot says is said to its end, whoever speaks."""
        return self.unbroken or self.insisting or (self.bot is Bot.SPEAKING and not self.interruptible)

    @property
    def turn_open(self) -> bool:
        """The caller's turn is being heard."""
        return self.caller in (Caller.SPEAKING, Caller.PAUSED)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that the machine reads."""

    call: CallSettings
    endpointing: EndpointingSettings
    lag_s: float = 0.0
    """How far the recogniser's words usually trail the audio."""


Step = tuple[Floor, tuple[Effect, ...]]


def disarm(*names: str) -> tuple[Effect, ...]:
    """Forget these timers."""
    return tuple(ev.Disarm(name) for name in names)


def opened(floor: Floor, onset_s: float) -> Floor:
    """A turn of the caller is open."""
    return floor._replace(
        caller=Caller.SPEAKING,
        last=floor.last + 1,
        turn=floor.last + 1,
        onset_s=onset_s,
        run_from_s=onset_s,
        longest_ms=0.0,
        spoken_ms=0.0,
        runs=1,
        completeness=Completeness.UNKNOWN,
        words=False,
        covers_s=-math.inf,
        engine_ended=False,
        interrupted=None,
    )


def paused(floor: Floor, ended_s: float, spoken_ms: float) -> Floor:
    """The caller paused in the open turn."""
    run_ms = (ended_s - floor.run_from_s) * 1000
    return floor._replace(
        caller=Caller.PAUSED,
        ended_s=ended_s,
        spoken_ms=spoken_ms,
        longest_ms=max(floor.longest_ms, run_ms),
    )


def resumed(floor: Floor, at_s: float) -> Floor:
    """The caller goes on; how finished the words sounded before says nothing of how finished they are now."""
    return floor._replace(
        caller=Caller.SPEAKING,
        run_from_s=at_s,
        runs=floor.runs + 1,
        completeness=Completeness.UNKNOWN,
        engine_ended=False,
    )


def turn_limit(floor: Floor, now_s: float, rules: Rules) -> ev.Arm:
    """When the open turn ends however it goes on: sooner, once somebody has been found to talk on and on."""
    limits = rules.endpointing
    longest_s = limits.turn_limit_s if not floor.ceilings else min(limits.turn_limit_s, rules.call.patience.talker_s)
    return ev.Arm("turn_limit", max(now_s, floor.onset_s + longest_s))


def silence_timer(floor: Floor, now_s: float, rules: Rules) -> ev.Arm:
    """When the silence ladder takes its next step."""
    patience = rules.call.patience
    wait_s = patience.silence_prompt_s if floor.ladder == 0 else patience.silence_goodbye_s
    return ev.Arm("silence", now_s + wait_s)


def listen(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The bot has nothing more to say: the caller has the floor, with an open turn or without one."""
    quiet = floor._replace(
        bot=Bot.QUIET,
        grip=Grip.NONE,
        contested=False,
        prompting=False,
        filling=False,
        awaited=False,
        ending=Ending.GO_ON,
        insisting=False,
    )
    leave = (ev.Arm("leave", now_s + rules.call.patience.leave_s),) if floor.leaving else ()
    if quiet.typing is not None:
        # Speech that goes on into the typing takes the floor from it; whatever else was said does not.
        over_keys = ev.Arm("yield", now_s + rules.call.barge_in.yield_ms / 1000)
        speech = (over_keys,) if quiet.caller is Caller.SPEAKING else ()
        keys = ev.Arm("keys", now_s + rules.call.patience.dtmf_gap_s)
        return quiet._replace(contested=quiet.turn_open), (keys, *speech, *leave)
    if quiet.caller is Caller.PAUSED:
        waiting, armed = begin_pause(quiet, floor.ended_s, now_s, rules)
        return waiting, (*armed, *leave)
    if quiet.caller is Caller.SPEAKING:
        return quiet, (turn_limit(quiet, now_s, rules), *leave)
    if floor.leaving or floor.deaf:
        return say_goodbye(quiet, now_s, rules)
    return quiet, (silence_timer(quiet, now_s, rules),)


def say_goodbye(floor: Floor, now_s: float, rules: Rules) -> Step:
    """Say why the call cannot go on: the recogniser is lost, or the service stops."""
    key = "recognition_goodbye" if floor.deaf else "service_goodbye"
    return say_prompt(floor, key, now_s, rules, Ending.HANG_UP)


def say_prompt(
    floor: Floor, key: str, now_s: float, rules: Rules, ending: Ending = Ending.GO_ON, answers: int | None = None
) -> Step:
    """Have a system phrase said, as the answer to the turn `answers` if there is one.

    The deadline keeps a voice that hangs from hanging the call.
    """
    number = floor.last + 1 if answers is None else answers
    asked = floor._replace(
        bot=Bot.THINKING,
        last=max(floor.last, number),
        answering=number,
        awaited=False,
        prompting=True,
        ending=ending,
    )
    deadline_s = now_s + rules.call.patience.prompt_deadline_s
    return asked, (
        *disarm("filler", "final", "silence"),
        ev.SayPrompt(number, key, ending),
        ev.Arm("think", deadline_s),
    )


def begin_pause(floor: Floor, ended_s: float, now_s: float, rules: Rules) -> Step:
    """The caller, who has the floor, paused: arm the endpoint that the words so far deserve."""
    end = endpoint(ended_s, grade(floor), rules.endpointing)
    at_s = end.at_s
    if rules.lag_s and floor.covers_s < ended_s - _COVERED_S and not floor.engine_ended:
        # The words of the last stretch are on their way, and may be «но …».
        at_s = min(max(at_s, ended_s + _LAG_PATIENCE * rules.lag_s), ended_s + rules.endpointing.ceiling_ms / 1000)
    return floor._replace(caller=Caller.PAUSED, ended_s=ended_s), (ev.Arm("endpoint", max(now_s, at_s)),)


def grade(floor: Floor) -> Completeness:
    """How finished the open turn sounds; a recogniser that hears its end adds to a whole thought, not to a half one."""
    if floor.engine_ended and floor.completeness is Completeness.PLAUSIBLE:
        return Completeness.COMPLETE
    return floor.completeness
