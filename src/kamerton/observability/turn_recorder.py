"""Keeps what calls reported, for reports and pages; bounded in calls and in turns per call."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, TypeVar

from kamerton.domain.notices import (
    BargeInDecided,
    CallFinished,
    CallStarted,
    ErrorOccurred,
    MindState,
    MindStateChanged,
    Notice,
    TranscriptUpdated,
    TurnFinished,
)

MAX_CALLS: Final = 64
MAX_NOTICES: Final = 500
_T = TypeVar("_T")
_SETTLED: Final = frozenset({MindState.IDLE, MindState.LISTENING})


@dataclass(slots=True)
class CallRecord:
    """What one call has told so far, in order; of turns, barge-ins and errors the first 500 each are kept."""

    call_id: str
    started: CallStarted | None = None
    finished: CallFinished | None = None
    turns: list[TurnFinished] = field(default_factory=list)
    barge_ins: list[BargeInDecided] = field(default_factory=list)
    errors: list[ErrorOccurred] = field(default_factory=list)
    mind: MindState | None = None
    heard: str = ""
    """The caller's words as last understood, final or not."""
    dropped: int = 0
    """Notices that found no room."""

    @property
    def settled(self) -> bool:
        """True when the assistant neither thinks nor speaks (or never said what it does)."""
        return self.mind is None or self.mind in _SETTLED

    def take(self, notice: Notice) -> None:
        """Add one notice."""
        match notice:
            case TurnFinished():
                self._keep(self.turns, notice)
            case BargeInDecided():
                self._keep(self.barge_ins, notice)
            case ErrorOccurred():
                self._keep(self.errors, notice)
            case MindStateChanged():
                self.mind = notice.state
            case TranscriptUpdated():
                if notice.speaker == "user":
                    self.heard = notice.text
            case CallStarted():
                self.started = notice
            case CallFinished():
                self.finished = notice
            case _:
                pass

    def _keep(self, kept: list[_T], notice: _T) -> None:
        if len(kept) < MAX_NOTICES:
            kept.append(notice)
        else:
            self.dropped += 1


class TurnRecorder:
    """A `CallObserver` that keeps a record per call; beyond 64 calls the oldest record is forgotten."""

    def __init__(self, max_calls: int = MAX_CALLS) -> None:
        self._max_calls = max_calls
        self._records: OrderedDict[str, CallRecord] = OrderedDict()

    def observe(self, call_id: str, notice: Notice) -> None:
        """Add one notice to its call's record."""
        record = self._records.get(call_id)
        if record is None:
            record = self._records[call_id] = CallRecord(call_id)
            if len(self._records) > self._max_calls:
                self._records.popitem(last=False)
        record.take(notice)

    def record(self, call_id: str) -> CallRecord | None:
        """What is known of a call, or None."""
        return self._records.get(call_id)

    @property
    def call_ids(self) -> tuple[str, ...]:
        """Calls on record, oldest first."""
        return tuple(self._records)
