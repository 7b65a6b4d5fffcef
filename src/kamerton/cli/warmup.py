"""`kamerton warmup`: one small request to every service that the settings name, as a call would make it."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import typer

from kamerton.cli.common import ConfigFile, explained, progress_line, table_of
from kamerton.config.assistant_folder import find_assistant, load_assistant
from kamerton.config.engines import engine_context
from kamerton.config.services import Service, Trial, services_of, try_all
from kamerton.config.settings import load_settings


def warmup(config: ConfigFile = None) -> None:
    """Send one small request to every configured service; exits with 1 when one does not serve.

    Each costs next to nothing: half a second of silence, one word to speak, sixteen tokens, one text to compare.
    """
    with explained():
        settings = load_settings(config)
        services = services_of(settings)
        if not services:
            progress_line("no service is configured: everything runs on this machine")
            return
        language = load_assistant(find_assistant(settings.assistant, settings.assistant_folders)).language
        trials = anyio.run(try_all, services, engine_context(settings, language, progress_line))
    print(table(services, trials))
    if any(trial.trouble for trial in trials):
        raise typer.Exit(1)


def table(services: Sequence[Service], trials: Sequence[Trial]) -> str:
    """A line for each service, and below it what went wrong."""
    rows = [
        (
            service.part,
            service.engine.name,
            "no" if trial.trouble else "yes",
            "–" if trial.latency_ms is None else f"{trial.latency_ms:.0f} ms",
        )
        for service, trial in zip(services, trials, strict=True)
    ]
    return table_of(("part", "service", "serves", "first result"), rows, [trial.trouble for trial in trials])
