"""`kamerton call`: plays recordings as one caller, in real time, over the real AudioSocket transport."""

from __future__ import annotations

import json
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import anyio
import typer

from kamerton.audio.wav import write_wav_file
from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.composition import open_engine
from kamerton.config.settings import Settings, load_settings
from kamerton.domain.errors import ConfigurationError
from kamerton.observability.json_log import configure_logging
from kamerton.observability.masking import mask_text, masked_report
from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.testing.caller.call_report import BargeIn, CallReport
from kamerton.testing.caller.line_impairment import LineImpairment
from kamerton.testing.caller.line_profile import CLEAN, line_profile
from kamerton.testing.caller.line_sounds import LineSounds
from kamerton.testing.caller.recordings import load_recording
from kamerton.testing.caller.script import parse_script
from kamerton.testing.caller.talk import CallOutcome, Line, run_call
from kamerton.transports.audiosocket.server import AudioSocketTransport

EXIT_TROUBLE = 1
EXIT_INTERRUPTED = 130


def call(
    wavs: Annotated[
        list[str],
        typer.Argument(metavar="WAV[@S] ...", help="Said after the bot has finished, or S seconds into its reply."),
    ],
    assistant: Annotated[
        str | None, typer.Option("--assistant", metavar="NAME", help="By default the configured one.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Store what the caller hears as a WAV file.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Store a JSON report of the call.")] = None,
    line: Annotated[
        str, typer.Option("--line", metavar="LINE", help="The caller's line: clean, noisy, echo, lossy or mobile.")
    ] = CLEAN,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Draw this caller's share of the line; the typical one without.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Play WAV files (any rate, any number of channels) as one caller and show what is said, heard and answered.

    Personal data is masked in what is printed and in the report, as in the log.

    The engine runs in this process behind a real AudioSocket server on a free port; times are measured at the
    caller's end. Ctrl-C hangs up and still writes the report. Exits with 1 when the call could not be brought to its
    end, with 130 after Ctrl-C.
    """
    with explained():
        settings = load_settings(config, **({"assistant": assistant} if assistant else {}))
        lines = _lines(wavs)
        impairment = _impairment(line, seed, lines)
        for path in (out, report):
            _check_writable(path)
        logs = configure_logging("warning", sys.stderr, "console")
        try:
            outcome, interrupted = anyio.run(_place_call, settings, lines, impairment)
        finally:
            logs.stop()
        shown = outcome.report.with_values(masked_report)
        _store(outcome, shown, out, report)
    print("\n".join(summary(shown)))
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if outcome.trouble is not None:
        progress_line(f"the call did not come to its end: {outcome.trouble}")
        raise typer.Exit(EXIT_TROUBLE)


def summary(report: CallReport) -> Iterator[str]:
    """The report in a few lines for people."""
    yield f"call {report.call_id} of '{report.assistant}', ended by the {report.ended_by}"
    if report.line:
        yield "  line: " + ", ".join(f"{name} = {value}" for name, value in report.line.items() if value)
    for turn in report.turns:
        waited = "" if turn.response_ms is None else f" answered after {turn.response_ms:.0f} ms"
        said = f" «{turn.user_text}»" if turn.user_text else ""
        yield f"  {turn.index:>2} {turn.path:<9}{said} {turn.state_before} → {turn.state_after}{waited}"
    for barge_in in report.barge_ins:
        yield f"  barge-in {_told(barge_in)}"
    if report.state:
        yield "  state: " + ", ".join(f"{name} = {value}" for name, value in report.state.items())
    for used in report.usage:
        what = " ".join(part for part in (used["vendor"], used["model"]) if part)
        price = "no price" if used["cost"] is None else f"{used['cost']:g} {used['currency']}"
        yield f"  used: {what}: {used['amount']:g} {used['unit']} ({price})"
    if report.cost:
        yield "  cost: " + ", ".join(f"{cost:g} {currency}" for currency, cost in report.cost.items())


def _told(barge_in: BargeIn) -> str:
    ducked, silent = (
        "never" if value is None else f"after {value:.0f} ms" for value in (barge_in.duck_ms, barge_in.silence_ms)
    )
    if barge_in.finished:
        return "after the end of the reply"
    if barge_in.in_pause:
        return f"into a pause between words: silent {silent}"
    return f"quieter {ducked}, silent {silent}"


def _masked_progress(text: str) -> None:
    progress_line(mask_text(text, said=True))


def _impairment(line: str, seed: int | None, lines: Sequence[Line]) -> LineImpairment | None:
    profile = line_profile(line)
    if line == CLEAN:
        return None
    damage = profile.typical if seed is None else profile.draw(random.Random(seed))
    return LineImpairment(damage, LineSounds(seed or 1, [item.recording for item in lines]), seed or 1)


async def _place_call(
    settings: Settings, lines: Sequence[Line], impairment: LineImpairment | None
) -> tuple[CallOutcome, bool]:
    """Open the engine, call it, close it; returns the outcome and whether the user broke it off."""
    recorder = TurnRecorder()
    transport = AudioSocketTransport(replace(settings.audiosocket, host="127.0.0.1", port=0))
    stop = anyio.Event()
    async with (
        open_engine(settings, observers=(recorder,), progress=progress_line) as engine,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_stop_on_signal, stop)
        port: int = await tasks.start(transport.serve, engine.handler)
        outcome = await run_call(port, lines, recorder, progress=_masked_progress, stop=stop, impairment=impairment)
        tasks.cancel_scope.cancel()
    return outcome, stop.is_set()


async def _stop_on_signal(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            stop.set()


def _lines(wavs: list[str]) -> tuple[Line, ...]:
    lines = []
    for item in parse_script(wavs):
        recording = load_recording(item.path)
        if not recording.has_speech:
            progress_line(f"{item.path}: no speech was found in it; it is played as it is")
        lines.append(Line(recording, item.at_s))
    return tuple(lines)


def _check_writable(path: Path | None) -> None:
    """Find out before the call what would lose its report after it.

    Raises:
        ConfigurationError: the folder does not exist, or the path is a folder.
    """
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise ConfigurationError(f"'{path}' cannot be written: give the path of a file in a folder that exists")


def _store(outcome: CallOutcome, shown: CallReport, out: Path | None, report: Path | None) -> None:
    try:
        if out is not None:
            write_wav_file(out, outcome.audio, outcome.format)
        if report is not None:
            text = json.dumps(shown.as_json(), ensure_ascii=False, indent=1, default=str)
            report.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the call's files could not be written: {error}") from error
