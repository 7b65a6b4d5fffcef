"""The local embedders against the suite."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from word_model import write_word_model

from kamerton.domain.embedding import Embedder
from kamerton.embeddings.e5.engine import ENGINE as E5
from kamerton.embeddings.e5.engine import E5Options
from kamerton.embeddings.onnx.engine import ENGINE as ONNX
from kamerton.embeddings.onnx.engine import OnnxOptions
from kamerton.testing.embedding_conformance import EmbeddingConformance
from kamerton.vendors.engine import EngineContext


@pytest.mark.engine
class TestE5(EmbeddingConformance):
    test_failures_are_engine_errors = None  # type: ignore[assignment]  # the bundled library cannot be made to fail

    @contextmanager
    def opened(self) -> Iterator[Embedder]:
        yield anyio.run(E5.open, E5Options(), EngineContext("ru", Path("unused")))


@pytest.mark.engine
class TestOnnxFolder(EmbeddingConformance):
    @pytest.fixture(autouse=True)
    def at(self, tmp_path: Path) -> None:
        self.folder = write_word_model(tmp_path / "model")

    @contextmanager
    def opened(self) -> Iterator[Embedder]:
        yield anyio.run(ONNX.open, OnnxOptions(self.folder), EngineContext("ru", Path("unused")))

    @contextmanager
    def broken(self) -> Iterator[Embedder]:
        """Its tokenizer knows more words than the model."""
        tokenizer = json.loads((self.folder / "tokenizer.json").read_text("utf-8"))
        tokenizer["model"]["vocab"] = dict.fromkeys(tokenizer["model"]["vocab"], 99) | {"[UNK]": 98}
        (self.folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
        with self.opened() as embedder:
            yield embedder
