"""Opens and checks a model behind OpenAI's interface, for every engine that speaks it."""

from __future__ import annotations

import anyio
import anyio.to_thread

from kamerton.domain.errors import EngineError, KamertonError
from kamerton.llm.openai.model import OpenAICompatibleModel
from kamerton.llm.openai.server_settings import OpenAICompatibleSettings
from kamerton.vendors.check import Check
from kamerton.vendors.usage import UsageMeter

CHECK_S = 5.0
"""Longest wait for the list of models."""


async def open_model(settings: OpenAICompatibleSettings, usage: UsageMeter, engine: str) -> OpenAICompatibleModel:
    """The model, ready to be asked. Nothing is sent; loading the client takes a second, in a thread.

    Raises:
        ConfigurationError: the certificates cannot be read.
    """
    return await anyio.to_thread.run_sync(OpenAICompatibleModel, settings, usage, engine)


async def check_model(settings: OpenAICompatibleSettings, usage: UsageMeter, engine: str) -> Check:
    """Whether the server is there, takes the key and knows the model: it is asked for its list of models, at no cost.

    Never raises; safe to cancel.
    """
    try:
        model = await open_model(settings, usage, engine)
    except KamertonError as error:
        return Check(reachable=False, fix=str(error))
    started_s = anyio.current_time()
    try:
        names = await model.models(CHECK_S)
    except EngineError as error:
        return _failed(error, (anyio.current_time() - started_s) * 1000)
    finally:
        with anyio.CancelScope(shield=True):
            await model.aclose()
    latency_ms = (anyio.current_time() - started_s) * 1000
    if names and not _knows(names, settings.model):
        some = ", ".join(names[:5])
        fix = f"it does not list the model '{settings.model}'; it has {some}{' …' if len(names) > 5 else ''}"
        return Check(reachable=True, authorised=True, latency_ms=latency_ms, detail=f"{len(names)} models", fix=fix)
    return Check(reachable=True, authorised=True, latency_ms=latency_ms, detail=settings.model)


def _failed(error: EngineError, latency_ms: float) -> Check:
    fault = getattr(error, "fault", None)
    if fault in ("connection", "timeout"):
        return Check(reachable=False, fix=str(error))
    authorised = {"unauthorised": False, "quota": True, "rate_limited": True}.get(str(fault))
    return Check(reachable=True, authorised=authorised, latency_ms=latency_ms, fix=str(error))


def _knows(names: tuple[str, ...], model: str) -> bool:
    """Whether the list has the model; Ollama lists `qwen3` as `qwen3:latest`."""
    return model in names or f"{model}:latest" in names
