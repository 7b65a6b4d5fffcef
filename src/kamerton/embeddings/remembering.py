"""Remembers the vectors of what was just said, so that parts that ask about the same words pay for the model once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Final

import numpy as np

from kamerton.domain.embedding import Embedder, Vectors

REMEMBERED_TEXTS: Final = 512
"""Vectors kept: 0.8 MB at 384 dimensions."""


class VectorMemory:
    """The vectors of so many texts; the least recently used go. Thread-safe, in memory only."""

    def __init__(self, remembered: int = REMEMBERED_TEXTS) -> None:
        self.limit = remembered
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = Lock()

    def recall(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Those of the texts that are remembered."""
        with self._lock:
            known = {text: self._vectors[text] for text in texts if text in self._vectors}
            for text in known:
                self._vectors.move_to_end(text)
        return known

    def keep(self, vectors: Mapping[str, Vectors]) -> None:
        """Remember copies."""
        with self._lock:
            for text, vector in vectors.items():
                self._vectors[text] = vector.copy()
                self._vectors.move_to_end(text)
            while len(self._vectors) > self.limit:
                self._vectors.popitem(last=False)


class RememberingEmbedder:
    """An embedder in front of another one that keeps the vectors of the latest queries. Thread-safe.

    Give the same one to the classifier and to instant answers: both embed the folded words of a turn. Known texts
    are not remembered. What callers said stays in memory only, until newer texts push it out.
    """

    def __init__(self, embedder: Embedder, remembered: int = REMEMBERED_TEXTS) -> None:
        self._embedder = embedder
        self._memory = VectorMemory(remembered)

    @property
    def identity(self) -> str:
        """See `Embedder.identity`: that of the embedder behind."""
        return self._embedder.identity

    def query(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.query`; only texts that are not remembered reach the model."""
        if len(texts) > self._memory.limit:
            return self._embedder.query(texts)
        known = self._memory.recall(texts)
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing or not texts:
            vectors = self._embedder.query(missing)
            if not texts:
                return vectors
            fresh = dict(zip(missing, vectors, strict=True))
            self._memory.keep(fresh)
            known.update(fresh)
        return np.stack([known[text] for text in texts])

    def wordings(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.wordings`."""
        return self._embedder.wordings(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.passage`."""
        return self._embedder.passage(texts)
