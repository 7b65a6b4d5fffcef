"""The time marks of one turn, and the one place where the spans between them are computed (DESIGN section 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

MarkName = Literal["t1", "t_eos", "t2", "t3", "t4", "t5_cache", "t5_tts", "t6"]
"""`t1` first audio of the caller's utterance, `t_eos` true end of that speech, `t2` final transcript, `t3` classifier
request, `t4` LLM request, `t5_cache` or `t5_tts` first reply audio in hand, `t6` first reply audio sent."""

MARK_NAMES: Final[tuple[MarkName, ...]] = get_args(MarkName)
REPORTED_NAMES: Final = ("t1", "t_eos", "t2", "t3", "t4", "t5", "t6")
"""The marks as logs and reports show them: `t5` is whichever of its two kinds came first."""


def mark_at_s(marks: Mapping[str, float], name: str) -> float | None:
    """Instant of a mark; `t5` stands for the earlier of `t5_cache` and `t5_tts`. None when it was never set."""
    if name == "t5":
        found = [marks[key] for key in ("t5", "t5_cache", "t5_tts") if key in marks]
        return min(found) if found else None
    return marks.get(name)


def span_ms(marks: Mapping[str, float], start: str, end: str) -> float | None:
    """Milliseconds from one mark to another; None when either is missing or they are out of order."""
    begun, ended = mark_at_s(marks, start), mark_at_s(marks, end)
    if begun is None or ended is None or not ended >= begun:
        return None
    return (ended - begun) * 1000.0


def response_ms(marks: Mapping[str, float]) -> float | None:
    """What the caller waited: from the true end of speech to the first reply audio sent."""
    return span_ms(marks, "t_eos", "t6")


class Timeline:
    """The marks of one turn, as instants on the loop clock in seconds. Each mark is set once; the first one counts."""

    def __init__(self) -> None:
        self._marks: dict[str, float] = {}

    def mark(self, name: MarkName, at_s: float) -> bool:
        """Set a mark; returns False, and changes nothing, when it was set already."""
        if name not in MARK_NAMES:
            raise ValueError(f"unknown mark {name!r}: the marks of a turn are {', '.join(MARK_NAMES)}")
        if name in self._marks:
            return False
        self._marks[name] = at_s
        return True

    def at_s(self, name: str) -> float | None:
        """Instant of a mark (`t5`: of either kind), or None."""
        return mark_at_s(self._marks, name)

    def span_ms(self, start: str, end: str) -> float | None:
        """Milliseconds between two marks; None when one is missing or they are out of order."""
        return span_ms(self._marks, start, end)

    @property
    def response_ms(self) -> float | None:
        """`t6 - t_eos`."""
        return response_ms(self._marks)

    @property
    def marks(self) -> dict[str, float]:
        """A copy of the marks set so far, as `TurnFinished.marks` carries them."""
        return dict(self._marks)
