"""What is said to Yandex and what it says: pure, no I/O.

Facts are those of the reference of `foundationModels/v1/textEmbedding`: one text per request, 2000 tokens at most,
counts (and by the reference even the numbers of the vector) written as strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from kamerton.embeddings.service_api import EmbeddingAnswer, Nonsense, TextKind, as_vectors, count_of, parsed_vector
from kamerton.embeddings.texts import MAX_CHARACTERS, cleaned

OWN_DIMENSIONS: Final = 256
"""What the models give when nothing else is asked for."""
LONGEST_TEXT: Final = 2000
"""Characters: a token has at least one of Cyrillic or Latin, and 2000 tokens are the vendor's limit."""
_STAND_IN: Final = "."
"""Sent for a text without a character: an empty one is refused."""


@dataclass(frozen=True, slots=True)
class YandexEmbeddingApi:
    """Requests and answers of the vendor (`EmbeddingApi`)."""

    folder: str
    query_model: str
    passage_model: str
    wordings_as: Literal["query", "passage"]
    dimensions: int
    url: str

    @property
    def identity(self) -> str:
        """See `EmbeddingApi.identity`."""
        models = f"{self.query_model},{self.passage_model}".replace("/", ".")
        return f"{urlsplit(self.url).hostname}-{models}-{self.wordings_as}-{self.dimensions}"

    @property
    def texts_per_request(self) -> int:
        """See `EmbeddingApi.texts_per_request`."""
        return 1

    def model(self, kind: TextKind) -> str:
        """See `EmbeddingApi.model`."""
        as_passage = kind == "passage" or (kind == "wordings" and self.wordings_as == "passage")
        return self.passage_model if as_passage else self.query_model

    def prepared(self, text: str, kind: TextKind) -> str:
        """See `EmbeddingApi.prepared`."""
        return cleaned(text, LONGEST_TEXT if kind == "passage" else MAX_CHARACTERS).strip() or _STAND_IN

    def body(self, texts: Sequence[str], kind: TextKind) -> Mapping[str, Any]:
        """See `EmbeddingApi.body`."""
        (text,) = texts
        body = {"modelUri": f"emb://{self.folder}/{self.model(kind)}", "text": text}
        if self.dimensions != OWN_DIMENSIONS:
            body["dim"] = str(self.dimensions)
        return body

    def read(self, document: Any, count: int) -> EmbeddingAnswer:
        """See `EmbeddingApi.read`."""
        if not isinstance(document, Mapping) or "embedding" not in document:
            raise Nonsense("there is no 'embedding' in it")
        vector = parsed_vector(document["embedding"], self.dimensions)
        version = document.get("modelVersion")
        told = version if isinstance(version, str) else ""
        return EmbeddingAnswer(as_vectors([vector]), count_of(document.get("numTokens")), told)
