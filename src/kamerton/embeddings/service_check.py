"""Asks an embedding service for one short vector, to see whether it would serve."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import anyio
import anyio.to_thread

from kamerton.domain.errors import ConfigurationError, KamertonError, VendorError
from kamerton.embeddings.service import Service
from kamerton.embeddings.service_api import Nonsense
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.usage import Usage

_WORD: Final = "да"
_ANSWERED: Final = ("unauthorised", "quota", "rate_limited", "rejected", "failed", "broken")
"""Faults that somebody at the address has answered with."""

_log = logging.getLogger(__name__)


async def check_service(make: Callable[[], Service], context: EngineContext) -> Check:
    """One request of one word. Never raises; safe to cancel.

    Args:
        make: makes the service; blocking.
        context: of the engine, for its usage.
    """
    try:
        service = await anyio.to_thread.run_sync(make)
    except ConfigurationError as error:
        return Check(reachable=False, detail="not asked", fix=str(error))
    try:
        return await _asked(service, context)
    except KamertonError as error:
        return _failed(error)
    except Exception as error:  # the boundary of a check: a table is shown whatever one line of it does
        _log.exception("a check of embeddings broke")
        return Check(reachable=False, detail=type(error).__name__, fix="look at the log")
    finally:
        with anyio.CancelScope(shield=True):
            await service.endpoint.aclose()


async def _asked(service: Service, context: EngineContext) -> Check:
    api, begun_s = service.api, anyio.current_time()
    document = await service.endpoint.post(api.body([api.prepared(_WORD, "query")], "query"), service.limits.total_s)
    latency_ms = (anyio.current_time() - begun_s) * 1000
    model = api.model("query")
    try:
        answer = api.read(document, 1)
    except Nonsense as why:
        return Check(True, True, latency_ms, model, str(service.endpoint.broken(str(why))))
    context.usage.record(Usage("embeddings", service.name, "requests", 1, model))
    if answer.tokens:
        context.usage.record(Usage("embeddings", service.name, "input_tokens", answer.tokens, model))
    version = f" version {answer.version}" if answer.version and answer.version != model else ""
    detail = (
        f"{model}{version}, {answer.vectors.shape[1]} dimensions, {service.limits.requests_per_s:g} requests a second"
    )
    return Check(True, True, latency_ms, detail)


def _failed(error: KamertonError) -> Check:
    fault = error.fault if isinstance(error, VendorError) else "connection"
    authorised = {"unauthorised": False, "quota": True, "rate_limited": True}.get(fault)
    return Check(fault in _ANSWERED, authorised, None, fault, str(error))
