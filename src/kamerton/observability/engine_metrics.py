"""Prometheus metrics of the engines in chains and of the voices' connections, read whenever they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal, Protocol, get_args, runtime_checkable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kamerton.domain.errors import Fault
from kamerton.vendors.breaker import BreakerState

EngineKind = Literal["recognizer", "model", "voice", "embeddings"]

FAILURES: Final = "failures:"
"""Before the fault, in the names of counts."""
_FAULTS: Final = (*get_args(Fault), "engine")
_EVENTS: Final = frozenset({"answers", "overtaken", "requests", "streams", "turns", *(FAILURES + it for it in _FAULTS)})
_STATES: Final[Mapping[BreakerState, int]] = {"closed": 0, "half_open": 1, "open": 2}
_CONNECTIONS_NOW: Final = ("open", "busy", "waiting")


class Breaker(Protocol):
    """Knows whether an engine rests."""

    def state(self, now_s: float) -> BreakerState:
        """Where it stands, at an instant of the loop's clock."""
        ...


class EngineLink(Protocol):
    """One engine of a chain, as metrics see it."""

    @property
    def name(self) -> str:
        """As in the settings."""
        ...

    @property
    def breaker(self) -> Breaker:
        """Whether it rests."""
        ...

    @property
    def counts(self) -> Mapping[str, int] | None:
        """Totals of what it was asked and what came of it, failures as `failures:FAULT`; None: nothing is counted."""
        ...


@runtime_checkable
class Chained(Protocol):
    """Something that is made of engines."""

    @property
    def links(self) -> Iterable[EngineLink]:
        """Best first."""
        ...


class EngineMetrics(Collector):
    """Renders chains. Register it with the registry of the process; asked on the event loop only.

    Args:
        clock: of the breakers.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._chains: dict[EngineKind, Chained] = {}
        self._connections: Callable[[], Mapping[str, int]] = dict

    def follow(self, kind: EngineKind, chain: object) -> None:
        """Show the engines of a chain from now on; what is not made of engines (None, a stand-in) has none to show."""
        if isinstance(chain, Chained):
            self._chains[kind] = chain

    def follow_connections(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Show the connections that voices keep: `open`, `busy` and `waiting` now, anything else since the start."""
        self._connections = read

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment."""
        states = GaugeMetricFamily(
            "kamerton_engine_state",
            "0 while an engine works, 1 while it is tried again after a rest, 2 while it rests",
            labels=["kind", "engine"],
        )
        events = CounterMetricFamily(
            "kamerton_engine_events", "What engines were asked and what came of it", labels=["kind", "engine", "what"]
        )
        now_s = self._clock()
        for kind, chain in self._chains.items():
            for link in chain.links:
                states.add_metric([kind, link.name], _STATES[link.breaker.state(now_s)])
                for what, count in _bounded(link.counts):
                    events.add_metric([kind, link.name, what], count)
        yield states
        yield events
        yield from self._of_connections()

    def _of_connections(self) -> Iterator[Metric]:
        figures = self._connections()
        now = GaugeMetricFamily("kamerton_voice_connections", "Connections of voices, by state", labels=["state"])
        totals = CounterMetricFamily(
            "kamerton_voice_connection_events", "What became of connections of voices", labels=["what"]
        )
        for name, value in figures.items():
            (now if name in _CONNECTIONS_NOW else totals).add_metric([name], value)
        yield now
        yield totals


def _bounded(counts: Mapping[str, int] | None) -> Iterable[tuple[str, int]]:
    """All events there may be of failures, so that the first is an increase, and what else happened."""
    if counts is None:
        return ()
    found = {FAILURES + fault: 0 for fault in _FAULTS}
    for what, count in dict(counts).items():
        name = what if what in _EVENTS else "other"
        found[name] = found.get(name, 0) + count
    return found.items()
