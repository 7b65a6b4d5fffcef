"""An embedder that is left alone for a while when it fails, so that calls do not wait for it."""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

from kamerton.domain.embedding import Embedder, Vectors
from kamerton.domain.errors import EngineError, VendorError
from kamerton.embeddings.service import LOCAL_LIMIT
from kamerton.vendors.breaker import BreakerSettings, BreakerState, ServiceBreaker

RESTING: Final = "embedder_resting"
"""Code of the error when nothing was asked."""
_JUST_FAILED_S: Final = 2.0
"""A turn asks for the same words several times (intent, prepared answers, remembered ones): it waits once."""
_REMEMBERED_FAILURES: Final = 64

_log = logging.getLogger(__name__)


class GuardedEmbedder:
    """A service embedder behind a breaker. Thread-safe.

    Queries fail at once while the service rests, and for words that have failed a moment ago. The indexing of known
    texts is not guarded: whoever indexes wants to know.

    Args:
        name: of the engine.
        embedder: the service.
        settings: of the breaker.
        clock: seconds.
    """

    def __init__(
        self,
        name: str,
        embedder: Embedder,
        settings: BreakerSettings | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._name = name
        self._embedder = embedder
        self._clock = clock
        self._breaker = ServiceBreaker(settings)
        self._failed: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def identity(self) -> str:
        """See `Embedder.identity`."""
        return self._embedder.identity

    @property
    def state(self) -> BreakerState:
        """Where its breaker stands."""
        with self._lock:
            return self._breaker.state(self._clock())

    @property
    def counts(self) -> Mapping[str, int]:
        """Totals of queries: `requests`, `answers`, and `failures:FAULT` of those that were tried."""
        with self._lock:
            return dict(self._counts)

    @property
    def ready(self) -> bool:
        """Whether a query would be tried now."""
        return self.state != "open"

    @property
    def last_reason(self) -> str:
        """Why it failed last; empty when it never did."""
        return self._breaker.last_reason

    def query(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.query`.

        Raises:
            EngineError: it failed, or is left alone because it did.
        """
        if not texts:
            return self._embedder.query(texts)
        asked = tuple(texts)
        self._admit(asked)
        try:
            vectors = self._embedder.query(texts)
        except EngineError as error:
            self._failed_with(asked, error)
            raise
        except BaseException:
            with self._lock:
                self._breaker.given_up()
            raise
        with self._lock:
            recovered = self._breaker.state(self._clock()) != "closed"
            self._breaker.succeeded()
            self._counts["answers"] += 1
        if recovered:
            _log.info("an embedder works again", extra={"engine": self._name})
        return vectors

    def wordings(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.wordings`."""
        return self._embedder.wordings(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.passage`."""
        return self._embedder.passage(texts)

    def _admit(self, asked: tuple[str, ...]) -> None:
        now_s = self._clock()
        with self._lock:
            if now_s - self._failed.get(asked, -_JUST_FAILED_S) < _JUST_FAILED_S or not self._breaker.admits(now_s):
                reason = self._breaker.last_reason
                raise VendorError(
                    f"{self._name} embeddings are left alone for a while: {reason}", "failed", code=RESTING
                )
            self._counts["requests"] += 1

    def _failed_with(self, asked: tuple[str, ...], error: EngineError) -> None:
        now_s = self._clock()
        fault = error.fault if isinstance(error, VendorError) else None
        retry_after_s = error.retry_after_s if isinstance(error, VendorError) else None
        with self._lock:
            self._failed[asked] = now_s
            self._counts[f"failures:{fault or 'engine'}"] += 1
            while len(self._failed) > _REMEMBERED_FAILURES:
                self._failed.popitem(last=False)
            if error.code == LOCAL_LIMIT:
                self._breaker.given_up()
                return
            rests = self._breaker.failed(now_s, str(error), fault, retry_after_s)
        if rests:
            _log.warning("an embedder is left alone for a while", extra={"engine": self._name, "reason": str(error)})
