"""What holds for the turn machine whatever happens, in whatever order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

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

KINDS = (
    "suspected",
    "dropped",
    "started",
    "paused",
    "resumed",
    "words",
    "backchannel",
    "complete",
    "final",
    "empty_final",
    "failed_final",
    "reply",
    "uninterruptible_reply",
    "closing_reply",
    "settled",
    "broken",
    "filler_settled",
    "filler_settled_last",
    "stop",
    "keys",
    "last_key",
    "filler",
    "engine_ended",
    "recogniser_gone",
    "held",
    "taken_back",
    "stopping",
    "timer",
    "call_limit",
)


@dataclass
class World:
    """The machine with the timers, the ears and the mouth that a call gives it."""

    floor: Floor = field(default_factory=lambda: Floor(bot=Bot.THINKING))
    now_s: float = 0.0
    timers: dict[str, float] = field(default_factory=lambda: {"think": 12.0})
    reply_pending: bool = True
    turn_open: bool = False
    opened: list[int] = field(default_factory=list)
    ended: bool = False

    def apply(self, event: ev.MachineEvent) -> None:
        before = self.floor
        self.floor, effects = step(before, event, self.now_s, RULES)
        for effect in effects:
            self._effect(effect, event, before)

    def _effect(self, effect: ev.Effect, event: ev.MachineEvent, before: Floor) -> None:
        match effect:
            case ev.Arm(name, at_s):
                self.timers[name] = at_s
            case ev.Disarm(name):
                self.timers.pop(name, None)
            case ev.OpenTurn(turn) | ev.OpenKeys(turn):
                assert all(turn > earlier for earlier in self.opened)
                self.opened.append(turn)
                self.turn_open = self.turn_open or isinstance(effect, ev.OpenTurn)
            case ev.EndTurn():
                assert self.turn_open, "a turn ended that was not open"
                self.turn_open = False
            case ev.AbandonTurn():
                self.turn_open = False
            case ev.Think() | ev.SayPrompt():
                self.reply_pending = True
            case ev.Cut() | ev.Hold():
                self.reply_pending = self.reply_pending and isinstance(effect, ev.Hold)
                forced = event in (ev.TimerFired("call_limit"), ev.TimerFired("leave"))
                assert forced or before.bot is not Bot.SPEAKING or before.interruptible
            case ev.EndCall():
                self.ended = True
            case _:
                pass

    def fire_next(self, until_s: float = math.inf) -> bool:
        """Fire the earliest timer that is due by then, the call's limit excepted; False when there is none."""
        armed = {name: at_s for name, at_s in self.timers.items() if name != "call_limit"}
        name = min(armed, key=armed.__getitem__, default="")
        if self.ended or not name or armed[name] > until_s:
            return False
        self.now_s = max(self.now_s, self.timers.pop(name))
        self.apply(ev.TimerFired(name))
        return True

    @property
    def listening(self) -> bool:
        quiet = self.floor.bot is Bot.QUIET and self.floor.caller in (Caller.QUIET, Caller.SUSPECTED)
        return quiet and (self.floor.held or "silence" in self.timers)


