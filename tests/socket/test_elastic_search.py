"""Instant answers over Elasticsearch: faked at the wire, and a real one where ELASTICSEARCH_TEST_URL names it."""

from __future__ import annotations

import os
import socket
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import numpy as np
import pytest

from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.catalogue_search import AnswerSearcher
from kamerton.answers.elastic import ElasticConnection, open_elastic
from kamerton.answers.elastic_index import IndexPlan, plan_index
from kamerton.answers.elastic_load import load_index, verify_index
from kamerton.answers.elastic_search import ElasticKeywordSearch, ElasticVectorSearch
from kamerton.answers.keyword_search import KeywordIndex, KeywordSearch
from kamerton.answers.race import Race
from kamerton.answers.vector_search import QuestionVectors, VectorSearch
from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import EngineError
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.elastic_server import ElasticFault, ElasticServer, elastic_server

pytestmark = [
    pytest.mark.socket,
    pytest.mark.anyio,
    pytest.mark.filterwarnings("default::elasticsearch.ElasticsearchWarning"),
]

REAL = os.environ.get("ELASTICSEARCH_TEST_URL", "")
PATIENCE_S = 5.0
"""Search timeout where it is not what is tested: this machine may be busy."""

ENTRIES = (
    AnswerEntry(
        "documents",
        "Какие нужны документы?",
        "Паспорт и права.",
        ("Что взять с собой", "Какой список подготовить"),
        (("документы", "бумаги"),),
    ),
    AnswerEntry("office", "Где ваш офис?", "Офиса нет.", ("Как до вас доехать",)),
    AnswerEntry("payment", "Можно оплатить картой?", "Да, картой или переводом.", ("Какие способы оплаты",)),
)


@dataclass
class WordEmbedder:
    """A vector per word, drawn from its letters; a text is the sum of its words."""

    identity: str = "words-1"
    dimensions: int = 32

    def query(self, texts: Sequence[str]) -> Vectors:
        rows = np.stack([sum((self._word(word) for word in text.split()), np.zeros(self.dimensions)) for text in texts])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    def wordings(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)

    def _word(self, word: str) -> Vectors:
        seed = zlib.crc32(f"{self.identity}{word}".encode())
        return np.asarray(np.random.default_rng(seed).normal(size=self.dimensions), dtype=np.float32)


@dataclass(frozen=True)
class Cluster:
    connection: ElasticConnection
    assistant: str

    def plan(self, vectors: QuestionVectors | None, entries: Sequence[AnswerEntry] = ENTRIES) -> IndexPlan:
        return plan_index(self.assistant, entries, "ru", vectors)


def reachable(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 9200), timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture(params=["wire", "real"] if REAL else ["wire"])
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    if request.param == "real" and not reachable(REAL):
        pytest.skip(f"no server answers at {REAL}")
    assistant = f"test-{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        url = REAL if request.param == "real" else (await stack.enter_async_context(elastic_server())).url
        connection = await stack.enter_async_context(open_elastic(url, search_timeout_s=PATIENCE_S))
        yield Cluster(connection, assistant)
        for name in await connection.metas(f"kamerton-answers.{assistant}.*"):
            await connection.remove(name)


@pytest.fixture
async def wire() -> AsyncIterator[ElasticServer]:
    async with elastic_server() as server:
        yield server


@pytest.fixture
def vectors(tmp_path: Path) -> Callable[..., QuestionVectors]:
    def prepare(entries: Sequence[AnswerEntry] = ENTRIES, embedder: WordEmbedder | None = None) -> QuestionVectors:
        return QuestionVectors.prepare(entries, embedder or WordEmbedder(), tmp_path / "vectors.npz")[0]

    return prepare


def by_words(connection: ElasticConnection, plan: IndexPlan) -> ElasticKeywordSearch:
    return ElasticKeywordSearch(connection, plan, KeywordIndex(ENTRIES, "ru"), InlineWorker())


