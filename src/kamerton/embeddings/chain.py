"""Embedders in the order in which they are asked, each with an index of its own.

Vectors of two embedders must never be compared. So whoever compares meanings has an index under every link of the
chain, and asks the first link that works; the last one should be a local model, which always does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from kamerton.domain.embedding import Embedder, Vectors
from kamerton.domain.errors import ConfigurationError, ModelError
from kamerton.embeddings.guarded import GuardedEmbedder
from kamerton.embeddings.service import ServiceEmbedder
from kamerton.vendors.breaker import BreakerSettings, BreakerState
from kamerton.vendors.engine import EngineContext, EngineType

_log = logging.getLogger(__name__)


class PatientEmbedder:
    """A service as those ask it for whom no caller waits: quotas are waited for, queries take as long as a request."""

    def __init__(self, embedder: ServiceEmbedder) -> None:
        self._embedder = embedder

    @property
    def identity(self) -> str:
        """See `Embedder.identity`."""
        return self._embedder.identity

    def query(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.query`."""
        return self._embedder.query_patiently(texts)

    def wordings(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.wordings`."""
        return self._embedder.wordings(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.passage`."""
        return self._embedder.passage(texts)


@dataclass(frozen=True, slots=True)
class LinkState:
    """Where the breaker of a link stands; that of a local model, which has none, is closed."""

    guard: GuardedEmbedder | None

    def state(self, now_s: float) -> BreakerState:
        """Now, whatever the instant: a guarded embedder is asked from threads and keeps a clock of its own."""
        return "closed" if self.guard is None else self.guard.state


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One embedder of a chain."""

    name: str
    """Of its engine."""
    embedder: Embedder
    """For calls: fails at once while it rests."""
    patient: Embedder
    """For preparations and calibrations; the same identity."""
    guard: GuardedEmbedder | None = None
    """Of a service; None for a local model, which never rests."""
    close: Callable[[], None] = lambda: None
    """Ends its requests and connections. Blocking."""

    @property
    def ready(self) -> bool:
        """Whether it would be asked now."""
        return self.guard is None or self.guard.ready

    @property
    def breaker(self) -> LinkState:
        """Whether it rests, for metrics."""
        return LinkState(self.guard)

    @property
    def counts(self) -> Mapping[str, int] | None:
        """What a service was asked and what came of it, for metrics; None: nothing is counted of a local model."""
        return None if self.guard is None else self.guard.counts


class EmbedderChain:
    """Links in the order in which they are asked, at least one. Close it when nobody asks any more.

    Raises:
        ConfigurationError: there is no link, or two have one identity.
    """

    def __init__(self, links: Sequence[ChainLink]) -> None:
        identities = [link.embedder.identity for link in links]
        if not links or len(set(identities)) != len(identities):
            raise ConfigurationError("understanding.engine: name at least one embedder, and each of them once")
        self.links = tuple(links)

    @property
    def last(self) -> ChainLink:
        """Whom to ask when nobody else works."""
        return self.links[-1]

    @property
    def states(self) -> Mapping[str, BreakerState]:
        """Where the breaker of each service stands, by its engine's name."""
        return {link.name: link.guard.state for link in self.links if link.guard is not None}

    def close(self) -> None:
        """Close every link: who waits for one gets an `EngineError`. Blocking; may be called twice."""
        for link in self.links:
            link.close()

    async def aclose(self) -> None:
        """`close` off the loop; not to be cancelled half-way."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)


def service_link(name: str, embedder: ServiceEmbedder, settings: BreakerSettings | None = None) -> ChainLink:
    """A service as a link: guarded for calls, patient for preparations."""
    guard = GuardedEmbedder(name, embedder, settings)
    return ChainLink(name, guard, PatientEmbedder(embedder), guard, embedder.close)


async def open_chain(
    chosen: Sequence[tuple[EngineType[Embedder], Any]], context: EngineContext, settings: BreakerSettings | None = None
) -> EmbedderChain:
    """Open the chosen engines with their options; one whose model is missing is passed over while another is left.

    Raises:
        ConfigurationError: an option or a credential cannot work, or an engine is named twice.
        ModelError: no model can be loaded.
    """
    links: list[ChainLink] = []
    missing: ModelError | None = None
    try:
        for engine, options in chosen:
            try:
                links.append(_linked(engine.name, await engine.open(options, context), settings))
            except ModelError as error:
                missing = error
                _log.warning("an embedder is passed over", extra={"engine": engine.name, "reason": str(error)})
        if not links and missing is not None:
            raise missing
        return EmbedderChain(links)
    except BaseException:
        for link in links:
            link.close()
        raise


def _linked(name: str, embedder: Embedder, settings: BreakerSettings | None) -> ChainLink:
    if isinstance(embedder, ServiceEmbedder):
        return service_link(name, embedder, settings)
    return ChainLink(name, embedder, embedder)
