"""`kamerton stt`: recognisers compared on recordings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from kamerton.cli.bench_machine import circumstances
from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.engines import engine_context
from kamerton.config.settings import Settings, load_settings
from kamerton.domain.errors import ConfigurationError, KamertonError
from kamerton.testing.comparison.figures import Compared, as_json, compared, differences, table
from kamerton.testing.comparison.run import Hearing, Plan, cpu_s, hear_all
from kamerton.testing.comparison.samples import Sample, load_samples
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.registry import RECOGNIZERS, engines_in

app = typer.Typer(help="Recognisers compared on recordings.", no_args_is_help=True)


@app.callback()
def stt() -> None:
    """Recognisers compared on recordings."""


@app.command()
def compare(
    folder: Annotated[Path, typer.Argument(help="WAV files with NAME.txt beside them, or with transcripts.tsv.")],
    engine: Annotated[
        str | None, typer.Option("--engine", help="Engines, with commas; by default those of the settings.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="As fast as the engine takes it, not in real time; some times are left out.")
    ] = False,
    language: Annotated[str, typer.Option("--language", help="Of the recordings: ru or uk.")] = "ru",
    out: Annotated[Path | None, typer.Option("--json", help="Store everything in this JSON file.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show every recording that was heard wrong.")] = False,
    config: ConfigFile = None,
) -> None:
    """Play recordings to recognisers as calls do, and show how well and how fast each one heard them.

    An engine that cannot be opened, and a recording that fails, is counted and the rest goes on. Exits with 1 when
    no engine could be opened.
    """
    with explained():
        settings = load_settings(config)
        engines = chosen_engines(settings, engine)
        samples, untold = load_samples(folder)
        if untold:
            progress_line(f"{len(untold)} recordings have no transcript and are left out: {', '.join(untold)}")
        plan = Plan(language, real_time=not fast)
        results = anyio.run(compare_all, settings, engines, samples, plan)
    print(table(results))
    for result in results if show else ():
        print("\n".join(["", f"{result.engine}:", *differences(result, samples, language)]))
    if out is not None:
        document = {
            **circumstances(),
            "folder": folder.name,
            "language": language,
            "real_time": plan.real_time,
            "engines": as_json(results, samples),
        }
        out.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"\nstored in {out}")
    if all(result.problem for result in results):
        raise typer.Exit(1)


def chosen_engines(settings: Settings, names: str | None) -> tuple[EngineType[Any], ...]:
    """The engines that are asked for, else those of the settings.

    Raises:
        ConfigurationError: there is no engine of a name.
    """
    known = engines_in(RECOGNIZERS)
    if names is not None:
        wanted: Sequence[str] = [name.strip() for name in names.split(",") if name.strip()]
    else:
        wanted = settings.recognizer.chain
    for name in wanted:
        if name not in known:
            raise ConfigurationError(f"there is no recogniser '{name}'; known are {', '.join(known)}")
    if not wanted:
        raise ConfigurationError(f"--engine names none; known are {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(wanted))


async def compare_all(
    settings: Settings, engines: Sequence[EngineType[Any]], samples: Sequence[Sample], plan: Plan
) -> list[Compared]:
    """One engine after another, so that none takes another's processor."""
    context = engine_context(settings, plan.language, progress_line)
    return [
        await compare_one(engine, settings.recognizer.options(engine.name), context, samples, plan)
        for engine in engines
    ]


async def compare_one(
    engine: EngineType[Any], options: Any, context: EngineContext, samples: Sequence[Sample], plan: Plan
) -> Compared:
    """Open an engine, play everything to it, close it."""
    progress_line(f"{engine.name}: opening")
    if engine.languages is not None and context.language not in engine.languages:
        return Compared(engine.name, problem=f"it knows {', '.join(engine.languages)}, not '{context.language}'")
    try:
        recognizer = await engine.open(options, context)
    except KamertonError as error:
        return Compared(engine.name, problem=str(error))
    done = 0

    def tell(hearing: Hearing) -> None:
        nonlocal done
        done += 1
        failed = f" failed: {hearing.failure}" if hearing.failure else ""
        progress_line(f"{engine.name}: {done} of {len(samples)}, {hearing.sample}{failed}")

    try:
        before_s = cpu_s()
        hearings = await hear_all(recognizer, samples, plan, tell)
        spent_s = cpu_s() - before_s
    finally:
        with anyio.CancelScope(shield=True):
            await recognizer.aclose()
    work_s = None if engine.is_service else spent_s
    return compared(engine.name, recognizer.name, samples, hearings, plan.language, work_s)
