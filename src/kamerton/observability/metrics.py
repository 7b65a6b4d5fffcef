"""Prometheus metrics of calls. Every label takes its values from a fixed set, so that the series stay few."""

from __future__ import annotations

import re
from collections import deque
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from kamerton.domain.notices import (
    BargeInDecided,
    CallCondition,
    CallFinished,
    CallStarted,
    ConditionNoted,
    ErrorOccurred,
    ErrorPart,
    Notice,
    SpeculationRecord,
    TurnFinished,
    TurnPath,
)
from kamerton.observability.followed_figures import FollowedFigures
from kamerton.observability.timeline import response_ms, span_ms

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of the page that `MetricsLogger.page` renders (Prometheus text format 0.0.4)."""

KEPT_DECISIONS: Final = 5000
"""More than the turns of 200 calls in two minutes."""

_PATHS: Final = frozenset(get_args(TurnPath))
_VERDICTS: Final = frozenset({"yielded", "resumed", "ignored"})
_ENDERS: Final = frozenset({"caller", "bot", "error", "shutdown"})
_PARTS: Final = frozenset(get_args(ErrorPart))
_CONDITIONS: Final = frozenset(get_args(CallCondition))
_PART_RE: Final = re.compile(r"[a-z]+(?=[.:]|$)")
_OTHER: Final = "other"
_RESPONSE_BUCKETS_S: Final = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.65, 0.8, 1.0, 1.5, 2.0, 2.5, 4.0, 8.0)
_YIELD_BUCKETS_S: Final = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.75, 1.0, 2.0)
_PAUSE_BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)


class MetricsLogger:
    """A `CallObserver` that counts what happens, on a registry of its own, and renders it for Prometheus.

    Used on the event loop only.
    """

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry(auto_describe=True)
        self.figures: Final = FollowedFigures()
        """Further figures, read from their owners when the page is asked for."""
        self.registry.register(self.figures)
        self._active: set[str] = set()
        self._decisions = 0
        self._decisions_ms: deque[float] = deque(maxlen=KEPT_DECISIONS)
        into = self.registry
        self._calls_active = Gauge("kamerton_calls_active", "Calls that are up now", registry=into)
        self._calls = Counter("kamerton_calls", "Calls that ended, by who ended them", ["ended_by"], registry=into)
        self._turns = Counter("kamerton_turns", "Turns, by the path of their answer", ["path"], registry=into)
        self._response = Histogram(
            "kamerton_response_seconds",
            "From the true end of the caller's speech to the first reply audio",
            ["path"],
            buckets=_RESPONSE_BUCKETS_S,
            registry=into,
        )
        self._barge_ins = Counter(
            "kamerton_barge_ins", "Speech into the bot's speech, by verdict", ["verdict"], registry=into
        )
        self._yield = Histogram(
            "kamerton_yield_seconds",
            "From a barge-in's onset to the bot's silence",
            buckets=_YIELD_BUCKETS_S,
            registry=into,
        )
        self._errors = Counter("kamerton_errors", "Failures in calls, by part", ["where"], registry=into)
        self._conditions = Counter(
            "kamerton_call_conditions", "What calls had to live with, by kind", ["condition"], registry=into
        )
        for condition in _CONDITIONS:
            self._conditions.labels(condition)  # there from the start, so that the first of a kind is an increase
        self._gc_pause = Histogram(
            "kamerton_gc_pause_seconds",
            "Pauses of the garbage collector",
            ["generation"],
            buckets=_PAUSE_BUCKETS_S,
            registry=into,
        )
        self._loop_lag = Histogram(
            "kamerton_loop_lag_seconds", "How late the event loop wakes up", buckets=_PAUSE_BUCKETS_S, registry=into
        )

        self._ahead = Counter(
            "kamerton_speculation",
            "Work done ahead of a turn's end, by kind and result",
            ["kind", "result"],
            registry=into,
        )
        self._saved = Histogram(
            "kamerton_speculation_saved_seconds",
            "How much earlier the work began that answered a turn",
            buckets=_YIELD_BUCKETS_S,
            registry=into,
        )

    def observe(self, call_id: str, notice: Notice) -> None:
        """Count one notice."""
        match notice:
            case TurnFinished():
                self._count_turn(notice)
            case BargeInDecided():
                self._barge_ins.labels(_bounded(notice.verdict, _VERDICTS)).inc()
                if notice.verdict == "yielded" and notice.silenced_at_s is not None:
                    self._yield.observe(max(0.0, notice.silenced_at_s - notice.onset_at_s))
            case CallStarted():
                self._active.add(call_id)
                self._calls_active.set(len(self._active))
            case CallFinished():
                self._active.discard(call_id)
                self._calls_active.set(len(self._active))
                self._calls.labels(_bounded(notice.ended_by, _ENDERS)).inc()
            case ErrorOccurred():
                self._errors.labels(_bounded(_part_of(notice), _PARTS)).inc()
            case ConditionNoted():
                self._conditions.labels(_bounded(notice.condition, _CONDITIONS)).inc(max(0, notice.amount))
            case _:
                pass

    def add_gc_pause(self, generation: int, pause_s: float) -> None:
        """Record one pause of the garbage collector."""
        self._gc_pause.labels(str(generation) if generation in (0, 1, 2) else _OTHER).observe(pause_s)

    def add_loop_lag(self, lag_s: float) -> None:
        """Record how late the loop woke up."""
        self._loop_lag.observe(lag_s)

    @property
    def active_calls(self) -> int:
        """Calls that are up now."""
        return len(self._active)

    @property
    def decisions(self) -> int:
        """Turns so far that were decided and answered with audio."""
        return self._decisions

    @property
    def decisions_ms(self) -> list[float]:
        """Of the last 5000 of them, oldest first: from the request of a decision (t3) to the first frame sent (t6)."""
        return [round(span, 2) for span in self._decisions_ms]

    def page(self) -> bytes:
        """Everything in Prometheus' text format, for `GET /metrics`; its type is `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _count_turn(self, turn: TurnFinished) -> None:
        path = _bounded(turn.path, _PATHS)
        self._turns.labels(path).inc()
        waited_ms = turn.response_ms if turn.response_ms is not None else response_ms(turn.marks)
        if waited_ms is not None:
            self._response.labels(path).observe(waited_ms / 1000)
        decided_ms = span_ms(turn.marks, "t3", "t6")
        if decided_ms is not None:
            self._decisions += 1
            self._decisions_ms.append(decided_ms)
        self._count_speculation(turn.speculation)

    def _count_speculation(self, ahead: SpeculationRecord) -> None:
        for kind, started, hit in (
            ("decision", ahead.started, ahead.hit),
            ("model", ahead.model_started, ahead.model_hit),
        ):
            self._ahead.labels(kind, "hit").inc(int(hit))
            self._ahead.labels(kind, "waste").inc(max(0, started - int(hit)))
        if ahead.hit:
            self._saved.observe(ahead.saved_ms / 1000)


def _part_of(error: ErrorOccurred) -> str:
    if error.part is not None:
        return error.part
    found = _PART_RE.match(error.where.lower())
    return found.group() if found else _OTHER


def _bounded(value: str, allowed: frozenset[str]) -> str:
    return value if value in allowed else _OTHER
