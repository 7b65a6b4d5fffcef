from __future__ import annotations

import json

import pytest

from kamerton.cli.bench import ramp_s
from kamerton.cli.bench_load import LoadOrder
from kamerton.cli.bench_run import decided
from kamerton.cli.bench_table import MISSING, ROWS, misses, table_of, value_at
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
    order = LoadOrder(9092, "recordings", LoadPlan(200, 60.0, seed=7, ramp_s=10.0))
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
