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

    def wordings(self, texts: Sequence[str]) -> Vectors:
        """Vectors of an assistant's own wordings of what callers may say; same shape and errors as `query`.

        They are compared with those of `query`: short texts on both sides. Unlike what callers say they are nobody's
        secret, so a service may keep them on disk; it takes its time and asks as often as its quota allows.
        """
        ...

    def passage(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents to be found by a query: as `wordings`, for longer texts that answer."""
        ...
