"""Sentence embeddings, as the parts that compare meanings need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into unit vectors. Thread-safe; blocking, so call it off the event loop."""

    @property
    def identity(self) -> str:
        """Name and content hash of the model: vectors of different identities must never be compared."""
        ...

    def query(self, texts: Sequence[str]) -> Vectors:
        """Vectors of what callers say: float32 [texts, dimensions], each of length one.

        Raises:
            EngineError: the model failed.
        """
        ...

    def passage(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents to be found by a query; same shape and errors as `query`."""
        ...
