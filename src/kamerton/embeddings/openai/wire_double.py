"""Stands in for a server with `/v1/embeddings`: OpenAI's checks and errors, a server of single texts, and faults."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kamerton.embeddings.wire_double import ScriptedReply, SeenRequest, WireDouble, meaning

PATH: Final = "/v1/embeddings"


@dataclass(frozen=True, slots=True)
class OpenAIDoubleSettings:
    """Whom the double lets in, and what it can do."""

    api_key: str | None = "secret"
    """None: it asks for none, and refuses one."""
    model: str = "text-embedding-3-small"
    served_model: str | None = None
    """The name in its answers; by default that of the request."""
    dimensions: int = 96
    single: bool = False
    """It takes one text only, as a string, and no `dimensions`."""
    shuffled: bool = False
    """Vectors come in another order than their `index`."""


def openai_double(
    settings: OpenAIDoubleSettings | None = None,
    script: Sequence[ScriptedReply] = (),
    *,
    usual: ScriptedReply | None = None,
    tls: ssl.SSLContext | None = None,
) -> WireDouble:
    """The server; a context manager."""
    chosen = settings or OpenAIDoubleSettings()
    return WireDouble(lambda request: _answer(chosen, request), script, usual=usual, tls=tls)


def _answer(settings: OpenAIDoubleSettings, request: SeenRequest) -> tuple[int, Any]:
    wanted = None if settings.api_key is None else f"Bearer {settings.api_key}"
    given = request.headers.get("authorization")
    if given != wanted:
        return _error(401, f"Incorrect API key provided: {given}", "invalid_api_key")
    body = request.body
    if request.path != PATH or not isinstance(body, dict):
        return _error(404, f"Invalid URL (POST {request.path})", "not_found")
    if body.get("model") != settings.model:
        return _error(404, f"The model '{body.get('model')}' does not exist", "model_not_found")
    if body.get("encoding_format") != "float":
        return _error(400, "only encoding_format float is supported", "invalid_value")
    texts = body.get("input")
    if settings.single and (not isinstance(texts, str) or "dimensions" in body):
        return _error(400, "input must be a string", "invalid_type")
    listed = [texts] if isinstance(texts, str) else texts
    if not isinstance(listed, list) or not listed or not all(isinstance(text, str) and text for text in listed):
        return _error(400, "'$.input' is invalid", "invalid_type")
    size = body.get("dimensions", settings.dimensions)
    data = [
        {"object": "embedding", "index": place, "embedding": meaning(text, size)} for place, text in enumerate(listed)
    ]
    tokens = sum(len(text.split()) for text in listed)
    return 200, {
        "object": "list",
        "data": data[::-1] if settings.shuffled else data,
        "model": settings.served_model or settings.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _error(status: int, message: str, code: str) -> tuple[int, Any]:
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
