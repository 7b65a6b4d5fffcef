"""Prepared vectors on disk: one `.npz` without pickle, with a JSON header whose key tells when they are stale."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from kamerton.domain.embedding import Vectors

PREPARATION_VERSION: Final = 1
"""Raise it whenever texts are prepared or gates are derived in another way: stored vectors become stale."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreparedVectors:
    """Vectors in the order of their texts, what is subtracted from every vector, and numbers derived from them."""

    vectors: Vectors
    center: Vectors
    figures: Mapping[str, Any]
    """JSON-like values (the calibrated gates)."""


class _Stale(Exception):
    """The stored vectors cannot be used; says why."""


def preparation_key(identity: str, texts: Sequence[str]) -> str:
    """Hash over the embedder, every text in order, and the preparation's version."""
    payload = json.dumps([PREPARATION_VERSION, identity, list(texts)], ensure_ascii=False)
    return hashlib.sha256(payload.encode("utf-8")).hexdigest()


def load_or_prepare(path: Path, key: str, prepare: Callable[[], PreparedVectors]) -> PreparedVectors:
    """The stored vectors if they are whole and fresh, else newly prepared ones, stored for the next start.

    A folder that cannot be written to costs only the next start's time: it is logged, not raised.
    """
    try:
        return _load(path, key)
    except _Stale as reason:
        _log.info("vectors are prepared anew", extra={"path": str(path), "reason": str(reason)})
    prepared = prepare()
    try:
        _save(path, key, prepared)
    except OSError as error:
        _log.warning(
            "vectors cannot be stored; the next start prepares them again",
            extra={"path": str(path), "reason": str(error)},
        )
    return prepared


def _load(path: Path, key: str) -> PreparedVectors:
    if not path.exists():
        raise _Stale("there are none yet")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes().decode("utf-8"))
            stored_key, figures = header["key"], header["figures"]
            vectors, center = stored["vectors"], stored["center"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _Stale(f"the file is corrupt: {error}") from error
    if stored_key != key:
        raise _Stale("texts, model or preparation have changed")
    if vectors.ndim != 2 or vectors.dtype != np.float32 or center.shape != (vectors.shape[1],):
        raise _Stale("the arrays have the wrong shape")
    return PreparedVectors(vectors=vectors, center=center, figures=figures)


def _save(path: Path, key: str, prepared: PreparedVectors) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"key": key, "figures": prepared.figures}).encode("utf-8")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file,
                header=np.frombuffer(header, dtype=np.uint8),
                vectors=prepared.vectors,
                center=prepared.center,
            )
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
