"""Carries out what the turn machine asks for. Each effect is one plain call; none of them waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import anyio

from kamerton.domain.notices import BargeInDecided, Notice
from kamerton.listening.listener import Listener
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.conversation import Conversation
from kamerton.orchestrator.hearing import Hearing
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.replies import Replies
from kamerton.orchestrator.timers import Timers


class Effects:
    """The hands of one call's turn machine."""

    def __init__(
        self,
        playout: Playout,
        replies: Replies,
        hearing: Hearing,
        timers: Timers,
        conversation: Conversation,
        publish: Callable[[Notice], None],
    ) -> None:
        self._playout = playout
        self._replies = replies
        self._hearing = hearing
        self._timers = timers
        self._conversation = conversation
        self._publish = publish
        self._ducked_s: float | None = None
        self.listener: Listener | None = None
        """Set once the recogniser is open; before that there is nobody to listen to."""
        self.duck_gain = 1.0
        self.filler_gap_s = 1.8
        self._actions: dict[type, Callable[[Any], None]] = {
            ev.OpenTurn: self._open_turn,
            ev.PauseTurn: lambda _: self._ears.pause_turn(),
            ev.ResumeTurn: lambda _: self._ears.resume_turn(),
            ev.EndTurn: self._end_turn,
            ev.AbandonTurn: self._abandon_turn,
            ev.Duck: self._duck,
            ev.Unduck: lambda _: playout.unduck(),
            ev.Hold: lambda _: playout.hold(),
            ev.Resume: lambda _: playout.resume(),
            ev.Cut: self._cut,
            ev.CancelThinking: lambda _: replies.cancel(),
            ev.Think: self._think,
            ev.SayFiller: self._say_filler,
            ev.SayPrompt: lambda effect: replies.prompt(effect.key, effect.closing),
            ev.Verdict: self._verdict,
            ev.Arm: lambda effect: timers.arm(effect.name, effect.at_s),
            ev.Disarm: lambda effect: timers.disarm(effect.name),
        }

    def apply(self, effect: ev.Effect) -> None:
        """Carry out one effect (`EndCall` is the orchestrator's own)."""
        action = self._actions.get(type(effect))
        if action is not None:
            action(effect)

    @property
    def _ears(self) -> Listener:
        if self.listener is None:
            raise RuntimeError("a turn before the ears are open")
        return self.listener

    def _open_turn(self, effect: ev.OpenTurn) -> None:
        self._hearing.open(effect.turn, effect.onset_s, effect.continues)
        self._ears.open_turn(effect.turn, effect.onset_s, self._conversation.hint)

    def _end_turn(self, effect: ev.EndTurn) -> None:
        self._hearing.ended(effect.because, effect.ended_s)
        self._ears.end_turn()

    def _abandon_turn(self, _: ev.AbandonTurn) -> None:
        self._hearing.abandon()
        self._replies.drop_ahead()
        self._ears.abandon_turn()

    def _duck(self, _: ev.Duck) -> None:
        self._ducked_s = anyio.current_time()
        self._playout.duck(self.duck_gain)

    def _cut(self, _: ev.Cut) -> None:
        self._replies.stop()
        self._playout.cut()

    def _think(self, effect: ev.Think) -> None:
        if self._hearing.exchange is not None:
            self._replies.think(self._hearing.exchange, effect.failed)

    def _say_filler(self, effect: ev.SayFiller) -> None:
        """Without one at hand the wait goes on in silence until the next is due."""
        if not self._replies.filler(effect.first, self._hearing.exchange):
            self._timers.arm("filler", anyio.current_time() + self.filler_gap_s)

    def _verdict(self, effect: ev.Verdict) -> None:
        verdict = cast(Literal["yielded", "resumed", "ignored"], effect.verdict)
        silenced_s = self._playout.silenced_s if verdict != "ignored" else None
        self._publish(BargeInDecided(verdict, effect.onset_s, self._ducked_s, silenced_s))
        taken_back = verdict == "yielded" and self._replies.unfinished_turn(effect.onset_s)
        if taken_back and self._hearing.exchange is not None:
            self._hearing.exchange.state_before = self._conversation.session.current_state_id
        self._ducked_s = None
