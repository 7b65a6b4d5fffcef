"""Prometheus metrics of what is used of services and what it costs, read from the ledger when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from kamerton.domain.billing import Bill


class UsageMetrics(Collector):
    """Renders a bill of everything since the start. Whoever makes the bill keeps its vendors and models few."""

    def __init__(self, total: Callable[[], Bill]) -> None:
        self._total = total

    def collect(self) -> Iterator[Metric]:
        """The sums of this moment."""
        usage: dict[tuple[str, str, str], Decimal] = {}
        costs: dict[tuple[str, str], Decimal] = {}
        for line in self._total().lines:
            at = (line.vendor, line.model, line.unit)
            usage[at] = usage.get(at, Decimal()) + line.amount
            if line.cost is not None:
                where = (line.vendor, line.currency)
                costs[where] = costs.get(where, Decimal()) + line.cost
        used = CounterMetricFamily(
            "kamerton_usage",
            "What was used of services",
            labels=["vendor", "model", "unit"],
        )
        for labels, amount in usage.items():
            used.add_metric(labels, float(amount))
        yield used
        asked = CounterMetricFamily(
            "kamerton_cost", "What that cost, where the settings have a price for it", labels=["vendor", "currency"]
        )
        for names, cost in costs.items():
            asked.add_metric(names, float(cost))
        yield asked
