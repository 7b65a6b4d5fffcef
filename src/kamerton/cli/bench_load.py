"""The load process of `kamerton bench`: settings as JSON on standard input, figures as JSON on standard output."""

from __future__ import annotations

import gc
import json
import sys
import time
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np

from kamerton.domain.errors import KamertonError
from kamerton.testing.caller.load import LoadPlan, LoadResult, LoadRun, load_material
from kamerton.testing.caller.load_figures import figures_of, reacted_to, turns_of
from kamerton.testing.caller.metronome import Metronome


@dataclass(frozen=True, slots=True)
class LoadOrder:
    """What the load process is asked to do."""

    port: int
    audio: str
    plan: LoadPlan
    reply_s: float | None = None
    """Length of a reply that is spoken to its end, where it is known."""

    def as_json(self) -> str:
        """One line for the load process's standard input."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LoadOrder:
        """Read what `as_json` wrote."""
        fields = json.loads(text)
        plan = fields["plan"]
        dialogues = tuple(tuple(names) for names in plan.pop("dialogues"))
        return cls(fields["port"], fields["audio"], LoadPlan(**plan, dialogues=dialogues), fields["reply_s"])


def run_load(order: LoadOrder) -> dict[str, Any]:
    """Make the calls and measure them; blocks until the last one is over.

    Raises:
        ConfigurationError: the recordings cannot be used.
    """
    material = load_material(Path(order.audio), order.plan.seed)
    metronome = Metronome()
    run = LoadRun(order.plan, material, order.port, metronome)
    gc.collect()
    gc.disable()  # a pause here would be taken for one of the server's; the process lives for one run
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    result = anyio.run(run.run)
    spent = {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
    return {
        **figures_of(result.calls, order.reply_s, order.plan.missed_after_s),
        **_own_figures(result, metronome, spent),
        "account": _account(result),
    }


def _account(result: LoadResult) -> dict[str, Any]:
    """What the parent needs to read the server's own account: when the run was, and what was said in each call."""
    said = {
        str(call.line.call_id): {
            "asked": [astuple(sound) for sound in turns_of(call.exchanges)],
            "said": [(sound.onset_s, sound.end_s) for sound in reacted_to(call.exchanges)],
        }
        for call in result.calls
    }
    return {"begun_s": result.begun_s, "ended_s": result.ended_s, "calls": said}


def _own_figures(result: LoadResult, metronome: Metronome, spent: dict[str, float]) -> dict[str, Any]:
    """How well this process itself kept time: what it adds to the measured jitter."""
    lateness = np.asarray(metronome.lateness_ms)
    return {
        "calls_refused": len(result.refused),
        "first_refusal": result.refused[0] if result.refused else None,
        "load": {
            "core_share": round(spent["cpu_s"] / max(spent["wall_s"], 0.001), 3),
            "lateness_p99_ms": round(float(np.percentile(lateness, 99)), 2) if len(lateness) else None,
            "skipped_ticks": metronome.skipped_ticks,
        },
    }


def main() -> int:
    """Run one order from standard input; 1 and a message on standard error when it cannot be done."""
    try:
        figures = run_load(LoadOrder.from_json(sys.stdin.read()))
    except KamertonError as error:
        print(error, file=sys.stderr)
        return 1
    json.dump(figures, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
