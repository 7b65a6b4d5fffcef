"""A sentence-embedding model in a local folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import ConfigurationError, EngineError, ModelError
from kamerton.embeddings.texts import checked, cleaned, fingerprint, unit


@dataclass(frozen=True, slots=True)
class OnnxFolderOptions:
    """Optional `embedding.json` in a model folder."""

    query_prefix: str = ""
    passage_prefix: str = ""
    max_tokens: int = 512

    @classmethod
    def read(cls, folder: Path) -> OnnxFolderOptions:
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
        self._options = OnnxFolderOptions.read(folder)
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
        self._identity = f"onnx-{folder.name}-{fingerprint([model_path, tokenizer_path])}-{_digest(self._options)}"

    @property
    def identity(self) -> str:
        """See `Embedder.identity`."""
        return self._identity

    def query(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.query`."""
        return self._embed([self._options.query_prefix + text for text in texts])

    def wordings(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.wordings`: with the prefix of queries."""
        return self.query(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.passage`."""
        return self._embed([self._options.passage_prefix + text for text in texts])

    def _embed(self, texts: list[str]) -> Vectors:
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        encoded = self._tokenizer.encode_batch([cleaned(text) for text in texts])
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
        return checked(unit(pooled), len(texts), self._identity)


def _digest(options: OnnxFolderOptions) -> str:
    told = ", ".join(f"{name}={value!r}" for name, value in asdict(options).items())
    return hashlib.sha256(f"OnnxOptions({told})".encode()).hexdigest()[:8]
