"""Opens the engines of a chain: those that were asked for must open, those held in reserve may be passed over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import anyio

from kamerton.config.engine_sections import EngineSection
from kamerton.config.settings import Settings
from kamerton.domain.errors import KamertonError, ModelError
from kamerton.vendors import registry
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.usage import Uncounted, UsageMeter


class Closing(Protocol):
    """What every engine knows to do."""

    def aclose(self) -> Awaitable[None]:
        """Free what it holds."""
        ...


PartT = TypeVar("PartT", bound=Closing)


@dataclass(frozen=True, slots=True)
class Link(Generic[PartT]):
    """One engine of a chain, open."""

    name: str
    """As in the settings."""
    part: PartT
    is_service: bool
    """Somebody else's server: it has deadlines, and may be away."""


def engine_context(
    settings: Settings, language: str, progress: Callable[[str], None], usage: UsageMeter | None = None
) -> EngineContext:
    """What engines are given beside their own options; without `usage` what they use is not counted."""
    accounts = tuple(getattr(settings.accounts, name) for name in registry.accounts())
    return EngineContext(language, settings.data_dir, accounts, usage or Uncounted(), progress)


@asynccontextmanager
async def open_chain(what: str, section: EngineSection, context: EngineContext) -> AsyncIterator[tuple[Link[Any], ...]]:
    """The engines of a section's chain, best first, open while the context is; closed whatever happens.

    Args:
        what: the part, for messages: `voice`.
        section: names and options.
        context: what else they are given.

    Raises:
        ConfigurationError: an engine that is asked for cannot work as it is set.
        ModelError: one that is asked for lacks its model or voice, or none at all can be opened.
    """
    links: list[Link[Any]] = []
    notes: list[str] = []
    try:
        for name in section.chain:
            engine = registry.engines_in(section.package)[name]
            try:
                links.append(await _opened(engine, section.options(name), context))
            except KamertonError as error:
                if name in section.engine:
                    raise type(error)(f"{what}.engine '{name}': {error}") from error
                notes.append(f"{name} passed over: {error}")
        if not links:
            raise ModelError(f"no {what} for language '{context.language}': " + "; ".join(notes))
        reserve = ", ".join(link.name for link in links[1:])
        context.progress(f"{what}: {links[0].name}" + (f"; in reserve: {reserve}" if reserve else ""))
        for note in notes:
            context.progress(note)
        yield tuple(links)
    finally:
        with anyio.CancelScope(shield=True):
            for link in links:
                await link.part.aclose()


async def _opened(engine: EngineType[Any], options: Any, context: EngineContext) -> Link[Any]:
    if engine.languages is not None and context.language not in engine.languages:
        raise ModelError(f"it knows {', '.join(engine.languages)}, not '{context.language}'")
    return Link(engine.name, await engine.open(options, context), engine.is_service)
