"""`kamerton bench`: how fast, how even and how dear many simultaneous calls are, measured at the callers' wire."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kamerton.cli.bench_machine import circumstances
from kamerton.cli.bench_run import WARM_UP, run_step
from kamerton.cli.bench_server import serve_command
from kamerton.cli.bench_table import REAL_ROWS, ROWS, lines_table, misses, table_of
from kamerton.cli.common import ConfigFile, explained
from kamerton.config.voices import STAND_IN_REPLY_MS
from kamerton.domain.errors import ConfigurationError
from kamerton.testing.caller.line_profile import CLEAN, parse_lines
from kamerton.testing.caller.load import LoadPlan

CHECKOUT: Final = Path(__file__).resolve().parents[3]
CALLERS: Final = CHECKOUT / "bench" / "callers"
SAMPLES: Final = CHECKOUT / "assistants" / "insurance" / "samples"
"""Where recordings are looked for when no folder is given; with the real engines the samples of their assistant."""
CALLS_PER_RAMP_S: Final = 20
REAL_DIALOGUES: Final = (
    ("number-150.wav", "number-2.wav", "number-25.wav", "documents.wav", "correct-150.wav", "card.wav"),
    ("documents.wav", "number-125.wav", "number-2.wav", "number-25.wav", "card.wav"),
    ("hello.wav", "card.wav", "number-150.wav", "number-2.wav", "number-25.wav", "documents.wav"),
)
"""What callers say to the insurance assistant: a quote, and questions before and after it. No recording has a pause
that endpointing might take for its end."""
REAL_QUIET_S: Final = 2.5
"""Longer than the pauses between fillers, so that nobody speaks into a wait."""
REAL_MISSED_AFTER_S: Final = 15.0


class Engines(StrEnum):
    """What hears and speaks in the server under test."""

    STAND_IN = "stand-in"
    REAL = "real"


def bench(
    calls: Annotated[int, typer.Option("--calls", min=1, max=2000, help="Simultaneous calls.")] = 10,
    seconds: Annotated[float, typer.Option("--seconds", min=5, max=3600, help="Length of each call.")] = 60.0,
    out: Annotated[Path | None, typer.Option("--out", help="Store the figures in this JSON file.")] = None,
    ladder: Annotated[
        str | None, typer.Option("--ladder", metavar="N,N,…", help="Several runs, one for each N.")
    ] = None,
    line: Annotated[
        str,
        typer.Option(
            "--line",
            metavar="LINE,…",
            help="Lines that callers have: clean, noisy, echo, lossy, mobile, music; a run for each.",
        ),
    ] = CLEAN,
    engines: Annotated[
        Engines, typer.Option("--engines", help="Engines that cost nothing, or those of the settings.")
    ] = Engines.STAND_IN,
    spread: Annotated[
        float | None,
        typer.Option("--spread", min=0, max=600, help="Callers begin within so many seconds; 0: all at once."),
    ] = None,
    audio: Annotated[Path | None, typer.Option("--audio", help="Folder of recordings of callers (WAV).")] = None,
    seed: Annotated[int, typer.Option("--seed", help="The callers' behaviour and their lines follow from it.")] = 1,
    config: ConfigFile = None,
) -> None:
    """Measure many simultaneous calls: real audio path and VAD, instant stand-in engines, a separate load process.

    Starts a server of its own on free ports for each run. Exits with 1 when a run cannot be made; figures that miss
    their targets are marked with `!` and do not change the exit code.
    """
    real = engines is Engines.REAL
    rows = REAL_ROWS if real else ROWS
    with explained():
        steps = _ladder(ladder) if ladder else (calls,)
        lines = parse_lines(line)
        folder = _recordings(audio, real=real)
        serve = serve_command(stand_ins=not real, config=config)
        runs = []
        for profile in lines:
            for step in steps:
                plan = LoadPlan(step, seconds, seed, ramp_s=ramp_s(step), line=profile.typical.line)
                plan = _talking_to_engines(plan, folder) if real else plan
                plan = plan if spread is None else replace(plan, ramp_s=spread)
                warm_up = replace(plan, calls=2, seconds=20.0, ramp_s=0.5, line=CLEAN, seed=99) if real else WARM_UP
                reply_s = None if real else STAND_IN_REPLY_MS / 1000
                run = run_step(plan, folder, serve=serve, warm_up=warm_up, reply_s=reply_s)
                runs.append(run | {"engines": engines.value, "missed_targets": misses(run["figures"], rows)})
    document = {**circumstances(), "audio": folder.name, "runs": runs}
    _show(runs, real=real, one_line=len(lines) == 1)
    if out is not None:
        out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"\nstored in {out}")


def ramp_s(calls: int) -> float:
    """Over how long the calls of a run begin, unless told."""
    return max(1.0, calls / CALLS_PER_RAMP_S)


def _talking_to_engines(plan: LoadPlan, folder: Path) -> LoadPlan:
    """Callers who say what makes sense, wait for real answers, and all begin at once unless told."""
    known = {path.name for path in folder.glob("*.wav")}
    return replace(
        plan,
        ramp_s=0.0,
        dialogues=tuple(names for names in REAL_DIALOGUES if known.issuperset(names)),
        quiet_s=REAL_QUIET_S,
        missed_after_s=REAL_MISSED_AFTER_S,
        redials=False,
        barge_in_share=0.0,
        backchannel_share=0.0,
        cough_share=0.0,
    )


def _show(runs: list[dict[str, Any]], *, real: bool, one_line: bool) -> None:
    if one_line:
        print(f"line: {runs[0]['line']['line']}")
        print(table_of(runs, REAL_ROWS if real else ROWS))
    else:
        print(lines_table(runs, real=real))


def _recordings(audio: Path | None, *, real: bool) -> Path:
    usual = (SAMPLES, CALLERS) if real else (CALLERS, SAMPLES)
    for folder in (audio,) if audio else usual:
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