Prepare = Callable[..., QuestionVectors]


async def test_vectors_rank_and_score_exactly_as_in_process(cluster: Cluster, vectors: Prepare) -> None:
    questions = vectors()
    plan = cluster.plan(questions)
    await load_index(cluster.connection, plan)
    remote: AnswerSearcher = ElasticVectorSearch(cluster.connection, plan, questions, InlineWorker())
    for text in ("где офис", "какие документы взять", "можно картой"):
        found = await remote.search(text, 3)
        expected = await VectorSearch(questions, InlineWorker()).search(text, 3)
        assert [ranked.answer_id for ranked in found] == [ranked.answer_id for ranked in expected]
        assert [ranked.score for ranked in found] == pytest.approx([ranked.score for ranked in expected], abs=1e-4)


async def test_words_find_other_forms_synonyms_and_nothing_for_strange_words(
    cluster: Cluster, vectors: Prepare
) -> None:
    plan = cluster.plan(vectors())
    await load_index(cluster.connection, plan)
    search = by_words(cluster.connection, plan)
    assert (await search.search("а документов каких", 3))[0].answer_id == "documents"
    assert (await search.search("что из бумаг", 3))[0].answer_id == "documents"
    assert (await search.search("про офис расскажите", 3))[0].answer_id == "office"
    assert await search.search("борщ", 3) == ()
    assert await search.search("", 3) == ()
    assert len(await search.search("картой документы офис", 2)) == 2


async def test_candidates_are_scored_like_those_found_in_process(cluster: Cluster, vectors: Prepare) -> None:
    plan = cluster.plan(vectors())
    await load_index(cluster.connection, plan)
    text = "какие документы и где офис"
    local = {
        one.answer_id: one.score
        for one in await KeywordSearch(KeywordIndex(ENTRIES, "ru"), InlineWorker()).search(text, 9)
    }
    found = await by_words(cluster.connection, plan).search(text, 9)
    assert {"documents", "office"} <= {one.answer_id for one in found}
    assert all(one.score == pytest.approx(local[one.answer_id]) for one in found)


async def test_a_second_load_writes_nothing(cluster: Cluster, vectors: Prepare) -> None:
    plan = cluster.plan(vectors())
    first = await load_index(cluster.connection, plan)
    assert (first.written, first.added, first.unchanged) == (7, ("documents", "office", "payment"), 0)
    assert first.new_index_because == "there is none yet"
    second = await load_index(cluster.connection, plan)
    assert (second.written, second.deleted, second.unchanged) == (0, 0, 3)
    assert (second.added, second.changed, second.removed, second.new_index_because) == ((), (), (), "")
    await verify_index(cluster.connection, plan)


async def test_a_changed_answer_rewrites_only_its_own_questions(cluster: Cluster, vectors: Prepare) -> None:
    await load_index(cluster.connection, cluster.plan(vectors()))
    changed = (ENTRIES[0], replace(ENTRIES[1], answer="Офис на Ленина."), ENTRIES[2])
    plan = cluster.plan(vectors(changed), changed)
    with pytest.raises(EngineError, match="has other answers than assistant"):
        await verify_index(cluster.connection, plan)
    report = await load_index(cluster.connection, plan)
    assert (report.written, report.deleted, report.changed, report.unchanged) == (2, 0, ("office",), 2)
    assert report.new_index_because == ""
    assert "answers changed: office" in report.lines()
    await verify_index(cluster.connection, plan)


async def test_changed_questions_make_a_new_index_and_keep_the_one_before(cluster: Cluster, vectors: Prepare) -> None:
    first = cluster.plan(vectors())
    await load_index(cluster.connection, first)
    fewer = cluster.plan(vectors(ENTRIES[:2]), ENTRIES[:2])
    report = await load_index(cluster.connection, fewer)
    assert (report.removed, report.unchanged, report.dropped_indices) == (("payment",), 2, ())
    assert "questions or synonyms have changed" in report.new_index_because
    assert set(await cluster.connection.metas(first.alias)) == {fewer.name}
    await verify_index(cluster.connection, first)  # a process that has not restarted still finds its own
    assert (await load_index(cluster.connection, fewer)).dropped_indices == ()
    one = cluster.plan(vectors(ENTRIES[:1]), ENTRIES[:1])
    assert (await load_index(cluster.connection, one)).dropped_indices == (first.name,)