def happen(world: World, kind: str) -> None:
    """One thing that may happen in a call; nothing when it cannot happen now."""
    turn, now_s = world.floor.turn, world.now_s
    events: dict[str, ev.MachineEvent] = {
        "suspected": SpeechSuspected(now_s - 0.05),
        "dropped": SuspicionDropped(),
        "started": SpeechStarted(now_s - 0.1),
        "paused": SpeechPaused(now_s - 0.09, 400.0),
        "resumed": SpeechResumed(now_s),
        "words": ev.WordsHeard(turn, Completeness.PLAUSIBLE, backchannel=False),
        "backchannel": ev.WordsHeard(turn, Completeness.PLAUSIBLE, backchannel=True),
        "complete": ev.WordsHeard(turn, Completeness.COMPLETE, backchannel=False),
        "final": ev.FinalHeard(turn, words=True),
        "empty_final": ev.FinalHeard(turn, words=False),
        "failed_final": ev.FinalHeard(turn, words=False, failed=True),
        "engine_ended": ev.EngineEndedUtterance(turn),
        "recogniser_gone": ev.RecogniserGone(),
        "held": ev.HoldChanged(True),
        "taken_back": ev.HoldChanged(False),
        "stopping": ev.ServiceStopping(),
        "filler": ev.FillerStarted(),
        "filler_settled": ev.BotSettled(filler=True, played=True, last=False),
        "filler_settled_last": ev.BotSettled(filler=True, played=True, last=True),
        "stop": ev.StopPressed(),
        "keys": ev.KeysPressed(),
        "last_key": ev.KeysPressed(finished=True),
    }
    replies = {
        "reply": (True, Ending.GO_ON),
        "uninterruptible_reply": (False, Ending.GO_ON),
        "closing_reply": (True, Ending.HANG_UP),
    }
    if kind in events:
        world.apply(events[kind])
    elif kind in replies and world.reply_pending and world.floor.bot is Bot.THINKING:
        world.reply_pending = False
        prompting, ending = world.floor.prompting, replies[kind][1]
        ending = world.floor.ending if prompting else ending
        world.apply(ev.ReplyReady(world.floor.answering, replies[kind][0], ending))
    elif kind in ("settled", "broken") and world.floor.bot is Bot.SPEAKING:
        world.apply(ev.BotSettled(filler=False, played=kind == "settled", last=True))
    elif kind == "timer":
        world.fire_next()
    elif kind == "call_limit":
        world.apply(ev.TimerFired("call_limit"))


happenings = st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 0.6)), max_size=40)


def lived(story: list[tuple[str, float]]) -> World:
    """The world after a story; timers that come due meanwhile fire."""
    world = World()
    for kind, wait_s in story:
        if world.ended:
            break
        until_s = world.now_s + wait_s
        while world.fire_next(until_s):
            pass
        world.now_s = max(world.now_s, until_s)
        happen(world, kind)
    return world


@settings(max_examples=200, deadline=None)
@given(happenings)
def test_whatever_happens_turns_are_opened_before_they_end_and_no_protected_line_is_cut(
    story: list[tuple[str, float]],
) -> None:
    lived(story)


@settings(max_examples=300, deadline=None)
@given(happenings)
def test_from_wherever_a_call_is_it_ends_or_comes_back_to_listening(story: list[tuple[str, float]]) -> None:
    world = lived(story)
    for _ in range(30):
        if world.ended or world.listening:
            return
        if world.floor.bot is Bot.SPEAKING and world.floor.grip is not Grip.HELD:
            happen(world, "settled")
        else:
            assert world.fire_next(), f"stuck without a timer in {world.floor}"
    raise AssertionError(f"goes round in circles in {world.floor}")


@settings(max_examples=100, deadline=None)
@given(happenings)
def test_a_silent_caller_is_let_go_in_the_end(story: list[tuple[str, float]]) -> None:
    world = lived(story)
    happen(world, "taken_back")
    happen(world, "dropped")
    for _ in range(60):
        if world.ended:
            return
        if world.floor.bot is Bot.SPEAKING and world.floor.grip is not Grip.HELD:
            happen(world, "settled")
        elif world.floor.bot is Bot.THINKING and world.reply_pending:
            happen(world, "closing_reply" if world.floor.ending.closes else "reply")
        else:
            assert world.fire_next()
    raise AssertionError(f"never ends in {world.floor}")


@settings(max_examples=100, deadline=None)
@given(happenings)
def test_after_its_limit_a_call_ends_even_when_nothing_can_be_said(story: list[tuple[str, float]]) -> None:
    world = lived(story)
    happen(world, "call_limit")
    for _ in range(30):
        if world.ended:
            return
        if world.floor.bot is Bot.SPEAKING and world.floor.grip is not Grip.HELD:
            happen(world, "settled")
        else:
            assert world.fire_next()
    raise AssertionError(f"never ends in {world.floor}")
