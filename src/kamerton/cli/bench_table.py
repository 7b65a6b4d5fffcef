"""The figures of `kamerton bench` as a table for people, each beside what it must reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MISSING: Final = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: where its value stands in a run's figures, and its bound (at most, or at least)."""

    title: str
    path: str
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None


ROWS: Final = (
    Row("response p50", "response_ms.p50", "ms", at_most=300),
    Row("response p95", "response_ms.p95", "ms", at_most=400),
    Row("response p99", "response_ms.p99", "ms"),
    Row("response after a barge-in p50", "response_after_barge_in_ms.p50", "ms"),
    Row("decision → first frame p50", "decision_ms.p50", "ms"),
    Row("decision → first frame p95", "decision_ms.p95", "ms", at_most=20),
    Row("greeting audible p50", "greeting_ms.p50", "ms"),
    Row("greeting audible p95", "greeting_ms.p95", "ms", at_most=100),
    Row("barge-in: duck p50", "duck_ms.p50", "ms"),
    Row("barge-in: duck p95", "duck_ms.p95", "ms", at_most=120),
    Row("barge-in: silence p50", "silence_ms.p50", "ms"),
    Row("barge-in: silence p95", "silence_ms.p95", "ms", at_most=350),
    Row("barge-ins without yield", "barge_ins_without_yield", at_most=0),
    Row("«угу»: bot went on (share)", "backchannels_went_on_share", at_least=0.9),
    Row("cough: bot went on (share)", "coughs_went_on_share", at_least=0.9),
    Row("turns", "turns"),
    Row("missed turns", "missed_turns", at_most=0),
    Row("early turns", "early_turns", at_most=0),
    Row("spurious turns", "spurious_turns", at_most=0),
    Row("turns answered with an error", "server_error_turns", at_most=0),
    Row("calls lost or refused", "calls_failed", at_most=0),
    Row("frame jitter p99", "jitter_p99_ms", "ms", at_most=10),
    Row("late frames", "late_frames"),
    Row("server CPU per call-minute", "cpu_s_per_call_minute", "s", at_most=0.25),
    Row("server memory per call", "memory_mb_per_call", "MB", at_most=1.0),
    Row("server memory kept after the calls", "memory_mb_kept", "MB"),
    Row("server tasks left", "tasks_left", at_most=0),
    Row("server loop lag p99", "server_loop_lag_p99_ms", "ms"),
    Row("server longest collector pause", "server_gc_pause_max_ms", "ms"),
    Row("load process: share of a core", "load.core_share", at_most=0.6),
    Row("load process: lateness p99", "load.lateness_p99_ms", "ms"),
)


def table_of(runs: Sequence[Mapping[str, Any]], rows: Sequence[Row] = ROWS) -> str:
    """A column for each run; a figure that misses its bound is marked with `!`."""
    head = ["simultaneous calls", *(str(run["calls"]) for run in runs), "target"]
    lines = [head]
    for row in rows:
        values = [value_at(run["figures"], row.path) for run in runs]
        lines.append([row.title, *(_cell(row, value) for value in values), _bound(row)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def misses(figures: Mapping[str, Any], rows: Sequence[Row] = ROWS) -> list[str]:
    """Titles of the figures that are out of bounds."""
    return [row.title for row in rows if not _within(row, value_at(figures, row.path))]


def value_at(figures: Mapping[str, Any], path: str) -> float | None:
    """The figure at a dotted path, or None."""
    value: Any = figures
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def _within(row: Row, value: float | None) -> bool:
    if value is None:
        return True
    return (row.at_most is None or value <= row.at_most) and (row.at_least is None or value >= row.at_least)


def _cell(row: Row, value: float | None) -> str:
    if value is None:
        return MISSING
    shown = f"{value:g}{' ' + row.unit if row.unit else ''}"
    return shown if _within(row, value) else f"! {shown}"


def _bound(row: Row) -> str:
    if row.at_most is not None:
        return f"≤ {row.at_most:g}"
    return f"≥ {row.at_least:g}" if row.at_least is not None else ""
