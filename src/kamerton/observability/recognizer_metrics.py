"""Prometheus metrics of the recogniser that all calls share, read from its state whenever they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kamerton.domain.recognition import RecognizerState


class RecognizerMetrics(Collector):
    """Renders a recogniser's state. Register it with the registry of the process; asked on the event loop only."""

    def __init__(self, state: Callable[[], RecognizerState]) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment."""
        state = self._state()
        yield GaugeMetricFamily(
            "kamerton_recognizer_trouble", "1 while the recogniser as a whole is in trouble", float(bool(state.trouble))
        )
        yield GaugeMetricFamily("kamerton_recognizer_waiting", "Turns that wait to be decoded", state.waiting)
        yield GaugeMetricFamily(
            "kamerton_recognizer_expected_wait_seconds",
            "How long an ended turn that came now would wait before its decode begins",
            state.expected_wait_s,
        )
        outcomes = CounterMetricFamily(
            "kamerton_recognizer_decodes", "Decodes, speculative ones included, by outcome", labels=["outcome"]
        )
        for outcome in ("decoded", "failed", "refused", "hung"):
            outcomes.add_metric([outcome], getattr(state, outcome))
        yield outcomes
