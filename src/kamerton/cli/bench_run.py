"""One run of `kamerton bench`: a server is started, loaded, measured and ended."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from kamerton.cli.bench_load import LoadOrder
from kamerton.cli.bench_server import SERVE_COMMAND, ServerUnderTest, server_under_test
from kamerton.cli.common import progress_line
from kamerton.domain.errors import EngineError
from kamerton.testing.caller.line_profile import line_profile
from kamerton.testing.caller.load import LoadPlan
from kamerton.testing.caller.load_figures import Spread
from kamerton.testing.caller.server_turns import answers_ms, given_up, self_answered
from kamerton.testing.caller.wire_measure import Sound

CALLS_OVER_S: Final = 10.0
IDLE_S: Final = 5.0
SETTLE_S: Final = 2.0
LOAD_GRACE_S: Final = 60.0
WARM_UP: Final = LoadPlan(calls=2, seconds=8.0, ramp_s=0.5, seed=99)
"""Said before anything is measured: the first call of a process loads what later ones find."""
LOAD_COMMAND: Final = (sys.executable, "-m", "kamerton.cli.bench_load")


def run_step(
    plan: LoadPlan,
    folder: Path,
    *,
    serve: Sequence[str] = SERVE_COMMAND,
    warm_up: LoadPlan = WARM_UP,
    reply_s: float | None = None,
    idle_s: float = IDLE_S,
) -> dict[str, Any]:
    """Start a server, load it, end it; returns the settings and figures of the run.

    Args:
        plan: who calls.
        folder: what they say.
        serve: the command that starts the server.
        warm_up: calls that come first and are not counted.
        reply_s: length of a reply that is spoken to its end, where it is known.
        idle_s: how long the server is watched while nobody calls.

    Raises:
        EngineError: the server or the load process failed.
        ConfigurationError: the recordings cannot be used.
    """
    title = f"{plan.calls} calls of {plan.seconds:g} s, line {plan.line}"
    progress_line(f"{title}: starting a server")
    with server_under_test(serve) as server:
        _load(LoadOrder(server.audiosocket_port, str(folder), warm_up))
        before = server.calls_over(CALLS_OVER_S)
        idle_cpu_s = server.idle_cpu_s_per_minute(idle_s)
        memory_before_mb, counted = server.memory_mb(), server.counters()
        progress_line(f"{title}: calling")
        with server.watched():
            measured = _load(LoadOrder(server.audiosocket_port, str(folder), plan, reply_s))
        after = server.calls_over(CALLS_OVER_S)
        threading.Event().wait(SETTLE_S)  # the server gives memory back, and its log is written
        account = measured.pop("account")
        figures = measured | _server_figures(server, plan, before | {"rss_mb": memory_before_mb}, after)
        figures |= _cpu_figures(server, account, figures["call_minutes"], idle_cpu_s) | _turn_figures(server, account)
    counters = {name: value - counted.get(name, 0.0) for name, value in figures.pop("counters").items()}
    figures["server_counters"] = counters
    figures["server_error_turns"] = counters.get("kamerton_turns_total.error", 0.0)
    return {
        "line": line_profile(plan.line).as_json(),
        "calls": plan.calls,
        "seconds": plan.seconds,
        "seed": plan.seed,
        "ramp_s": plan.ramp_s,
        "figures": figures,
    }


def decided(before: Mapping[str, Any], after: Mapping[str, Any]) -> Spread:
    """From the request of a decision to the first frame of its answer, over the turns between two states of a server.

    Args:
        before: what the server said of itself before the run.
        after: the same afterwards; without decisions in it, nothing was measured.
    """
    new = after.get("decisions", 0) - before.get("decisions", 0)
    return Spread.of(after["decisions_ms"][-new:] if new > 0 else ())


def _server_figures(
    server: ServerUnderTest, plan: LoadPlan, before: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    samples = server.rss_mb[len(server.rss_mb) // 2 :] or [server.memory_mb()]
    kept_mb = server.memory_mb() - before["rss_mb"]
    pauses_ms = after.get("gc_pauses_ms") or []
    return {
        "calls_left": after["calls"],
        "decision_ms": asdict(decided(before, after)),
        "memory_mb_before": round(before["rss_mb"], 1),
        "memory_mb_under_load": round(median(samples), 1),
        "memory_mb_per_call": round(max(0.0, median(samples) - before["rss_mb"]) / plan.calls, 3),
        "memory_mb_kept": round(kept_mb, 1),
        "tasks_left": after["tasks"] - before["tasks"],
        "server_loop_lag_p99_ms": after.get("loop_lag_p99_ms"),
        "server_gc_pauses": len(pauses_ms),
        "server_gc_pause_max_ms": round(max(pauses_ms, default=0.0), 1),
        "counters": server.counters(),
    }


def _cpu_figures(
    server: ServerUnderTest, account: Mapping[str, Any], call_minutes: float, idle_cpu_s: float
) -> dict[str, Any]:
    """What the server spent from the first call to the end of the last one, and what of it calls caused."""
    wall_s = max(account["ended_s"] - account["begun_s"], 1e-6)
    cpu_s = server.cpu_between_s(account["begun_s"], account["ended_s"])
    minutes = max(call_minutes, 1e-6)
    return {
        "cpu_s_per_call_minute": round(cpu_s / minutes, 4),
        "cpu_s_per_call_minute_above_idle": round(max(0.0, cpu_s - idle_cpu_s * wall_s / 60) / minutes, 4),
        "cpu_s_idle_per_minute": round(idle_cpu_s, 3),
        "cpu_core_share": round(cpu_s / wall_s, 3),
    }


def _turn_figures(server: ServerUnderTest, account: Mapping[str, Any]) -> dict[str, Any]:
    """What the server's log tells of its turns, beside what callers said."""
    turns = [turn for turn in server.turns() if turn.call_id in account["calls"]]
    asked, said = (
        {call_id: [Sound(*each) for each in sounds[kind]] for call_id, sounds in account["calls"].items()}
        for kind in ("asked", "said")
    )
    return {
        "server_turns": len(turns),
        "self_answered_turns": self_answered(turns, said),
        "given_up_turns": given_up(turns),
        "answer_ms": asdict(Spread.of(answers_ms(turns, asked))),
    }


def _load(order: LoadOrder) -> dict[str, Any]:
    limit_s = order.plan.seconds + order.plan.ramp_s + LOAD_GRACE_S
    try:
        done = subprocess.run(
            LOAD_COMMAND, input=order.as_json(), capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"the load process did not end within {limit_s:.0f} s: the machine is overloaded") from error
    if done.returncode:
        raise EngineError(f"the load process failed: {done.stderr.strip()[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    figures["calls_failed"] = figures["calls_lost"] + figures["calls_refused"]
    return figures
