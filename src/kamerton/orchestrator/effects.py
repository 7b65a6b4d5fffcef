"""Carries out what the turn machine asks for. Each effect is one plain call; none of them waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import anyio

from kamerton.domain.notices import BargeInDecided, Notice
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.ears import Ears
from kamerton.orchestrator.hearing import Hearing
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.replies import Replies
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.timers import Timers


class Effects:
    """The hands of one call's turn machine."""

    def __init__(
        self,
        ears: Ears,
        hearing: Hearing,
        replies: Replies,
        playout: Playout,
        timers: Timers,
        settings: CallSettings,
        publish: Callable[[Notice], None],
    ) -> None:
        self._ears = ears
        self._hearing = hearing
        self._replies = replies
        self._playout = playout
        self._timers = timers
        self._settings = settings
        self._publish = publish
        self._open_turn_number = 0
        self._ducked_s: float | None = None
        self._actions: dict[type, Callable[[Any], None]] = {
            ev.OpenTurn: self._open_turn,
            ev.PauseTurn: lambda _: ears.pause_turn(),
            ev.ResumeTurn: lambda _: ears.resume_turn(),
            ev.EndTurn: self._end_turn,
            ev.AbandonTurn: self._abandon_turn,
            ev.ForgetTurn: lambda effect: replies.drop_ahead(effect.turn),
            ev.OpenKeys: lambda effect: hearing.open_keys(effect.turn, anyio.current_time()),
            ev.EndKeys: lambda effect: hearing.end_keys(effect.turn, anyio.current_time()),
            ev.DropKeys: lambda _: hearing.drop_keys(),
            ev.Duck: self._duck,
            ev.Unduck: lambda _: playout.unduck(),
            ev.Hold: lambda _: playout.hold(),
            ev.Resume: lambda _: playout.resume(),
            ev.Cut: self._cut,
            ev.FadeFiller: lambda _: playout.cut_filler(at_once=True),
            ev.FinishSentence: self._finish_sentence,
            ev.TakeFloor: lambda effect: replies.take_floor(effect.turn, effect.over, effect.onset_s),
            ev.Think: lambda effect: replies.think(effect.turn),
            ev.SayFiller: self._say_filler,
            ev.SayPrompt: lambda effect: replies.prompt(effect.turn, effect.key, effect.ending),
            ev.Verdict: self._verdict,
            ev.Arm: lambda effect: timers.arm(effect.name, effect.at_s),
            ev.Disarm: lambda effect: timers.disarm(effect.name),
        }

    def apply(self, effect: ev.Effect) -> None:
        """Carry out one effect (`EndCall` is the orchestrator's own)."""
        action = self._actions.get(type(effect))
        if action is not None:
            action(effect)

    def _open_turn(self, effect: ev.OpenTurn) -> None:
        self._open_turn_number = effect.turn
        audio_from_s = self._ears.open_turn(effect.turn, effect.onset_s)
        self._hearing.open(effect.turn, effect.onset_s, audio_from_s)

    def _end_turn(self, effect: ev.EndTurn) -> None:
        self._hearing.ended(effect.turn, effect.because, effect.ended_s)
        self._ears.end_turn()

    def _abandon_turn(self, _: ev.AbandonTurn) -> None:
        self._replies.drop_ahead(self._open_turn_number)
        self._ears.abandon_turn()

    def _duck(self, _: ev.Duck) -> None:
        self._ducked_s = anyio.current_time()
        self._playout.duck(self._settings.barge_in.duck_gain)

    def _cut(self, _: ev.Cut) -> None:
        self._replies.stop()
        self._playout.cut()

    def _finish_sentence(self, _: ev.FinishSentence) -> None:
        self._replies.stop()
        self._playout.finish_clause()

    def _say_filler(self, effect: ev.SayFiller) -> None:
        """Without one at hand the wait goes on in silence until the next is due."""
        if not self._replies.filler(effect.turn, effect.first):
            gap_s = self._settings.patience.filler_gap_ms / 1000
            self._timers.arm("filler", anyio.current_time() + gap_s)

    def _verdict(self, effect: ev.Verdict) -> None:
        verdict = cast(Literal["yielded", "resumed", "ignored"], effect.verdict)
        silenced_s = self._playout.silenced_s if verdict != "ignored" else None
        self._publish(BargeInDecided(verdict, effect.onset_s, self._ducked_s, silenced_s))
        self._ducked_s = None
