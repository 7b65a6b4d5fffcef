"""`kamerton serve`: answers calls until it is stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.composition import Engine, open_engine
from kamerton.config.engines import engine_context
from kamerton.config.service_watch import ServiceWatch
from kamerton.config.serving import Doors, open_doors
from kamerton.config.settings import Settings, load_settings
from kamerton.observability.json_log import configure_logging
from kamerton.webapi.settings import LOCAL_HOSTS


def serve(
    assistant: Annotated[str | None, typer.Option(help="Name of the assistant that answers.")] = None,
    host: Annotated[str | None, typer.Option(help="Address for the page and for AudioSocket.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the page; 0 takes a free one.")] = None,
    audiosocket_port: Annotated[int | None, typer.Option(help="Port for Asterisk; 0 takes a free one.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Calls served at the same time; more are refused.")] = None,
    stand_ins: Annotated[bool, typer.Option("--stand-ins", help="Engines that cost nothing, for load tests.")] = False,
    ready_json: Annotated[bool, typer.Option("--ready-json", help="Print one JSON line when ready.")] = False,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    config: ConfigFile = None,
) -> None:
    """Answer calls: the page on http://127.0.0.1:8080, Asterisk AudioSocket on port 9092."""
    overrides: dict[str, Any] = {}
    if assistant is not None:
        overrides["assistant"] = assistant
    if host is not None or port is not None:
        overrides["web"] = {k: v for k, v in (("host", host), ("port", port)) if v is not None}
    if host is not None or audiosocket_port is not None:
        overrides["audiosocket"] = {k: v for k, v in (("host", host), ("port", audiosocket_port)) if v is not None}
    if max_calls is not None:
        overrides["limits"] = {"max_calls": max_calls}
    if log_level is not None:
        overrides["log"] = {"level": log_level}
    with explained():
        settings = load_settings(config, **overrides)
        logs = configure_logging(settings.log.level, sys.stderr, settings.log.format)
        try:
            anyio.run(_serve, settings, stand_ins, ready_json)
        finally:
            logs.stop()


async def _serve(settings: Settings, stand_ins: bool, ready_json: bool) -> None:
    async with (
        open_engine(settings, stand_ins=stand_ins, progress=progress_line) as engine,
        open_doors(engine, settings, watch=None if stand_ins else _watch(settings, engine)) as doors,
    ):
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            _announce(settings, doors, ready_json)
            await anext(signals)
            async with anyio.create_task_group() as stopping:
                stopping.start_soon(_end_at_once, signals, stopping.cancel_scope)
                await doors.drain(progress_line)
                stopping.cancel_scope.cancel()


def _watch(settings: Settings, engine: Engine) -> ServiceWatch:
    return ServiceWatch(settings, engine_context(settings, engine.assistant.language, progress_line, engine.usage))


async def _end_at_once(signals: AsyncIterator[signal.Signals], draining: anyio.CancelScope) -> None:
    """Wait for a second signal; then nothing is waited for any more."""
    await anext(signals)
    progress_line("stopping at once")
    draining.cancel()


def _announce(settings: Settings, doors: Doors, ready_json: bool) -> None:
    if ready_json:
        ready = {
            "ready": True,
            "audiosocket_port": doors.audiosocket_port,
            "http_port": doors.web_port,
            "pid": os.getpid(),
        }
        print(json.dumps(ready), flush=True)
        return
    host = settings.web.host
    print(
        f"\n  Kamerton answers calls.\n"
        f"    The page:   http://{host}:{doors.web_port}   (press «Позвонить», or let a sample caller speak)\n"
        f"    Asterisk:   AudioSocket on {settings.audiosocket.host}:{doors.audiosocket_port}\n"
        f"    A test call: .venv/bin/kamerton call assistants/insurance/samples/number-150.wav\n"
        f"    Stop with Ctrl-C.\n",
        flush=True,
    )
    if host not in LOCAL_HOSTS and settings.web.allowed_hosts == LOCAL_HOSTS:
        progress_line(
            "other machines reach the page only under names listed in web.allowed_hosts, "
            "for example KAMERTON_WEB__ALLOWED_HOSTS='[\"stand.example.org\"]'"
        )


def prepare(config: ConfigFile = None) -> None:
    """Prepare models, vectors and prompts, so that `serve` starts in seconds and works offline."""
    with explained():
        settings = load_settings(config)
        logs = configure_logging("warning", sys.stderr, "console")
        try:
            anyio.run(_prepare, settings)
        finally:
            logs.stop()


async def _prepare(settings: Settings) -> None:
    async with open_engine(settings, progress=progress_line):
        progress_line(f"ready: everything is in {_shown(settings.data_dir)}")


def _shown(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
