"""`kamerton ping`: asks every service that the settings name whether it would serve a call."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import typer

from kamerton.cli.common import ConfigFile, explained, progress_line, table_of
from kamerton.cli.ping_stores import questions_of_stores
from kamerton.config.assistant_folder import find_assistant, load_assistant
from kamerton.config.engines import engine_context
from kamerton.config.services import Question, check_all, services_of
from kamerton.config.settings import load_settings
from kamerton.vendors.check import Check


def ping(config: ConfigFile = None) -> None:
    """Ask every configured service whether it would serve a call; exits with 1 when one would not."""
    with explained():
        settings = load_settings(config)
        questions = (*(service.question for service in services_of(settings)), *questions_of_stores(settings))
        if not questions:
            progress_line("no service is configured: everything runs on this machine")
            return
        language = load_assistant(find_assistant(settings.assistant, settings.assistant_folders)).language
        checks = anyio.run(check_all, questions, engine_context(settings, language, progress_line))
    print(table(questions, checks))
    if not all(check.well for check in checks):
        raise typer.Exit(1)


def table(questions: Sequence[Question], checks: Sequence[Check]) -> str:
    """A line for each service, and below it what to do."""
    words = {True: "yes", False: "no", None: "not known"}
    rows = []
    for question, check in zip(questions, checks, strict=True):
        latency = f"{check.latency_ms:.0f} ms" if check.latency_ms is not None else "–"
        reached, trusted = words[check.reachable], words[check.authorised]
        rows.append((question.part, question.name, reached, trusted, latency, check.detail or "–"))
    heads = ("part", "service", "reachable", "authorised", "latency", "told")
    return table_of(heads, rows, [check.fix for check in checks])
