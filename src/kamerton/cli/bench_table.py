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
    Row("turns nobody had spoken", "self_answered_turns", at_most=0),
    Row("false intrusions per minute of bot speech", "false_intrusions_per_minute"),
    Row("replies spoken whole (share)", "whole_replies_share"),
    Row("turns answered with an error", "server_error_turns", at_most=0),
    Row("calls lost or refused", "calls_failed", at_most=0),
    Row("frame jitter p99", "jitter_p99_ms", "ms", at_most=10),
    Row("late frames", "late_frames"),
    Row("server CPU per call-minute", "cpu_s_per_call_minute", "s", at_most=0.25),
    Row("of it above an idle server's", "cpu_s_per_call_minute_above_idle", "s"),
    Row("server CPU while idle, per minute", "cpu_s_idle_per_minute", "s"),
    Row("server memory per call", "memory_mb_per_call", "MB", at_most=1.0),
    Row("server memory kept after the calls", "memory_mb_kept", "MB"),
    Row("server tasks left", "tasks_left", at_most=0),
    Row("server loop lag p99", "server_loop_lag_p99_ms", "ms"),
    Row("server longest collector pause", "server_gc_pause_max_ms", "ms"),
    Row("load process: share of a core", "load.core_share", at_most=0.6),
    Row("load process: lateness p99", "load.lateness_p99_ms", "ms"),
)


REAL_ROWS: Final = (
    Row("real answer p50", "answer_ms.p50", "ms"),
    Row("real answer p95", "answer_ms.p95", "ms", at_most=2000),
    Row("real answer, longest", "answer_ms.maximum", "ms"),
    Row("first sound, filler or answer, p50", "response_ms.p50", "ms"),
    Row("first sound, filler or answer, p95", "response_ms.p95", "ms"),
    Row("first sound, filler or answer, longest", "response_ms.maximum", "ms"),
    Row("greeting audible p95", "greeting_ms.p95", "ms"),
    Row("turns", "turns"),
    Row("missed turns", "missed_turns", at_most=0),
    Row("early turns", "early_turns", at_most=0),
    Row("turns given up", "given_up_turns", at_most=0),
    Row("turns nobody had spoken", "self_answered_turns", at_most=0),
    Row("calls turned away with a phrase", "calls_turned_away"),
    Row("calls lost or refused", "calls_failed", at_most=0),
    Row("late frames", "late_frames"),
    Row("server CPU per call-minute", "cpu_s_per_call_minute", "s"),
    Row("server CPU, share of a core", "cpu_core_share"),
    Row("server CPU while idle, per minute", "cpu_s_idle_per_minute", "s"),
    Row("server loop lag p99", "server_loop_lag_p99_ms", "ms"),
    Row("load process: lateness p99", "load.lateness_p99_ms", "ms"),
)
"""Of runs with the real engines: their replies have pauses and lengths of their own, so only time and loss are told."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table of lines: two lines of title, and how its value is written."""

    title: tuple[str, str]
    path: str
    share: bool = False
    """Written in per cent."""


_TURNS: Final = (
    Column(("turns", ""), "turns"),
    Column(("answ.", "%"), "answered_share", share=True),
    Column(("miss", "%"), "missed_share", share=True),
    Column(("early", "%"), "early_share", share=True),
)
LINE_COLUMNS: Final = (
    *_TURNS,
    Column(("un-", "asked"), "spurious_turns"),
    Column(("un-", "said"), "self_answered_turns"),
    Column(("p50", "ms"), "response_ms.p50"),
    Column(("p95", "ms"), "response_ms.p95"),
    Column(("false", "/min"), "false_intrusions_per_minute"),
    Column(("whole", "%"), "whole_replies_share", share=True),
    Column(("yield", "p95"), "silence_ms.p95"),
    Column(("no", "yield"), "barge_ins_without_yield"),
    Column(("«угу»", "%"), "backchannels_went_on_share", share=True),
    Column(("cough", "%"), "coughs_went_on_share", share=True),
    Column(("CPU", "s/min"), "cpu_s_per_call_minute"),
)
REAL_LINE_COLUMNS: Final = (
    *_TURNS,
    Column(("given", "up"), "given_up_turns"),
    Column(("un-", "said"), "self_answered_turns"),
    Column(("first", "p50 ms"), "response_ms.p50"),
    Column(("sound", "p95 ms"), "response_ms.p95"),
    Column(("real", "p50 ms"), "answer_ms.p50"),
    Column(("answer", "p95 ms"), "answer_ms.p95"),
    Column(("CPU", "s/min"), "cpu_s_per_call_minute"),
)


def lines_table(runs: Sequence[Mapping[str, Any]], *, real: bool = False) -> str:
    """A row for each run, headed by its line and its number of calls; fits into 100 columns."""
    columns = REAL_LINE_COLUMNS if real else LINE_COLUMNS
    lines = [["line", "calls", *(column.title[0] for column in columns)]]
    lines.append(["", "", *(column.title[1] for column in columns)])
    for run in runs:
        values = [(column, value_at(run["figures"], column.path)) for column in columns]
        lines.append([run["line"]["line"], str(run["calls"]), *(_short(column, value) for column, value in values)])
    return _aligned(lines, gap=1)


def table_of(runs: Sequence[Mapping[str, Any]], rows: Sequence[Row] = ROWS) -> str:
    """A column for each run; a figure that misses its bound is marked with `!`."""
    head = ["simultaneous calls", *(str(run["calls"]) for run in runs), "target"]
    lines = [head]
    for row in rows:
        values = [value_at(run["figures"], row.path) for run in runs]
        lines.append([row.title, *(_cell(row, value) for value in values), _bound(row)])
    return _aligned(lines, gap=2)


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


def _short(column: Column, value: float | None) -> str:
    if value is None:
        return MISSING
    if column.share:
        return f"{value * 100:.0f}"
    whole = value == int(value) or value >= 100 or column.path.endswith(("p50", "p95"))
    return f"{value:.0f}" if whole else f"{value:.3g}"


def _aligned(lines: Sequence[Sequence[str]], gap: int) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        (" " * gap).join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
