"""`kamerton model-latency`: what Kamerton adds to a model and a voice, and how soon an interruption frees the model."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Annotated, Final

import anyio
import typer

from kamerton.cli.bench_machine import circumstances
from kamerton.cli.bench_table import Row, misses, table_of
from kamerton.cli.common import explained, progress_line
from kamerton.testing.caller.model_latency import FIRST_TOKEN_MS, TOKEN_MS, VOICE_MS, measure

ROWS: Final = (
    Row("first clause → audio in hand p50, less the voice", "audio_in_hand_ms.p50", "ms"),
    Row("first clause → audio in hand p95, less the voice", "audio_in_hand_ms.p95", "ms"),
    Row("first clause → first frame p50, less the voice", "first_audio_ms.p50", "ms"),
    Row("first clause → first frame p95, less the voice", "first_audio_ms.p95", "ms", at_most=50),
    Row("of it: the checks wait for whole words", "checks_wait_ms.p50", "ms"),
    Row("barge-in → stream freed p50", "stream_freed_ms.p50", "ms"),
    Row("barge-in → stream freed p95", "stream_freed_ms.p95", "ms", at_most=50),
    Row("calls without a measure", "calls_failed", at_most=0),
)


def model_latency(
    calls: Annotated[int, typer.Option("--calls", min=1, max=200, help="Simultaneous calls.")] = 20,
    out: Annotated[Path | None, typer.Option("--out", help="Store the figures in this JSON file.")] = None,
) -> None:
    """Ask a stand-in model over real HTTP in many calls, interrupt its answers, and measure both.

    Exits with 1 when no run can be made; figures that miss their targets are marked with `!` and do not change the
    exit code.
    """
    with explained():
        progress_line(f"{calls} calls ask the stand-in model")
        gc.collect()
        gc.freeze()  # as the server does: full collections must not go over all that was loaded
        figures = anyio.run(measure, calls)
    run = {
        "calls": calls,
        "first_token_ms": FIRST_TOKEN_MS,
        "token_ms": TOKEN_MS,
        "voice_ms": VOICE_MS,
        "figures": figures,
        "missed_targets": misses(figures, ROWS),
    }
    print(table_of([run], ROWS))
    if out is not None:
        document = {**circumstances(), "runs": [run]}
        out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"\nstored in {out}")
