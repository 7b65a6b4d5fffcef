"""Yandex embeddings against the suite, over a server that speaks their protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from embedding_services import VENDORS

from kamerton.domain.embedding import Embedder
from kamerton.embeddings.wire_double import ScriptedReply
from kamerton.testing.embedding_conformance import EmbeddingConformance

YANDEX = VENDORS[0]


@pytest.mark.socket
class TestYandex(EmbeddingConformance):
    @pytest.fixture(autouse=True)
    def at(self, tmp_path: Path) -> None:
        self.data_dir = tmp_path

    @contextmanager
    def opened(self) -> Iterator[Embedder]:
        with YANDEX.opened(self.data_dir) as (embedder, _):
            yield embedder

    @contextmanager
    def broken(self) -> Iterator[Embedder]:
        with YANDEX.opened(self.data_dir, usual=ScriptedReply(status=500)) as (embedder, _):
            yield embedder


@pytest.mark.socket
class TestYandexWithWordingsAsPassages(TestYandex):
    @contextmanager
    def opened(self) -> Iterator[Embedder]:
        with YANDEX.opened(self.data_dir, wordings_as="passage") as (embedder, _):
            yield embedder
