"""Stands in for Yandex's `textEmbedding`: refuses what the vendor refuses, counts in strings, and can misbehave."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kamerton.embeddings.wire_double import ScriptedReply, SeenRequest, WireDouble, meaning

PATH: Final = "/foundationModels/v1/textEmbedding"
_MODELS: Final = ("text-search-query", "text-search-doc")
_MOST_TOKENS: Final = 2000
_GRPC_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5}


@dataclass(frozen=True, slots=True)
class YandexDoubleSettings:
    """Whom the double lets in, and what it tells."""

    authorization: str = "Api-Key secret"
    folder: str = "b1gfolder"
    version: str = "06.12.2023"
    numbers_as_text: bool = False
    """Write the numbers of a vector as strings, as the reference says."""


def yandex_double(
    settings: YandexDoubleSettings | None = None,
    script: Sequence[ScriptedReply] = (),
    *,
    usual: ScriptedReply | None = None,
    tls: ssl.SSLContext | None = None,
) -> WireDouble:
    """The server; a context manager."""
    chosen = settings or YandexDoubleSettings()
    return WireDouble(lambda request: _answer(chosen, request), script, usual=usual, tls=tls)


def _answer(settings: YandexDoubleSettings, request: SeenRequest) -> tuple[int, Any]:
    if request.path != PATH:
        return _error(404, f"Not found: {request.path}")
    if request.headers.get("authorization") != settings.authorization:
        return _error(401, "Unknown api key or token")
    if request.headers.get("x-folder-id") != settings.folder:
        return _error(403, "Permission to the folder is denied")
    body = request.body
    if not isinstance(body, dict) or not set(body) <= {"modelUri", "text", "dim"}:
        return _error(400, "Invalid JSON in the request")
    text, dim = body.get("text"), body.get("dim", "256")
    scheme, _, model = str(body.get("modelUri")).partition(f"//{settings.folder}/")
    name = model.split("/")[0]
    if scheme != "emb:" or name not in _MODELS:
        return _error(404, f"Failed to get model {body.get('modelUri')}")
    if not isinstance(text, str) or not text:
        return _error(400, "Text is empty")
    tokens = len(text.split()) + 2
    if tokens > _MOST_TOKENS or not isinstance(dim, str) or not dim.isdigit():
        return _error(400, "number of input tokens must be no more than 2000")
    vector: list[Any] = [3.0 * value for value in meaning(f"{name} {text}", int(dim))]
    if settings.numbers_as_text:
        vector = [repr(value) for value in vector]
    return 200, {"embedding": vector, "numTokens": str(tokens), "modelVersion": settings.version}


def _error(status: int, message: str) -> tuple[int, Any]:
    grpc_code = _GRPC_CODES[status]
    told = {"grpcCode": grpc_code, "httpCode": status, "message": message, "httpStatus": "Error", "details": []}
    return status, {"error": told}
