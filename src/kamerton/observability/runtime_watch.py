"""Watches the process itself: pauses of the garbage collector and the lag of the event loop."""

from __future__ import annotations

import contextlib
import gc
import math
from collections import deque
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any, Final

import anyio

from kamerton.observability.metrics import MetricsLogger

KEPT_PAUSES: Final = 200
KEPT_LAGS: Final = 600
"""One minute of loop lags at the default period."""
LAG_PERIOD_S: Final = 0.1


class RuntimeWatch:
    """Keeps the last garbage-collector pauses and loop lags, and passes each on to the metrics."""

    def __init__(self, metrics: MetricsLogger) -> None:
        self._metrics = metrics
        self._pauses_ms: deque[float] = deque(maxlen=KEPT_PAUSES)
        self._lags_ms: deque[float] = deque(maxlen=KEPT_LAGS)
        self._collecting_since: float | None = None

    @contextlib.contextmanager
    def gc_watched(self) -> Iterator[None]:
        """Time every collection inside. A collection stops the thread that triggers it, and so the loop as well."""
        gc.callbacks.append(self._on_collection)
        try:
            yield
        finally:
            gc.callbacks.remove(self._on_collection)

    async def watch_loop(self, period_s: float = LAG_PERIOD_S) -> None:
        """Measure how late the loop wakes up, until cancelled."""
        while True:
            due_s = anyio.current_time() + period_s
            await anyio.sleep_until(due_s)
            lag_s = max(0.0, anyio.current_time() - due_s)
            self._lags_ms.append(lag_s * 1000)
            self._metrics.add_loop_lag(lag_s)

    @property
    def gc_pauses_ms(self) -> list[float]:
        """The last pauses, oldest first."""
        return [round(pause, 3) for pause in self._pauses_ms]

    @property
    def loop_lag_p99_ms(self) -> float | None:
        """99th percentile of the last minute's lags; None before the first."""
        if not self._lags_ms:
            return None
        ordered = sorted(self._lags_ms)
        return round(ordered[math.ceil(0.99 * len(ordered)) - 1], 3)

    def _on_collection(self, phase: str, info: Mapping[str, Any]) -> None:
        if phase == "start":
            self._collecting_since = perf_counter()
        elif self._collecting_since is not None:
            pause_s = perf_counter() - self._collecting_since
            self._collecting_since = None
            self._pauses_ms.append(pause_s * 1000)
            self._metrics.add_gc_pause(int(info.get("generation", -1)), pause_s)
