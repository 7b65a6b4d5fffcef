"""Figures that other parts keep, read when the metrics are asked for: nothing is counted twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class FollowedFigures(Collector):
    """Functions under the names of metrics. They are called on the event loop, and must be quick and not raise."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[str, Callable[[], float]]] = {}

    def count(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a total since the start of the process; Prometheus adds `_total` to its name."""
        self._counts[name] = (text, read)

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment."""
        for name, (text, read) in self._counts.items():
            yield CounterMetricFamily(name, text, read())
