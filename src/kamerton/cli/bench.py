"""`kamerton bench`: how fast, how even and how dear many simultaneous calls are, measured at the callers' wire."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import psutil
import typer

from kamerton.cli.bench_load import LoadOrder
from kamerton.cli.bench_server import SERVE_COMMAND, ServerUnderTest, server_under_test
from kamerton.cli.bench_table import misses, table_of
from kamerton.cli.common import explained, progress_line
from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.testing.caller.load import LoadPlan
from kamerton.testing.caller.load_figures import Spread

CHECKOUT: Final = Path(__file__).resolve().parents[3]
SAMPLE_FOLDERS: Final = (
    CHECKOUT / "bench" / "callers",
    CHECKOUT / "assistants" / "insurance" / "samples",
)
"""Where recordings are looked for when no folder is given."""
CALLS_OVER_S: Final = 10.0
SETTLE_S: Final = 2.0
LOAD_GRACE_S: Final = 60.0
WARM_UP: Final = LoadPlan(calls=2, seconds=8.0, ramp_s=0.5, seed=99)
"""Said before anything is measured: the first call of a process loads what later ones find."""
CALLS_PER_RAMP_S: Final = 20
LOAD_COMMAND: Final = (sys.executable, "-m", "kamerton.cli.bench_load")


def bench(
    calls: Annotated[int, typer.Option("--calls", min=1, max=2000, help="Simultaneous calls.")] = 10,
    seconds: Annotated[float, typer.Option("--seconds", min=5, max=3600, help="Length of each call.")] = 60.0,
    out: Annotated[Path | None, typer.Option("--out", help="Store the figures in this JSON file.")] = None,
    ladder: Annotated[
        str | None, typer.Option("--ladder", metavar="N,N,…", help="Several runs, one for each N.")
    ] = None,
    audio: Annotated[Path | None, typer.Option("--audio", help="Folder of recordings of callers (WAV).")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The callers' behaviour follows from it.")] = 1,
) -> None:
    """Measure many simultaneous calls: real audio path and VAD, instant stand-in engines, a separate load process.

    Starts a server of its own on free ports for each run. Exits with 1 when a run cannot be made; figures that miss
    their targets are marked with `!` and do not change the exit code.
    """
    with explained():
        steps = _ladder(ladder) if ladder else (calls,)
        folder = _recordings(audio)
        runs = [run_step(LoadPlan(step, seconds, seed, ramp_s=ramp_s(step)), folder) for step in steps]
    document = {**circumstances(), "audio": folder.name, "runs": runs}
    print(table_of(runs))
    if out is not None:
        out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"\nstored in {out}")


def run_step(
    plan: LoadPlan, folder: Path, *, serve: Sequence[str] = SERVE_COMMAND, warm_up: LoadPlan = WARM_UP
) -> dict[str, Any]:
    """Start a server, load it, end it; returns the settings and figures of the run.

    Raises:
        EngineError: the server or the load process failed.
        ConfigurationError: the recordings cannot be used.
    """
    progress_line(f"{plan.calls} calls of {plan.seconds:g} s: starting a server")
    with server_under_test(serve) as server:
        _load(LoadOrder(server.audiosocket_port, str(folder), warm_up))
        before = server.calls_over(CALLS_OVER_S)
        memory_before_mb, cpu_before_s = server.memory_mb(), server.cpu_s()
        counted = server.counters()
        progress_line(f"{plan.calls} calls of {plan.seconds:g} s: calling")
        with server.watched():
            measured = _load(LoadOrder(server.audiosocket_port, str(folder), plan))
        cpu_s = server.cpu_s() - cpu_before_s
        after = server.calls_over(CALLS_OVER_S)
        threading.Event().wait(SETTLE_S)  # the server gives memory back
        figures = measured | _server_figures(server, plan, before | {"rss_mb": memory_before_mb}, after)
    minutes = max(measured["call_minutes"], 1e-6)
    figures["cpu_s_per_call_minute"] = round(cpu_s / minutes, 4)
    counters = {name: value - counted.get(name, 0.0) for name, value in figures.pop("counters").items()}
    figures["server_counters"] = counters
    figures["server_error_turns"] = counters.get("kamerton_turns_total.error", 0.0)
    return {
        "calls": plan.calls,
        "seconds": plan.seconds,
        "seed": plan.seed,
        "ramp_s": plan.ramp_s,
        "figures": figures,
        "missed_targets": misses(figures),
    }


def decided(before: Mapping[str, Any], after: Mapping[str, Any]) -> Spread:
    """From the request of a decision to the first frame of its answer, over the turns between two states of a server.

    Args:
        before: what the server said of itself before the run.
        after: the same afterwards; without decisions in it, nothing was measured.
    """
    new = after.get("decisions", 0) - before.get("decisions", 0)
    return Spread.of(after["decisions_ms"][-new:] if new > 0 else ())


def ramp_s(calls: int) -> float:
    """Over how long the calls of a run begin."""
    return max(1.0, calls / CALLS_PER_RAMP_S)


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


def _recordings(audio: Path | None) -> Path:
    for folder in (audio,) if audio else SAMPLE_FOLDERS:
        if folder.is_dir() and any(folder.glob("*.wav")):
            return folder
    where = f"'{audio}' holds no WAV file" if audio else "no recordings of callers were found"
    raise ConfigurationError(f"{where}: give a folder of them with --audio DIR")


def _ladder(text: str) -> tuple[int, ...]:
    try:
        steps = tuple(int(part) for part in text.split(","))
    except ValueError:
        steps = ()
    if not steps or min(steps) < 1:
        raise ConfigurationError(f"--ladder {text}: give numbers of calls such as 10,50,100,200")
    return steps


def circumstances() -> dict[str, Any]:
    """Machine, versions and date, so that figures can be compared."""
    names = ("kamerton", "anyio", "numpy", "onnxruntime")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu_model(),
            "cores": psutil.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
            "system": platform.platform(),
        },
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in names}},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
