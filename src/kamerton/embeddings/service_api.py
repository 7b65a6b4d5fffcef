"""What a vendor's adapter tells of its protocol: no I/O, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from kamerton.domain.embedding import Vectors
from kamerton.embeddings.texts import unit

TextKind = Literal["query", "wordings", "passage"]


class Nonsense(Exception):
    """An answer that is none; says why, without what was asked."""


@dataclass(frozen=True, slots=True)
class EmbeddingAnswer:
    """What a service answered to a request."""

    vectors: Vectors
    """Float32 [texts, dimensions], each of length one."""
    tokens: float
    """Billed; 0 when it was not told."""
    version: str
    """Of the model, as far as the service tells."""


class EmbeddingApi(Protocol):
    """One vendor's protocol. Immutable, may be used from any thread."""

    @property
    def identity(self) -> str:
        """Everything that fixes the vectors but the version of the model."""
        ...

    @property
    def texts_per_request(self) -> int:
        """Texts that one request may carry."""
        ...

    def model(self, kind: TextKind) -> str:
        """The model that such texts are given to."""
        ...

    def prepared(self, text: str, kind: TextKind) -> str:
        """The text as it is sent: cut, with its prefix, never empty."""
        ...

    def body(self, texts: Sequence[str], kind: TextKind) -> Mapping[str, Any]:
        """A request for prepared texts."""
        ...

    def read(self, document: Any, count: int) -> EmbeddingAnswer:
        """The answer to a request of so many texts.

        Raises:
            Nonsense: it is none.
        """
        ...


def parsed_vector(values: Any, dimensions: int | None) -> list[float]:
    """A vector from JSON, whose numbers may be written as strings.

    Raises:
        Nonsense: it is none, or has other dimensions, or no direction.
    """
    if not isinstance(values, list) or not values:
        raise Nonsense("there is no vector where one belongs")
    if dimensions is not None and len(values) != dimensions:
        raise Nonsense(
            f"a vector has {len(values)} dimensions instead of {dimensions}; set dimensions to what it gives"
        )
    try:
        numbers = [float(value) for value in values if not isinstance(value, bool)]
    except (TypeError, ValueError, OverflowError):
        raise Nonsense("a vector holds what is no number") from None
    if len(numbers) != len(values) or not all(math.isfinite(number) for number in numbers):
        raise Nonsense("a vector holds what is no number")
    length = math.hypot(*numbers)
    if not 1e-6 < length < math.inf:
        raise Nonsense("a vector has no direction")
    return [number / length for number in numbers]


def as_vectors(rows: Sequence[Sequence[float]]) -> Vectors:
    """Rows of one length as unit vectors.

    Raises:
        Nonsense: their lengths differ.
    """
    if len({len(row) for row in rows}) > 1:
        raise Nonsense("its vectors differ in their dimensions")
    return unit(np.array(rows, dtype=np.float32))


def count_of(value: Any) -> float:
    """A count that may be written as a string; 0 when it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0