async def test_a_changed_embedding_model_is_told_and_never_compared(cluster: Cluster, vectors: Prepare) -> None:
    await load_index(cluster.connection, cluster.plan(vectors()))
    questions = vectors(embedder=WordEmbedder("words-2", 48))
    plan = cluster.plan(questions)
    with pytest.raises(EngineError, match="embedding model has changed from 'words-1' to 'words-2'"):
        await verify_index(cluster.connection, plan)
    search = ElasticVectorSearch(cluster.connection, plan, questions, InlineWorker())
    with pytest.raises(EngineError, match="kamerton answers load"):
        await search.search("где офис", 3)
    report = await load_index(cluster.connection, plan)
    assert (report.written, report.unchanged) == (7, 3)
    assert "vectors of two models do not compare" in report.new_index_because
    assert await search.search("где офис", 3)


async def test_an_embedder_swapped_under_a_live_search_fails_it(cluster: Cluster, vectors: Prepare) -> None:
    embedder = WordEmbedder()
    questions = vectors(embedder=embedder)
    plan = cluster.plan(questions)
    await load_index(cluster.connection, plan)
    embedder.identity = "words-3"
    with pytest.raises(EngineError, match="words-3"):
        await ElasticVectorSearch(cluster.connection, plan, questions, InlineWorker()).search("где офис", 3)


async def test_a_document_lost_by_others_is_noticed_and_mended(cluster: Cluster, vectors: Prepare) -> None:
    plan = cluster.plan(vectors())
    await load_index(cluster.connection, plan)
    lost = plan.documents[0].document_id
    await cluster.connection.write(plan.name, [], [lost, "never-there"])
    with pytest.raises(EngineError, match="incomplete"):
        await verify_index(cluster.connection, plan)
    assert (await load_index(cluster.connection, plan)).written == 1
    await verify_index(cluster.connection, plan)


async def test_an_index_for_words_alone(cluster: Cluster) -> None:
    plan = cluster.plan(None)
    await load_index(cluster.connection, plan)
    assert (await by_words(cluster.connection, plan).search("где офис", 3))[0].answer_id == "office"


async def test_a_single_question_has_no_direction_of_its_own(cluster: Cluster, vectors: Prepare) -> None:
    entries = (AnswerEntry("office", "Где ваш офис?", "Офиса нет."),)
    questions = vectors(entries)
    plan = cluster.plan(questions, entries)
    assert (await load_index(cluster.connection, plan)).written == 1
    assert await ElasticVectorSearch(cluster.connection, plan, questions, InlineWorker()).search("где офис", 3) == ()


FAULTS: tuple[tuple[ElasticFault, str], ...] = (
    ("silent", "did not answer in time"),
    ("overloaded", "status 429.*overloaded"),
    ("red", "status 503.*cluster's health"),
    ("malformed", "SerializationError"),
    ("strange", "unexpected form"),
    ("partial", "only a part"),
    ("other_product", "not Elasticsearch"),
)


@pytest.mark.parametrize(("fault", "message"), FAULTS)
async def test_a_fault_of_the_cluster_is_one_clear_error_without_a_second_try(
    wire: ElasticServer, vectors: Prepare, fault: ElasticFault, message: str
) -> None:
    questions = vectors()
    plan = plan_index("insurance", ENTRIES, "ru", questions)
    async with open_elastic(wire.url) as loading:
        await load_index(loading, plan)
    async with open_elastic(wire.url, search_timeout_s=0.2 if fault == "silent" else PATIENCE_S) as connection:
        wire.fault = fault
        wire.requests.clear()
        with pytest.raises(EngineError, match=message) as caught:
            await by_words(connection, plan).search("паспорт нужен", 3)
        assert "паспорт" not in str(caught.value)
        with pytest.raises(EngineError, match=message):
            await ElasticVectorSearch(connection, plan, questions, InlineWorker()).search("где офис", 3)
        assert len(wire.requests) == 2
        wire.fault = "none"
        assert await by_words(connection, plan).search("где офис", 3)


