"""Prometheus metrics of the doors: who came, who was not served and why, whether anybody can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

ENDED: Final = "ended_"
DROPPED: Final = "dropped_"
_REASONS: Final = frozenset(
    {
        "busy",
        "call_over",
        "connection_lost",
        "crowded_out",
        "duplicate",
        "error",
        "far_error",
        "hung_up",
        "no_uuid",
        "not_linear",
        "not_playing",
        "not_reading",
        "protocol_error",
        "refused",
        "shutdown",
        "turned_away",
    }
)
"""Why a line ends, as transports name it. Calls that the assistant ends bring reasons of their own: `other`."""


class DoorMetrics(Collector):
    """Reads the counters of the doors when it is asked.

    Args:
        counters: of each door, by its name.
        troubles: what keeps calls from being served, by part; asked anew each time.
        gauges: further figures, by name without prefix, each with its description.
    """

    def __init__(
        self,
        counters: Mapping[str, Mapping[str, int]],
        troubles: Callable[[], Mapping[str, str]],
        gauges: Mapping[str, tuple[str, Callable[[], float]]],
    ) -> None:
        self._counters = counters
        self._troubles = troubles
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        events = CounterMetricFamily(
            "kamerton_connections", "Connections and calls, by what became of them at the door", labels=["door", "what"]
        )
        ends = CounterMetricFamily("kamerton_lines_ended", "Lines that ended, by reason", labels=["door", "reason"])
        for door, counters in self._counters.items():
            reasons: dict[str, int] = {}
            for name, value in sorted(counters.items()):
                if name.startswith(ENDED):
                    reason = name.removeprefix(ENDED)
                    reason = reason if reason in _REASONS else "other"
                    reasons[reason] = reasons.get(reason, 0) + value
                elif not name.startswith(DROPPED):
                    events.add_metric([door, name], value)
            for reason, value in reasons.items():
                ends.add_metric([door, reason], value)
        yield events
        yield ends
        yield from self._readiness()
        for name, (description, value_of) in self._gauges.items():
            yield GaugeMetricFamily(f"kamerton_{name}", description, value=value_of())

    def _readiness(self) -> Iterator[Metric]:
        troubles = self._troubles()
        yield GaugeMetricFamily("kamerton_ready", "1 when further calls can be served", value=float(not troubles))
        parts = GaugeMetricFamily("kamerton_not_ready", "1 for each part that keeps calls away", labels=["part"])
        for part in troubles:
            parts.add_metric([part], 1)
        yield parts
