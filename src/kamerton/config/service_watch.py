"""Looks at every configured service when the process starts, and keeps calls away while a part of it has none."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import anyio

from kamerton.config.engine_sections import EngineSection
from kamerton.config.services import Service, Trial, check_all, services_of, try_all
from kamerton.config.settings import Settings
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext

log = logging.getLogger(__name__)

AGAIN_S: Final = 30.0
"""Until services are looked at again, while a part that every call needs has none that serves."""
NEEDED: Final = ("recognizer", "voice")
"""Without the others a call goes on: the scenario answers, the bundled embedder compares."""


class ServiceWatch:
    """What was found out about the services since the start. `run` looks; the rest reads.

    Args:
        settings: which services there are; none are looked at with `warm_up: false`.
        context: what they are opened with.
        again_s: pause before another look.
    """

    def __init__(self, settings: Settings, context: EngineContext, *, again_s: float = AGAIN_S) -> None:
        self._settings = settings
        self._context = context
        self._again_s = again_s
        self._troubles: Mapping[str, str] = {}

    @property
    def troubles(self) -> Mapping[str, str]:
        """Why a part cannot serve a call, by part: all of its engines are services, and none of them serves."""
        return self._troubles

    async def run(self) -> None:
        """Check and try every service, log and tell what came of it; again only while calls are kept away."""
        services = services_of(self._settings) if self._settings.warm_up else ()
        while services:
            checks, trials = await self._look(services)
            _tell(services, checks, trials)
            self._troubles = self._found(services, trials)
            self._summarise(services, trials)
            if not self._troubles:
                return
            await anyio.sleep(self._again_s)

    async def _look(self, services: Sequence[Service]) -> tuple[Sequence[Check], Sequence[Trial]]:
        quiet = EngineContext(
            self._context.language, self._context.data_dir, self._context.accounts, self._context.usage
        )
        return await check_all([service.question for service in services], quiet), await try_all(services, quiet)

    def _found(self, services: Sequence[Service], trials: Sequence[Trial]) -> Mapping[str, str]:
        failed = {
            (service.part, service.engine.name): trial.trouble
            for service, trial in zip(services, trials, strict=True)
            if trial.trouble
        }
        troubles = {}
        for part in NEEDED:
            section: EngineSection = getattr(self._settings, part)
            if section.chain and all((part, name) in failed for name in section.chain):
                troubles[part] = "; ".join(f"{name}: {failed[part, name]}" for name in section.chain)
        return troubles

    def _summarise(self, services: Sequence[Service], trials: Sequence[Trial]) -> None:
        away = [
            f"{service.engine.name} ({service.part})"
            for service, trial in zip(services, trials, strict=True)
            if trial.trouble
        ]
        serve = len(services) - len(away)
        missing = f"; not {', '.join(away)}: see the log, or `kamerton ping`" if away else ""
        self._context.progress(f"services: {serve} of {len(services)} serve{missing}")


def _tell(services: Sequence[Service], checks: Sequence[Check], trials: Sequence[Trial]) -> None:
    for service, check, trial in zip(services, checks, trials, strict=True):
        told = {"part": service.part, "service": service.engine.name, "detail": check.detail}
        if trial.trouble:
            log.warning("a service does not serve", extra={**told, "reason": trial.trouble, "fix": check.fix})
        else:
            log.info("a service serves", extra={**told, "first_result_ms": round(trial.latency_ms or 0.0, 1)})
