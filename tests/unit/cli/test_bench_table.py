from __future__ import annotations

import json

import pytest

from kamerton.cli.bench import ramp_s
from kamerton.cli.bench_load import LoadOrder
from kamerton.cli.bench_run import decided
from kamerton.cli.bench_table import MISSING, REAL_ROWS, ROWS, lines_table, misses, table_of, value_at
from kamerton.testing.caller.load import LoadPlan

GOOD = {
    "response_ms": {"p50": 250.0, "p95": 390.0},
    "jitter_p99_ms": 3.1,
    "missed_turns": 0,
    "cpu_s_per_call_minute": 0.25,
    "backchannels_went_on_share": 0.95,
}


def test_figures_within_their_bounds_are_not_marked() -> None:
    assert misses(GOOD) == []
    assert "!" not in table_of([{"calls": 10, "figures": GOOD}])


@pytest.mark.parametrize(
    ("figures", "title"),
    [
        ({"response_ms": {"p50": 300.1}}, "response p50"),
        ({"decision_ms": {"p50": 9.0, "p95": 20.1}}, "decision → first frame p95"),
        ({"missed_turns": 1}, "missed turns"),
        ({"tasks_left": 2}, "server tasks left"),
        ({"backchannels_went_on_share": 0.5}, "«угу»: bot went on (share)"),
    ],
)
def test_a_figure_out_of_bounds_is_marked(figures: dict[str, object], title: str) -> None:
    assert misses(figures) == [title]
    marked = [line for line in table_of([{"calls": 1, "figures": figures}]).splitlines() if "!" in line]
    assert len(marked) == 1
    assert marked[0].startswith(title)


def test_a_run_is_a_column_and_what_was_not_measured_is_a_dash() -> None:
    table = table_of([{"calls": 10, "figures": GOOD}, {"calls": 200, "figures": {}}])
    lines = table.splitlines()
    assert lines[0].split()[-3:] == ["10", "200", "target"]
    assert len(lines) == 1 + len(ROWS)
    jitter = next(line for line in lines if line.startswith("frame jitter"))
    assert "3.1 ms" in jitter
    assert MISSING in jitter
    assert len({len(line) for line in lines}) == 1


def test_a_value_is_found_by_its_path() -> None:
    assert value_at({"load": {"core_share": 0.5}}, "load.core_share") == 0.5
    assert value_at({}, "load.core_share") is None
    assert value_at({"load": 3}, "load.core_share") is None


def test_an_order_survives_the_way_to_the_load_process() -> None:
    plan = LoadPlan(200, 60.0, seed=7, ramp_s=10.0, line="echo", dialogues=(("a.wav", "b.wav"), ("b.wav",)))
    order = LoadOrder(9092, "recordings", plan, reply_s=3.0)
    assert LoadOrder.from_json(order.as_json()) == order
    assert "\n" not in order.as_json()
    assert json.loads(order.as_json())["plan"]["calls"] == 200


def test_only_decisions_of_the_run_count() -> None:
    before = {"decisions": 3, "decisions_ms": [900.0, 900.0, 900.0]}
    after = {"decisions": 5, "decisions_ms": [900.0, 900.0, 900.0, 10.0, 20.0]}
    spread = decided(before, after)
    assert (spread.count, spread.p50, spread.maximum) == (2, 15.0, 20.0)
    assert decided(after, after).count == 0
    assert decided({}, {}).p95 is None


def test_calls_begin_over_a_span_that_grows_with_their_number() -> None:
    assert ramp_s(1) == 1.0
    assert ramp_s(200) == 10.0


@pytest.mark.parametrize("real", [False, True])
def test_every_line_is_a_row_and_the_table_fits_a_terminal(real: bool) -> None:
    worst = {
        "turns": 15210,
        "answered_share": 1.0,
        "missed_share": 1.0,
        "early_share": 1.0,
        "spurious_turns": 1234,
        "self_answered_turns": 1234,
        "given_up_turns": 1234,
        "response_ms": {"p50": 12345.6, "p95": 12345.6},
        "answer_ms": {"p50": 12345.6, "p95": 12345.6},
        "false_intrusions_per_minute": 104.27,
        "whole_replies_share": 0.123,
        "silence_ms": {"p95": 1234.5},
        "barge_ins_without_yield": 1234,
        "backchannels_went_on_share": 1.0,
        "coughs_went_on_share": 1.0,
        "cpu_s_per_call_minute": 12.3456,
    }
    runs = [
        {"line": {"line": name}, "calls": 200, "figures": figures}
        for name, figures in (("clean", {}), ("mobile", worst))
    ]
    lines = lines_table(runs, real=real).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["clean", "mobile"]
    assert max(len(line) for line in lines) <= 100
    assert len({len(line) for line in lines}) == 1
    assert MISSING in lines[2]
    assert "100" in lines[3].split()


def test_runs_with_real_engines_have_their_own_rows() -> None:
    assert misses({"answer_ms": {"p95": 2100.0}, "given_up_turns": 1}, REAL_ROWS) == [
        "real answer p95",
        "turns given up",
    ]
    slow = {"calls": 10, "figures": {"answer_ms": {"p95": 2100.0}}}
    assert "! 2100 ms" in table_of([slow], REAL_ROWS)
