"""Vectors of known texts on disk, so that a service is asked and paid for each of them once.

One file per vector, named by a hash of embedder and text: no text is stored, and what callers say never comes here.
Files are written beside their place and renamed, so processes share a folder without locks: a reader sees a whole file
or none. Each file carries a hash of its content; a damaged one counts as missing and is written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np

from kamerton.domain.embedding import Vectors

_MAGIC: Final = b"KVEC1\n"
_DIGEST_BYTES: Final = 16
_SUFFIX: Final = ".vec"
_PRUNED_EVERY: Final = 500
"""Files written between two looks at how many there are."""
_PRUNED_TO: Final = 0.9

_log = logging.getLogger(__name__)


class VectorCache:
    """Up to about `limit` vectors in a folder; beyond it the least recently used go. Thread-safe, blocking.

    A disk that is full or read-only costs what is not cached, and one line in the log.

    Args:
        folder: made when first written to; 4 KB of disk per vector.
        limit: vectors kept.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._lock = Lock()
        self._written = 0
        self._complained = False

    def get(self, identity: str, text: str) -> Vectors | None:
        """The vector of a text, float32 [dimensions]; None when there is none that can be used."""
        path = self._path(identity, text)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        vector = _decoded(content)
        if vector is None:
            _log.warning("a cached vector was damaged; it is made anew", extra={"path": str(path)})
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):  # another process has just pruned it, or the disk is read-only
            os.utime(path)
        return vector

    def put(self, identity: str, text: str, vector: Vectors) -> None:
        """Keep the vector of a text. Never raises."""
        path = self._path(identity, text)
        try:
            _write(path, _encoded(vector))
        except OSError as error:
            if not self._complained:
                _log.warning(
                    "vectors cannot be cached; they are asked for again at the next start",
                    extra={"path": str(path), "reason": str(error)},
                )
            self._complained = True
            return
        with self._lock:
            due = self._written % _PRUNED_EVERY == 0
            self._written += 1
        if due:
            self.prune()

    def prune(self) -> int:
        """Remove the least recently used vectors beyond the limit, and what broken writes left; returns how many."""
        if not self._lock.acquire(blocking=False):
            return 0
        try:
            return self._prune()
        finally:
            self._lock.release()

    def _prune(self) -> int:
        aged: list[tuple[float, Path]] = []
        for path in self._folder.glob(f"*/*{_SUFFIX}"):
            try:
                aged.append((path.stat().st_mtime, path))
            except OSError:  # another process prunes as well
                continue
        if len(aged) <= self._limit:
            return 0
        aged.sort(key=lambda entry: entry[0])
        gone = aged[: len(aged) - int(self._limit * _PRUNED_TO)]
        for _, path in gone:
            path.unlink(missing_ok=True)
        _log.info("old cached vectors were removed", extra={"path": str(self._folder), "count": len(gone)})
        return len(gone)

    def _path(self, identity: str, text: str) -> Path:
        name = hashlib.sha256(f"{identity}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / name[:2] / f"{name[2:40]}{_SUFFIX}"


def _encoded(vector: Vectors) -> bytes:
    payload = np.asarray(vector, dtype="<f4").tobytes()
    return _MAGIC + hashlib.sha256(payload).digest()[:_DIGEST_BYTES] + payload


def _decoded(content: bytes) -> Vectors | None:
    digest, payload = content[len(_MAGIC) :][:_DIGEST_BYTES], content[len(_MAGIC) + _DIGEST_BYTES :]
    whole = content.startswith(_MAGIC) and hashlib.sha256(payload).digest()[:_DIGEST_BYTES] == digest
    if not whole or not payload or len(payload) % 4:
        return None
    return np.frombuffer(payload, dtype="<f4").astype(np.float32)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=_SUFFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def known(cache: VectorCache, identity: str, texts: Sequence[str]) -> dict[str, Vectors]:
    """The vectors of those texts that are cached."""
    found = ((text, cache.get(identity, text)) for text in dict.fromkeys(texts))
    return {text: vector for text, vector in found if vector is not None}