async def test_a_cluster_that_is_down_is_told(vectors: Prepare) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plan = plan_index("insurance", ENTRIES, "ru", vectors())
    async with open_elastic(f"http://127.0.0.1:{port}", search_timeout_s=PATIENCE_S) as connection:
        with pytest.raises(EngineError, match="check that it runs"):
            await by_words(connection, plan).search("где офис", 3)
        with pytest.raises(EngineError, match="check that it runs"):
            await load_index(connection, plan)


@pytest.mark.parametrize("fault", ["silent", "red", "other_product"])
async def test_the_race_goes_on_with_the_half_in_process(
    wire: ElasticServer, vectors: Prepare, fault: ElasticFault
) -> None:
    questions = vectors()
    plan = plan_index("insurance", ENTRIES, "ru", questions)
    wire.fault = fault

    async def is_strong(_: object) -> bool:
        return False

    async with open_elastic(wire.url, search_timeout_s=0.1) as connection:
        local = VectorSearch(questions, InlineWorker())
        result = await Race(by_words(connection, plan), local, PATIENCE_S, 3).run("где ваш офис", is_strong)
    assert result.words.ranking is None
    assert "Elasticsearch" in result.words.failure
    assert result.meaning.ranking is not None
    assert result.meaning.ranking[0].answer_id == "office"


async def test_cancelling_a_search_leaves_the_connection_usable(wire: ElasticServer, vectors: Prepare) -> None:
    plan = plan_index("insurance", ENTRIES, "ru", vectors())
    async with open_elastic(wire.url, search_timeout_s=PATIENCE_S) as connection:
        await load_index(connection, plan)
        wire.fault = "silent"
        with anyio.move_on_after(0.05) as scope:
            await by_words(connection, plan).search("где офис", 3)
        assert scope.cancelled_caught
        wire.fault = "none"
        assert await by_words(connection, plan).search("где офис", 3)


async def test_refused_documents_are_named_and_the_alias_stays(wire: ElasticServer, vectors: Prepare) -> None:
    async with open_elastic(wire.url) as connection:
        first = plan_index("insurance", ENTRIES, "ru", vectors())
        await load_index(connection, first)
        fewer = plan_index("insurance", ENTRIES[:2], "ru", vectors(ENTRIES[:2]))
        wire.fault = "refuses_writes"
        with pytest.raises(EngineError, match=r"refused 5 of 5.*document_parsing_exception: as told.*and 2 more"):
            await load_index(connection, fewer)
        assert wire.aliases[first.alias] == {first.name}
        wire.fault = "none"
        with pytest.raises(EngineError, match="has other answers"):
            await verify_index(connection, fewer)
        assert (await load_index(connection, fewer)).written == 5  # it goes on in the index that was begun
        assert wire.indices == tuple(sorted((first.name, fewer.name)))
        assert wire.aliases[first.alias] == {fewer.name}


async def test_another_assistant_with_a_longer_name_keeps_its_indices(wire: ElasticServer, vectors: Prepare) -> None:
    async with open_elastic(wire.url) as connection:
        other = plan_index("auto-kasko", ENTRIES, "ru", vectors())
        await load_index(connection, other)
        for entries in (ENTRIES, ENTRIES[:2], ENTRIES[:1]):
            await load_index(connection, plan_index("auto", entries, "ru", vectors(entries)))
        assert len(wire.indices) == 3
        await verify_index(connection, other)
