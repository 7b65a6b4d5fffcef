"""`kamerton call`: plays recordings as one caller, in real time, over the real AudioSocket transport."""

from __future__ import annotations

import json
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
from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.testing.caller.call_report import CallReport
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
    config: ConfigFile = None,
) -> None:
    """Play WAV files (any rate, any number of channels) as one caller and show what is said, heard and answered.

    The engine runs in this process behind a real AudioSocket server on a free port; times are measured at the
    caller's end. Ctrl-C hangs up and still writes the report. Exits with 1 when the call could not be brought to its
    end, with 130 after Ctrl-C.
    """
    with explained():
        settings = load_settings(config, **({"assistant": assistant} if assistant else {}))
        lines = _lines(wavs)
        for path in (out, report):
            _check_writable(path)
        logs = configure_logging("warning", sys.stderr, "console")
        try:
            outcome, interrupted = anyio.run(_place_call, settings, lines)
        finally:
            logs.stop()
        _store(outcome, out, report)
    print("\n".join(summary(outcome.report)))
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if outcome.trouble is not None:
        progress_line(f"the call did not come to its end: {outcome.trouble}")
        raise typer.Exit(EXIT_TROUBLE)


def summary(report: CallReport) -> Iterator[str]:
    """The report in a few lines for people."""
    yield f"call {report.call_id} of '{report.assistant}', ended by the {report.ended_by}"
    for turn in report.turns:
        waited = "" if turn.response_ms is None else f" answered after {turn.response_ms:.0f} ms"
        said = f" «{turn.user_text}»" if turn.user_text else ""
        yield f"  {turn.index:>2} {turn.path:<9}{said} {turn.state_before} → {turn.state_after}{waited}"
    for barge_in in report.barge_ins:
        ducked, silent = (
            "never" if value is None else f"{value:.0f} ms" for value in (barge_in.duck_ms, barge_in.silence_ms)
        )
        yield f"  barge-in: quieter after {ducked}, silent after {silent}"
    if report.state:
        yield "  state: " + ", ".join(f"{name} = {value}" for name, value in report.state.items())


async def _place_call(settings: Settings, lines: Sequence[Line]) -> tuple[CallOutcome, bool]:
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
        outcome = await run_call(
            port, lines, recorder, assistant=engine.assistant.name, progress=progress_line, stop=stop
        )
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


def _store(outcome: CallOutcome, out: Path | None, report: Path | None) -> None:
    try:
        if out is not None:
            write_wav_file(out, outcome.audio, outcome.format)
        if report is not None:
            text = json.dumps(outcome.report.as_json(), ensure_ascii=False, indent=1, default=str)
            report.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the call's files could not be written: {error}") from error
