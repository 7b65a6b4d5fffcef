"""Vectors of questions: kept, reused, refused when the model is another one; and the memory of queries."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.vector_search import QuestionVectors, VectorSearch
from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import EngineError
from kamerton.embeddings.remembering import RememberingEmbedder
from kamerton.orchestrator.workers import InlineWorker

ENTRIES = (
    AnswerEntry("card", "оплата картой", "Да.", ("карта подойдёт",)),
    AnswerEntry("office", "адрес офиса", "Тут."),
)


class WordEmbedder:
    """A direction per word, from its hash: texts that share words are close. Counts what it is asked."""

    def __init__(self, identity: str = "words-1", dimensions: int = 64) -> None:
        self.identity = identity
        self.asked: list[str] = []
        self._dimensions = dimensions

    def query(self, texts: Sequence[str]) -> Vectors:
        self.asked.extend(texts)
        rows = [sum((self._word(word) for word in text.split()), self._word("")) for text in texts]
        raw = np.array(rows, dtype=np.float32).reshape(len(texts), self._dimensions)
        return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), dtype=np.float32)

    def wordings(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        return self.query([f"passage {text}" for text in texts])

    def _word(self, word: str) -> Vectors:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        return np.random.default_rng(seed).normal(size=self._dimensions).astype(np.float32)


def test_vectors_are_prepared_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.npz"
    embedder = WordEmbedder()
    first, prepared = QuestionVectors.prepare(ENTRIES, embedder, path)
    assert (prepared.computed, prepared.reused) == (3, 0)
    again = WordEmbedder()
    second, prepared = QuestionVectors.prepare(ENTRIES, again, path)
    assert (prepared.computed, prepared.reused, again.asked) == (0, 3, [])
    assert np.array_equal(first.vectors, second.vectors)
    assert first.answer_ids == ("card", "card", "office")
    assert np.linalg.norm(first.vectors, axis=1) == pytest.approx(1)


def test_a_changed_catalogue_costs_its_new_questions_only(tmp_path: Path) -> None:
    path = tmp_path / "answers.npz"
    QuestionVectors.prepare(ENTRIES, WordEmbedder(), path)
    embedder = WordEmbedder()
    changed = (ENTRIES[0], AnswerEntry("hours", "часы работы", "Всегда."))
    vectors, prepared = QuestionVectors.prepare(changed, embedder, path)
    assert embedder.asked == ["часы работы"]
    assert (prepared.computed, prepared.reused) == (1, 2)
    assert vectors.answer_ids == ("card", "card", "hours")


def test_vectors_of_another_model_are_never_compared(tmp_path: Path) -> None:
    path = tmp_path / "answers.npz"
    QuestionVectors.prepare(ENTRIES, WordEmbedder("words-1"), path)
    other = WordEmbedder("words-2")
    vectors, prepared = QuestionVectors.prepare(ENTRIES, other, path)
    assert prepared.computed == 3
    assert "changed from 'words-1' to 'words-2'" in prepared.reason
    assert vectors.identity == "words-2"


def test_a_model_changed_under_a_live_index_is_refused(tmp_path: Path) -> None:
    embedder = WordEmbedder()
    vectors, _ = QuestionVectors.prepare(ENTRIES, embedder, tmp_path / "answers.npz")
    embedder.identity = "words-2"
    with pytest.raises(EngineError, match=r"made by 'words-1'.*now is 'words-2'"):
        vectors.query("оплата")


def test_a_model_that_changed_its_dimensions_silently_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.npz"
    QuestionVectors.prepare(ENTRIES, WordEmbedder(), path)
    more = (*ENTRIES, AnswerEntry("hours", "часы работы", "Всегда."))
    vectors, prepared = QuestionVectors.prepare(more, WordEmbedder(dimensions=32), path)
    assert (vectors.vectors.shape, prepared.computed) == ((4, 32), 4)
    vectors, _ = QuestionVectors.prepare(more, WordEmbedder(dimensions=16), path)
    with pytest.raises(EngineError, match="32 dimensions"):
        vectors.query("оплата")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04garbage", b"\x80\x04pickle"])
def test_a_corrupt_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "answers.npz"
    path.write_bytes(content)
    _, prepared = QuestionVectors.prepare(ENTRIES, WordEmbedder(), path)
    assert "corrupt" in prepared.reason
    assert QuestionVectors.prepare(ENTRIES, WordEmbedder(), path)[1].reused == 3


def test_pickled_vectors_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "answers.npz"
    QuestionVectors.prepare(ENTRIES, WordEmbedder(), path)
    with np.load(path) as stored:
        header = stored["header"]
    np.savez(path, header=header, vectors=np.array([object()] * 3, dtype=object))
    assert "corrupt" in QuestionVectors.prepare(ENTRIES, WordEmbedder(), path)[1].reason


def test_a_folder_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    vectors, _ = QuestionVectors.prepare(ENTRIES, WordEmbedder(), tmp_path / "file" / "answers.npz")
    assert len(vectors.answer_ids) == 3
    assert "cannot be stored" in caplog.text


@pytest.mark.anyio
async def test_the_closest_question_of_an_answer_counts(tmp_path: Path) -> None:
    vectors, _ = QuestionVectors.prepare(ENTRIES, WordEmbedder(), tmp_path / "answers.npz")
    ranking = await VectorSearch(vectors, InlineWorker()).search("Карта подойдёт?", 5)
    assert [ranked.answer_id for ranked in ranking] == ["card", "office"]
    assert ranking[0].score == pytest.approx(1, abs=1e-5)
    assert ranking[0].lead > 0 > ranking[1].lead
    assert vectors.ranked([("card", 0.1), ("office", 0.9), ("card", 0.5)], vectors.vectors[2], 1)[0].score == 0.9


@pytest.mark.anyio
async def test_no_questions_cost_no_query(tmp_path: Path) -> None:
    embedder = WordEmbedder()
    vectors, _ = QuestionVectors.prepare((), embedder, tmp_path / "answers.npz")
    assert await VectorSearch(vectors, InlineWorker()).search("оплата", 5) == ()
    assert embedder.asked == []


def test_a_text_is_embedded_once() -> None:
    behind = WordEmbedder()
    embedder = RememberingEmbedder(behind)
    first = embedder.query(["один", "два", "один"])
    second = embedder.query(["два", "три"])
    assert behind.asked == ["один", "два", "три"]
    assert np.array_equal(first[1], second[0])
    assert first.shape == (3, 64)
    assert embedder.identity == "words-1"


def test_what_is_remembered_cannot_be_spoilt_from_outside() -> None:
    embedder = RememberingEmbedder(WordEmbedder())
    first = embedder.query(["один"])
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(embedder.query(["один"]), kept)


def test_the_least_recently_asked_goes() -> None:
    behind = WordEmbedder()
    embedder = RememberingEmbedder(behind, remembered=2)
    for text in ("а", "б", "а", "в", "а", "б"):
        embedder.query([text])
    assert behind.asked == ["а", "б", "в", "б"]


def test_more_texts_than_are_remembered_and_none() -> None:
    embedder = RememberingEmbedder(WordEmbedder(), remembered=2)
    assert embedder.query(["а", "б", "в"]).shape == (3, 64)
    assert embedder.query([]).shape == (0, 64)
    assert len(embedder.passage(["а"])) == 1


def test_many_threads_get_their_own_texts() -> None:
    embedder = RememberingEmbedder(WordEmbedder(), remembered=4)
    expected = {text: WordEmbedder().query([text])[0] for text in "абвгдежз"}
    wrong: list[str] = []

    def ask(text: str) -> None:
        got = [embedder.query([text])[0] for _ in range(200)]
        wrong.extend(text for vector in got if not np.array_equal(vector, expected[text]))

    threads = [Thread(target=ask, args=(text,)) for text in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
