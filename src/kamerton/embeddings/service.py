"""An embedder that is somebody else's service: memory, disk, quota, deadlines and usage around its protocol."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final

import anyio
import anyio.to_thread
import numpy as np

from kamerton.domain.call_scope import call_context, current_call
from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import EngineError, VendorError
from kamerton.embeddings.disk_cache import VectorCache, known
from kamerton.embeddings.indexing import IndexingProgress
from kamerton.embeddings.json_endpoint import JsonEndpoint
from kamerton.embeddings.model_versions import ModelVersions
from kamerton.embeddings.rate_window import RateWindow
from kamerton.embeddings.remembering import VectorMemory
from kamerton.embeddings.request_loop import RequestLoop, closed
from kamerton.embeddings.service_api import EmbeddingAnswer, EmbeddingApi, Nonsense, TextKind
from kamerton.embeddings.service_limits import ServiceLimits
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.usage import Usage

LOCAL_LIMIT: Final = "own_rate_limit"
"""Code of the error when it was our own quota that refused: no fault of the service."""
_Promise = Future[Mapping[str, Vectors]]
"""Vectors of texts that are asked for, by text."""

_SPARED: Final = 0.2
"""Share of the quota that the indexing of known texts leaves to callers."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """Who is asked, and within which bounds."""

    name: str
    """Of the engine: `yandex`."""
    api: EmbeddingApi
    endpoint: JsonEndpoint
    limits: ServiceLimits


class ServiceEmbedder:
    """An `Embedder` over a service. Thread-safe and blocking; requests run in a loop of its own until `close`.

    A query waits `query_s`; then it fails, its request runs on up to `total_s`, and its vector is remembered when it
    comes. What callers say is kept in memory only. Known texts are kept on disk as they come, so an indexing that was
    interrupted goes on where it stopped.

    Args:
        service: who is asked.
        context: of the engine; files go to `data_dir/embeddings/NAME`.
    """

    def __init__(self, service: Service, context: EngineContext) -> None:
        self._service = service
        self._api = service.api
        self._limits = service.limits
        self._context = context
        folder = context.data_dir / "embeddings" / service.name
        self._cache = VectorCache(folder / "vectors", service.limits.cached)
        self._versions = ModelVersions(folder / "versions.json")
        self._identity = self._named()
        self._memory = VectorMemory()
        self._lock = threading.Lock()
        self._asked: dict[str, _Promise] = {}
        self._loop = RequestLoop(f"embeddings-{service.name}", service.endpoint.aclose)
        self._places: anyio.Semaphore | None = None
        self._window = RateWindow(service.limits.requests_per_s)

    @property
    def identity(self) -> str:
        """See `Embedder.identity`: protocol, address, models, and which of their versions."""
        return self._identity

    def query(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.query`; waits no longer than `query_s`.

        Raises:
            VendorError: the service is away, slow or refuses, or our own share of its quota is used up.
        """
        return self._answered(texts, self._limits.query_s, patient=False)

    def query_patiently(self, texts: Sequence[str]) -> Vectors:
        """As `query`, for work that no caller waits for: up to `total_s` a text, and quotas are waited for."""
        rows = [self._answered([text], self._limits.total_s, patient=True) for text in texts]
        return np.concatenate(rows) if rows else _nothing()

    def wordings(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.wordings`; takes as long as the quota makes it, and tells how long."""
        return self._indexed(texts, "wordings")

    def passage(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.passage`; as `wordings`."""
        return self._indexed(texts, "passage")

    def close(self) -> None:
        """Drop all requests and connections; whoever waits gets a `VendorError`. Blocking; may be called twice."""
        self._loop.close()

    def _named(self) -> str:
        models = dict.fromkeys(self._api.model(kind) for kind in ("query", "wordings", "passage"))
        versions = ".".join(str(self._versions.generation(model)) for model in models)
        return f"{self._service.name}-{self._api.identity}-v{versions}"

    def _answered(self, texts: Sequence[str], wait_s: float, *, patient: bool) -> Vectors:
        if not texts:
            return _nothing()
        prepared = [self._api.prepared(text, "query") for text in texts]
        found = self._memory.recall(prepared)
        until_s = monotonic() + wait_s
        for promise in self._under_way([text for text in dict.fromkeys(prepared) if text not in found], patient):
            try:
                found.update(promise.result(max(0.0, until_s - monotonic())))
            except TimeoutError:
                raise VendorError(
                    f"{self._service.name} embeddings gave no vector within {wait_s * 1000:.0f} ms; "
                    "check the network, or raise query_ms",
                    "timeout",
                ) from None
        return np.stack([found[text] for text in prepared])

    def _under_way(self, missing: Sequence[str], patient: bool) -> list[_Promise]:
        """Requests for these texts; a text that is asked for already is not asked for twice."""
        new: list[tuple[Sequence[str], _Promise]] = []
        with self._lock:
            promises = {id(promise): promise for text in missing if (promise := self._asked.get(text)) is not None}
            for chunk in _chunks([text for text in missing if text not in self._asked], self._api.texts_per_request):
                promise = _Promise()
                self._asked.update(dict.fromkeys(chunk, promise))
                promises[id(promise)] = promise
                new.append((chunk, promise))
        for chunk, promise in new:
            try:
                self._loop.start(partial(self._query, chunk, promise, current_call(), patient))
            except EngineError as error:
                self._settle(chunk, promise, error)
        return list(promises.values())

    def _settle(self, texts: Sequence[str], promise: _Promise, outcome: Mapping[str, Vectors] | EngineError) -> None:
        with self._lock:
            for text in texts:
                del self._asked[text]
        if isinstance(outcome, EngineError):
            promise.set_exception(outcome)
        else:
            promise.set_result(outcome)

    async def _query(self, texts: Sequence[str], promise: _Promise, call: str | None, patient: bool) -> None:
        """Ask, remember, and settle the promise whatever happens."""
        outcome: Mapping[str, Vectors] | EngineError = closed(self._service.name)
        try:
            with call_context(call) if call is not None else nullcontext():
                answer = await self._requested(texts, "query", None if patient else self._limits.query_s)
            outcome = dict(zip(texts, answer.vectors, strict=True))
            self._memory.keep(outcome)
        except EngineError as error:
            outcome = error
        except Exception as error:  # the boundary of the request: a thread waits for the promise
            _log.exception("a request for embeddings broke", extra={"engine": self._service.name})
            outcome = EngineError(f"a request to {self._service.name} embeddings broke ({error!r}); look at the log")
        finally:
            self._settle(texts, promise, outcome)

    def _indexed(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        if not texts:
            return _nothing()
        prepared = [self._api.prepared(text, kind) for text in texts]
        key = f"{self._identity}\0{self._api.model(kind)}"
        found = known(self._cache, key, prepared)
        missing = [text for text in dict.fromkeys(prepared) if text not in found]
        if missing:
            found.update(self._loop.run(partial(self._index, missing, kind, key)))
        return np.stack([found[text] for text in prepared])

    async def _index(self, texts: Sequence[str], kind: TextKind, key: str) -> Mapping[str, Vectors]:
        """Vectors of all these texts, kept on disk as they come.

        Raises:
            VendorError: a request failed; what came before it is kept.
        """
        chunks = _chunks(texts, self._api.texts_per_request)
        progress = IndexingProgress(self._service.name, len(texts), self._context.progress)
        progress.begin(len(chunks), self._limits.requests_per_s * (1 - _SPARED), anyio.current_time())
        found: dict[str, Vectors] = {}
        failures: list[VendorError] = []
        waiting = iter(chunks)

        async def ask() -> None:
            for chunk in waiting:
                try:
                    answer = await self._requested(chunk, kind, None)
                except VendorError as error:
                    failures.append(error)
                    tasks.cancel_scope.cancel()
                    return
                vectors = dict(zip(chunk, answer.vectors, strict=True))
                found.update(vectors)
                await anyio.to_thread.run_sync(self._keep, key, vectors)
                progress.tell(len(found), anyio.current_time())

        async with anyio.create_task_group() as tasks:
            for _ in range(min(len(chunks), max(1, self._limits.at_once // 2))):
                tasks.start_soon(ask)
        if failures:
            raise failures[0]
        return found

    def _keep(self, key: str, vectors: Mapping[str, Vectors]) -> None:
        for text, vector in vectors.items():
            self._cache.put(key, text, vector)

    async def _requested(self, texts: Sequence[str], kind: TextKind, wait_s: float | None) -> EmbeddingAnswer:
        """One request; for a caller within `wait_s`, else as soon as the quota lets it."""
        api = self._api
        if self._places is None:
            self._places = anyio.Semaphore(self._limits.at_once)
        if wait_s is not None and self._places.statistics().tasks_waiting >= self._limits.at_once:
            raise self._refused(wait_s, "at_once")
        async with self._places:
            await self._admitted(wait_s)
            body = api.body(texts, kind)
            total_s, patient = self._limits.total_s, wait_s is None
            document = await self._service.endpoint.post(body, total_s, patient=patient, private=texts)
        try:
            answer = api.read(document, len(texts))
        except Nonsense as why:
            broken = str(why)
        else:
            self._record(answer, api.model(kind))
            self._refuse_other_version(answer, api.model(kind))
            return answer
        raise self._service.endpoint.broken(broken)

    async def _admitted(self, wait_s: float | None) -> None:
        """Wait for the quota."""
        spared = 0 if wait_s is not None else int(self._window.places * _SPARED)
        while (pause_s := self._window.wait_s(anyio.current_time(), spared)) > 0:
            if wait_s is not None and pause_s > wait_s:
                raise self._refused(pause_s, "requests_per_s")
            await anyio.sleep(pause_s)
        self._window.took(anyio.current_time())

    def _refused(self, pause_s: float, setting: str) -> VendorError:
        return VendorError(
            f"{self._service.name} embeddings are asked for more often than {setting} allows; raise it together with "
            "the vendor's quota",
            "rate_limited",
            retry_after_s=pause_s,
            code=LOCAL_LIMIT,
        )

    def _record(self, answer: EmbeddingAnswer, model: str) -> None:
        record, name = self._context.usage.record, self._service.name
        record(Usage("embeddings", name, "requests", 1, model))
        if answer.tokens:
            record(Usage("embeddings", name, "input_tokens", answer.tokens, model))

    def _refuse_other_version(self, answer: EmbeddingAnswer, model: str) -> None:
        version = f"{answer.version}/{answer.vectors.shape[1]}"
        if not self._versions.fits(model, version):
            raise VendorError(
                f"{self._service.name} embeddings: the model '{model}' was exchanged, it now is {version}; vectors of "
                "two models cannot be compared: start again, all vectors are then made anew",
                "broken",
                code="model_exchanged",
            )


def _nothing() -> Vectors:
    return np.zeros((0, 0), dtype=np.float32)


def _chunks(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    return [texts[start : start + size] for start in range(0, len(texts), size)]
