"""Who has the floor: the state that the turn machine's two halves share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from kamerton.domain.dialogue import Completeness
from kamerton.listening.endpointing import EndpointingSettings, endpoint
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.turn_events import Effect


class Caller(Enum):
    """What the caller is doing."""

    QUIET = "quiet"
    SUSPECTED = "suspected"
    SPEAKING = "speaking"
    PAUSED = "paused"
    FINISHED = "finished"
    """The turn is over; its transcript is awaited."""


class Bot(Enum):
    """What the bot is doing."""

    QUIET = "quiet"
    THINKING = "thinking"
    SPEAKING = "speaking"


class Grip(Enum):
    """How far an intrusion has brought the bot."""

    NONE = "none"
    DUCKED = "ducked"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Floor:
    """Everything the machine remembers."""

    caller: Caller = Caller.QUIET
    bot: Bot = Bot.QUIET
    grip: Grip = Grip.NONE
    contested: bool = False
    """The open turn began while the bot could be heard, and has not been given the floor yet."""
    interruptible: bool = True
    closing: bool = False
    """The call ends after what the bot says, or prepares to say."""
    prompting: bool = False
    """What the bot says, or prepares to say, is a system phrase: when it fails there is no other to say instead."""
    turn: int = 0
    onset_s: float = 0.0
    ended_s: float = 0.0
    spoken_ms: float = 0.0
    completeness: Completeness = Completeness.UNKNOWN
    words: bool = False
    ladder: int = 0
    """Steps of the silence ladder already taken."""
    fillers: int = 0
    """Fillers said for the current turn."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that the machine reads."""

    call: CallSettings
    endpointing: EndpointingSettings


Step = tuple[Floor, tuple[Effect, ...]]


def silence_timer(floor: Floor, now_s: float, rules: Rules) -> ev.Arm:
    """When the silence ladder takes its next step."""
    patience = rules.call.patience
    wait_s = patience.silence_prompt_s if floor.ladder == 0 else patience.silence_goodbye_s
    return ev.Arm("silence", now_s + wait_s)


def say_prompt(floor: Floor, key: str, now_s: float, rules: Rules, closing: bool = False) -> Step:
    """Have a system phrase said; the deadline keeps a voice that hangs from hanging the call."""
    asked = replace(floor, bot=Bot.THINKING, prompting=True, closing=closing)
    deadline_s = now_s + rules.call.patience.prompt_deadline_s
    return asked, (ev.Disarm("filler"), ev.SayPrompt(key, closing), ev.Arm("think", deadline_s))


def begin_pause(floor: Floor, ended_s: float, now_s: float, rules: Rules) -> Step:
    """The caller, who has the floor, paused: arm the endpoint that the words so far deserve."""
    end = endpoint(ended_s, floor.completeness, rules.endpointing)
    paused = replace(floor, caller=Caller.PAUSED, ended_s=ended_s)
    return paused, (ev.Arm("endpoint", max(now_s, end.at_s)),)
