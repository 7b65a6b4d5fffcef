"""Whole dialogues on the virtual clock: a caller who speaks at a human pace and waits for each answer to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import anyio

from kamerton.domain.notices import Notice, TurnFinished
from kamerton.stt.standins.scripted import ScriptedTurn
from kamerton.testing.call_lab import CallLab

PAUSE_MARK: Final = "|"
"""In a turn's text: the caller pauses here and goes on."""
MS_PER_CHARACTER: Final = 65.0
_PAUSE_S: Final = 0.35
"""Shorter than the pause that ends a plausible turn (420 ms)."""
_BREATH_S: Final = 0.6
"""From the end of an answer to the caller's next words."""
_LONGEST_ANSWER_S: Final = 40.0
PARTIAL_AFTER_MS: Final = 40.0
FINAL_AFTER_MS: Final = 40.0
"""A streaming recogniser's delays."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What one caller says, turn by turn."""

    name: str
    turns: tuple[str, ...]


def script_of(dialogue: Dialogue) -> tuple[ScriptedTurn, ...]:
    """What the recogniser makes of a dialogue: at each pause all that was said up to it."""
    return tuple(_scripted(turn) for turn in dialogue.turns)


class _Answers:
    """A `CallObserver` that lets the caller wait for answers."""

    def __init__(self) -> None:
        self.turns: list[TurnFinished] = []
        self._news = anyio.Event()

    def observe(self, call_id: str, notice: Notice) -> None:
        if isinstance(notice, TurnFinished):
            self.turns.append(notice)
            self._news.set()

    async def reach(self, count: int) -> bool:
        """Wait for so many exchanges; False when they do not come."""
        with anyio.move_on_after(_LONGEST_ANSWER_S):
            while len(self.turns) < count:
                self._news = anyio.Event()
                await self._news.wait()
            return True
        return False


async def hold(lab: CallLab, dialogue: Dialogue) -> list[TurnFinished]:
    """Hold a dialogue and return its exchanges, the greeting first. A turn that nobody answers ends it."""
    answers = _Answers()
    async with replace(lab, observers=(*lab.observers, answers)).call() as call:
        await answers.reach(1)
        for number, turn in enumerate(dialogue.turns, start=2):
            begin_s = anyio.current_time() - call.started_s + _BREATH_S
            for part in _parts(turn):
                end_s = begin_s + len(part) * MS_PER_CHARACTER / 1000
                call.says(begin_s, end_s)
                begin_s = end_s + _PAUSE_S
            if not await answers.reach(number):
                break
    return answers.turns


def _scripted(turn: str) -> ScriptedTurn:
    parts = _parts(turn)
    pauses = tuple(" ".join(parts[:count]) for count in range(1, len(parts)))
    return ScriptedTurn(
        " ".join(parts), pause_texts=pauses, partial_after_ms=PARTIAL_AFTER_MS, final_after_ms=FINAL_AFTER_MS
    )


def _parts(turn: str) -> Sequence[str]:
    return [part.strip() for part in turn.split(PAUSE_MARK) if part.strip()]
