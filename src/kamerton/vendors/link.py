"""One engine of a chain and how it fares, for all calls: the account that models and voices share."""

from __future__ import annotations

import logging
import math
from collections import Counter

import anyio

from kamerton.domain.errors import EngineError, VendorError
from kamerton.vendors.breaker import BreakerSettings, ServiceBreaker
from kamerton.vendors.health import FirstResultTimes

log = logging.getLogger(__name__)


class FirstResultLink:
    """An engine whose first result settles who serves; a `Judge` of `vendors/hedge.py`.

    Args:
        name: as in the settings.
        kind: what it is, for the log: `voice`.
        breaker: when it is passed over.
        patience_s: a request that was given up after so long without a result counts as a failure.
    """

    def __init__(
        self, name: str, kind: str, breaker: BreakerSettings | None = None, patience_s: float = math.inf
    ) -> None:
        self.name = name
        self.breaker = ServiceBreaker(breaker)
        self.times = FirstResultTimes()
        """To the first token, or the first audio."""
        self.counts: Counter[str] = Counter()
        """`requests`, `answers`, `overtaken` by another engine, and `failures:FAULT`."""
        self._kind = kind
        self._patience_s = patience_s

    @property
    def failures(self) -> int:
        """How often it failed."""
        return sum(count for what, count in self.counts.items() if what.startswith("failures:"))

    def failed(self, error: EngineError, waited_s: float, *, begun: bool = False) -> None:
        """A request failed, or its deadline passed; with `begun` its answer had begun."""
        fault = error.fault if isinstance(error, VendorError) else None
        if fault == "timeout" and not begun:
            self.times.record(waited_s)
        self.counts[f"failures:{fault or 'broken'}"] += 1
        asked_s = error.retry_after_s if isinstance(error, VendorError) else None
        rests = self.breaker.failed(anyio.current_time(), str(error), fault, asked_s)
        log.warning("an engine failed", extra={self._kind: self.name, "reason": str(error), "rests": rests})

    def overtaken(self, waited_s: float) -> None:
        """Another engine was faster."""
        self.times.record(waited_s)
        self.counts["overtaken"] += 1
        self.breaker.given_up()

    def given_up(self, waited_s: float) -> None:
        """Nobody waits for it any more."""
        if waited_s < self._patience_s:
            self.breaker.given_up()
        else:
            self.failed(VendorError(f"it gave nothing for {waited_s:.1f} s, then it was given up", "timeout"), waited_s)

    def served(self) -> None:
        """It answered to its end, or for as long as anybody wanted to listen."""
        self.counts["answers"] += 1
        self.breaker.succeeded()

    def left(self, silent_s: float) -> None:
        """An answer that had begun was listened to no further, after so long a silence."""
        if silent_s < self._patience_s:
            self.served()
        else:
            silence = VendorError(f"it fell silent for {silent_s:.1f} s in its answer", "timeout")
            self.failed(silence, silent_s, begun=True)
