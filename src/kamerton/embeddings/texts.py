"""What every embedder does to texts before and to vectors after its model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import EngineError

MAX_CHARACTERS: Final = 1000
"""Longer texts are cut: nobody says more in one turn, and the time of a query grows with its length."""

_SAMPLE_BYTES: Final = 1 << 20


def cleaned(text: str, longest: int = MAX_CHARACTERS) -> str:
    """No zero bytes (they would end a C string), nothing that is no text (half a surrogate pair), no endless texts."""
    return text[:longest].replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


def unit(vectors: Vectors) -> Vectors:
    """Each row of length one; float32."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return np.asarray(vectors / lengths, dtype=np.float32)


def checked(vectors: Vectors, count: int, identity: str) -> Vectors:
    """The vectors, if there is one per text and all are numbers.

    Raises:
        EngineError: they are not.
    """
    if vectors.ndim != 2 or len(vectors) != count or not np.isfinite(vectors).all():
        raise EngineError(
            f"embedding model {identity} gave {vectors.shape} for {count} texts, or values that are no numbers; "
            "check the model's files"
        )
    return vectors


def fingerprint(paths: Sequence[Path]) -> str:
    """Hash of sizes and of the first and last megabyte: tells model files apart without reading all of them."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(str(size).encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE_BYTES))
            file.seek(max(0, size - _SAMPLE_BYTES))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]
