"""The server's own account of its turns, from its log, beside what callers truly said.

The log gives instants on the server's loop clock, callers give theirs: on one machine both are the system's monotonic
clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kamerton.testing.caller.wire_measure import Sound

TURN_MESSAGE: Final = "turn finished"
NOBODY_ASKED: Final = frozenset({"greeting", "silence"})
"""Paths of what the assistant says unasked."""
HEARD_BEFORE_S: Final = 0.6
HEARD_AFTER_S: Final = 0.8
"""How far from what a caller said a turn may lie that heard it: detection, look-back and late frames."""


@dataclass(frozen=True, slots=True)
class ServerTurn:
    """One finished turn: the speech it heard (loop clock, seconds) and the first frame of its reply."""

    call_id: str
    path: str
    words: bool
    """True when something was understood."""
    heard_from_s: float | None
    heard_to_s: float | None
    replied_s: float | None

    @classmethod
    def from_log(cls, line: str) -> ServerTurn | None:
        """Read a JSON log line; None for one that tells something else."""
        if TURN_MESSAGE not in line:
            return None
        try:
            fields = json.loads(line)
        except json.JSONDecodeError:
            return None
        if not isinstance(fields, dict) or fields.get("msg") != TURN_MESSAGE:
            return None
        marks = (fields.get(name) for name in ("t1", "t_eos", "t6"))
        return cls(str(fields.get("call_id")), str(fields.get("path")), bool(fields.get("text")), *map(_instant, marks))


def self_answered(turns: Iterable[ServerTurn], said: Mapping[str, Sequence[Sound]]) -> int:
    """Turns that the server answered though nobody in that call had made a sound: it heard itself, or noise."""
    return sum(
        turn.path not in NOBODY_ASKED
        and turn.heard_from_s is not None
        and turn.call_id in said
        and not any(_heard(turn, sound) for sound in said[turn.call_id])
        for turn in turns
    )


def answers_ms(turns: Iterable[ServerTurn], asked: Mapping[str, Sequence[Sound]]) -> list[float]:
    """From the end of each utterance to the first frame of its real answer, fillers not counted.

    Args:
        turns: the server's.
        asked: what each caller said and waited for an answer to, in order.
    """
    replies: dict[str, list[float]] = {}
    for turn in turns:
        if turn.replied_s is not None and turn.path not in NOBODY_ASKED:
            replies.setdefault(turn.call_id, []).append(turn.replied_s)
    waits = []
    for call_id, sounds in asked.items():
        answered = sorted(replies.get(call_id, ()))
        for number, sound in enumerate(sounds):
            until_s = sounds[number + 1].onset_s if number + 1 < len(sounds) else float("inf")
            first_s = next((each for each in answered if sound.end_s <= each < until_s), None)
            if first_s is not None:
                waits.append((first_s - sound.end_s) * 1000)
    return waits


def given_up(turns: Iterable[ServerTurn]) -> int:
    """Turns that ended in an apology, or in asking again because no words came of the speech."""
    return sum(turn.path == "error" or (turn.path == "fallback" and not turn.words) for turn in turns)


def _heard(turn: ServerTurn, sound: Sound) -> bool:
    begun_s = turn.heard_from_s or 0.0
    over_s = begun_s if turn.heard_to_s is None else turn.heard_to_s
    return begun_s <= sound.end_s + HEARD_AFTER_S and over_s >= sound.onset_s - HEARD_BEFORE_S


def _instant(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
