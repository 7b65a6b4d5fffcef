"""`kamerton ping`: asks every service that the settings name whether it would serve a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
import typer

from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.assistant_folder import find_assistant, load_assistant
from kamerton.config.engine_sections import EngineSection
from kamerton.config.engines import engine_context
from kamerton.config.settings import Settings, load_settings
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.registry import engines_in

DEADLINE_S: Final = 10.0
"""Of one service: a check may be several requests."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that a part of the settings names."""

    part: str
    engine: EngineType[Any]
    options: Any


def ping(config: ConfigFile = None) -> None:
    """Ask every configured service whether it would serve a call; exits with 1 when one would not."""
    with explained():
        settings = load_settings(config)
        services = services_of(settings)
        if not services:
            progress_line("no service is configured: everything runs on this machine")
            return
        language = load_assistant(find_assistant(settings.assistant, settings.assistant_folders)).language
        checks = anyio.run(check_all, services, engine_context(settings, language, progress_line))
    print(table(services, checks))
    if not all(check.well for check in checks):
        raise typer.Exit(1)


def services_of(settings: Settings) -> tuple[Service, ...]:
    """The services among the engines that the settings name, part by part."""
    sections = ((name, section) for name, section in settings if isinstance(section, EngineSection))
    return tuple(
        Service(part, engine, section.options(name))
        for part, section in sections
        for name in section.chain
        if (engine := engines_in(section.package)[name]).is_service
    )


async def check_all(services: Sequence[Service], context: EngineContext) -> list[Check]:
    """What each service answers, all asked at once."""
    checks = [Check(reachable=False, fix=f"no answer within {DEADLINE_S:g} s; check the network")] * len(services)

    async def ask(index: int) -> None:
        service = services[index]
        progress_line(f"asking {service.engine.name} ({service.part})")
        if service.engine.check is not None:
            with anyio.move_on_after(DEADLINE_S):
                checks[index] = await service.engine.check(service.options, context)

    async with anyio.create_task_group() as tasks:
        for index in range(len(services)):
            tasks.start_soon(ask, index)
    return checks


def table(services: Sequence[Service], checks: Sequence[Check]) -> str:
    """A line for each service, and below it what to do."""
    words = {True: "yes", False: "no", None: "not known"}
    rows = [("part", "service", "reachable", "authorised", "latency", "told")]
    for service, check in zip(services, checks, strict=True):
        latency = f"{check.latency_ms:.0f} ms" if check.latency_ms is not None else "–"
        reached, trusted = words[check.reachable], words[check.authorised]
        rows.append((service.part, service.engine.name, reached, trusted, latency, check.detail or "–"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for at, check in reversed(list(enumerate(checks, 1))):
        if check.fix:
            lines.insert(at + 1, f"  → {check.fix}")
    return "\n".join(lines)
