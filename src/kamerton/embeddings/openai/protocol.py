"""What is said to an OpenAI-compatible embedding server and what it says: pure, no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from kamerton.embeddings.service_api import EmbeddingAnswer, Nonsense, TextKind, as_vectors, count_of, parsed_vector
from kamerton.embeddings.texts import MAX_CHARACTERS, cleaned

LONGEST_TEXT: Final = 4000
"""Characters of a passage: well below OpenAI's 8191 tokens even where every character is two."""
_STAND_IN: Final = "."
"""Sent for a text without a character: an empty one is refused."""


@dataclass(frozen=True, slots=True)
class OpenAIEmbeddingApi:
    """Requests and answers of such a server (`EmbeddingApi`)."""

    url: str
    name: str
    dimensions: int | None
    batch: int
    query_prefix: str
    passage_prefix: str

    @property
    def identity(self) -> str:
        """See `EmbeddingApi.identity`."""
        address = urlsplit(self.url)
        prefixes = hashlib.sha256(f"{self.query_prefix}\0{self.passage_prefix}".encode()).hexdigest()[:6]
        size = "own" if self.dimensions is None else str(self.dimensions)
        port = f".{address.port}" if address.port else ""
        return f"{address.hostname}{port}-{self.name.replace('/', '.')}-{size}-{prefixes}"

    @property
    def texts_per_request(self) -> int:
        """See `EmbeddingApi.texts_per_request`."""
        return self.batch

    def model(self, kind: TextKind) -> str:
        """See `EmbeddingApi.model`: one for all."""
        return self.name

    def prepared(self, text: str, kind: TextKind) -> str:
        """See `EmbeddingApi.prepared`."""
        prefix, longest = (
            (self.passage_prefix, LONGEST_TEXT) if kind == "passage" else (self.query_prefix, MAX_CHARACTERS)
        )
        return prefix + (cleaned(text, longest).strip() or _STAND_IN)

    def body(self, texts: Sequence[str], kind: TextKind) -> Mapping[str, Any]:
        """See `EmbeddingApi.body`. A server that takes one text a time is given a string, not a list of one."""
        asked: dict[str, Any] = {
            "model": self.name,
            "input": list(texts) if self.batch > 1 else texts[0],
            "encoding_format": "float",
        }
        if self.dimensions is not None:
            asked["dimensions"] = self.dimensions
        return asked

    def read(self, document: Any, count: int) -> EmbeddingAnswer:
        """See `EmbeddingApi.read`. Vectors come in the order of their `index`, where they have one."""
        data = document.get("data") if isinstance(document, Mapping) else None
        if not isinstance(data, list) or not all(isinstance(entry, Mapping) for entry in data):
            raise Nonsense("there is no list 'data' in it")
        if len(data) != count:
            raise Nonsense(f"it has {len(data)} vectors for {count} texts")
        places = [entry.get("index", place) for place, entry in enumerate(data)]
        if any(type(place) is not int for place in places) or sorted(places) != list(range(count)):
            raise Nonsense("the places of its vectors make no order")
        rows: list[list[float]] = [[] for _ in data]
        for place, entry in zip(places, data, strict=True):
            rows[place] = parsed_vector(entry.get("embedding"), self.dimensions)
        model, usage = document.get("model"), document.get("usage")
        tokens = count_of(usage.get("total_tokens", usage.get("prompt_tokens"))) if isinstance(usage, Mapping) else 0.0
        return EmbeddingAnswer(as_vectors(rows), tokens, model if isinstance(model, str) else "")
