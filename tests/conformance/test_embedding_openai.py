"""OpenAI-compatible embeddings against the suite: servers of many texts at once, and of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from embedding_services import KEY, VENDORS

from kamerton.domain.embedding import Embedder
from kamerton.embeddings.openai.wire_double import OpenAIDoubleSettings, openai_double
from kamerton.embeddings.wire_double import ScriptedReply
from kamerton.testing.embedding_conformance import EmbeddingConformance

OPENAI = VENDORS[1]


@pytest.mark.socket
class TestOpenAI(EmbeddingConformance):
    double = OpenAIDoubleSettings(api_key=KEY, shuffled=True)
    batch = 3

    @pytest.fixture(autouse=True)
    def at(self, tmp_path: Path) -> Iterator[None]:
        self.data_dir = tmp_path
        with openai_double(self.double) as self.server:
            yield

    @contextmanager
    def opened(self) -> Iterator[Embedder]:
        embedder = OPENAI.embedder(self.server.url, self.data_dir, batch=self.batch, query_prefix="query: ")
        try:
            yield embedder
        finally:
            embedder.close()

    @contextmanager
    def broken(self) -> Iterator[Embedder]:
        self.server.follow(usual=ScriptedReply(status=500))
        with self.opened() as embedder:
            yield embedder


@pytest.mark.socket
class TestAServerOfSingleTexts(TestOpenAI):
    double = OpenAIDoubleSettings(api_key=KEY, single=True)
    batch = 1
