"""How a model folder is chosen and set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread

from kamerton.domain.embedding import Embedder
from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.engine import EngineContext, EngineType


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """Settings of `understanding.onnx`."""

    folder: Path | None = None
    """Holds `model.onnx`, `tokenizer.json` and, if the model wants prefixes, `embedding.json`. Must be set."""
    threads: int = 1
    """Threads per query, 1 to 64. One is best while several calls share the cores."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: the number of threads.
        """
        if not 1 <= self.threads <= 64:
            raise ConfigurationError(f"understanding.onnx: threads is {self.threads}; set 1 to 64")


async def _open(options: OnnxOptions, context: EngineContext) -> Embedder:
    from kamerton.embeddings.onnx.embedder import OnnxEmbedder
    from kamerton.embeddings.remembering import RememberingEmbedder

    if options.folder is None:
        raise ConfigurationError("understanding.onnx: no folder is set; name the one that holds model.onnx")
    loading = partial(OnnxEmbedder, options.folder, options.threads)
    return RememberingEmbedder(await anyio.to_thread.run_sync(loading))


ENGINE: Final = EngineType("onnx", OnnxOptions, _open)
