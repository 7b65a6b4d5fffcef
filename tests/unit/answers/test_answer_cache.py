import base64
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import numpy as np
import pytest

from kamerton.answers.answer_cache import AnswerCache
from kamerton.answers.answer_cache_settings import AnswerCacheSettings, AnswerScope, CachedAnswer, OfferOutcome
from kamerton.cache.memory_store import MemoryStore
from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio

QUESTION = "Можно ли оформить полис без техосмотра?"
AGAIN = "скажите, полис без техосмотра можно оформить"
CONTRAST = "можно ли оформить полис с техосмотром"
ANSWER = "Да, техосмотр для полиса больше не нужен."
DIMENSIONS = 64


class LetterEmbedder:
    """Unit vectors of the letters of a text: near for texts that look alike, like those of a real model."""

    def __init__(self, identity: str = "letters-1", dimensions: int = DIMENSIONS) -> None:
        self.identity = identity
        self._dimensions = dimensions
        self.asked: list[str] = []
        self.fails = False

    def query(self, texts: Sequence[str]) -> Vectors:
        if self.fails:
            raise EngineError("the model is gone")
        self.asked.extend(texts)
        return np.stack([self._vector(text) for text in texts])

    def wordings(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)

    def _vector(self, text: str) -> Vectors:
        vector = np.full(self._dimensions, 1.0, dtype=np.float32)
        for letter in text.lower():
            vector[ord(letter) % self._dimensions] += 1.0
        normed: Vectors = vector / np.float32(np.linalg.norm(vector))
        return normed


class BrokenStore(MemoryStore):
    """Raises on everything while `is_away`."""

    is_away = False

    async def get(self, key: str) -> bytes | None:
        self._reach()
        return await super().get(key)

    async def put(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        self._reach()
        await super().put(key, value, ttl_s)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        self._reach()
        return await super().keys(prefix)

    def _reach(self) -> None:
        if self.is_away:
            raise EngineError("away")


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.fixture
def store() -> BrokenStore:
    return BrokenStore(10_000_000)


def cache_of(
    store: MemoryStore,
    embedder: LetterEmbedder | None = None,
    *,
    assistant: str = "insurance",
    prompt_version: str = "v1",
    is_personal: Callable[[str], bool] = lambda text: "@" in text,
    **settings: Any,
) -> AnswerCache:
    return AnswerCache(
        store,
        embedder or LetterEmbedder(),
        InlineWorker(),
        AnswerScope(assistant, "ru", prompt_version),
        is_personal,
        AnswerCacheSettings(**{"likeness": 0.9, "near": 0.85, **settings}),
    )


async def kept(store: MemoryStore, question: str = QUESTION, answer: str = ANSWER, **settings: Any) -> AnswerCache:
    """A cache that holds one answer, asked for twice."""
    cache = cache_of(store, **settings)
    assert await cache.offer(question, answer) is OfferOutcome.COUNTED
    assert await cache.offer(question, answer) is OfferOutcome.KEPT
    return cache


async def test_the_second_asking_keeps_an_answer_and_the_third_gets_it(store: BrokenStore) -> None:
    cache = cache_of(store)
    assert await cache.find(QUESTION) is None
    assert await cache.offer(QUESTION, "Первый ответ.") is OfferOutcome.COUNTED
    assert await cache.find(QUESTION) is None
    assert await cache.offer(AGAIN, ANSWER) is OfferOutcome.KEPT
    found = await cache.find(QUESTION)
    assert found is not None
    assert found == CachedAnswer(AGAIN, ANSWER, found.likeness)
    assert found.likeness >= 0.9
    assert await cache.offer(QUESTION, "Другой ответ.") is OfferOutcome.KNOWN
    assert len(cache) == 1


async def test_like_questions_never_mix(store: BrokenStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cache = await kept(store)
    assert await cache.find(CONTRAST) is None
    (record,) = caplog.records
    assert record.getMessage() == "a question was close to one with a kept answer"
    facts = record.__dict__
    assert (facts["text"], facts["nearest"]) == (CONTRAST, {"text": QUESTION})
    assert 0.85 < facts["score"] < 1
    assert await cache.offer(CONTRAST, "Конечно.") is OfferOutcome.COUNTED


async def test_equal_words_with_a_distant_meaning_are_not_enough(store: BrokenStore) -> None:
    class Moody(LetterEmbedder):
        def _vector(self, text: str) -> Vectors:
            vector = np.zeros(DIMENSIONS, dtype=np.float32)
            vector[0 if text == QUESTION else 1] = 1.0
            return vector

    cache = cache_of(store, Moody())
    await cache.offer(QUESTION, ANSWER)
    assert await cache.offer(QUESTION, ANSWER) is OfferOutcome.KEPT
    assert await cache.find(QUESTION) is not None
    assert await cache.find(AGAIN) is None


@pytest.mark.parametrize(
    ("question", "answer", "options", "outcome"),
    [
        (QUESTION, ANSWER, {"tools_used": True}, OfferOutcome.USED_TOOLS),
        (QUESTION, "Пишите на anna@example.com.", {}, OfferOutcome.PERSONAL),
        ("Почему письмо на anna@example.com не дошло", ANSWER, {}, OfferOutcome.PERSONAL),
        (QUESTION, "Для 150 сил не нужен.", {"personal": [150.0]}, OfferOutcome.PERSONAL),
        (QUESTION, "Иван, не нужен.", {"personal": ["Иван"]}, OfferOutcome.PERSONAL),
        ("Сколько стоит каско для Ивана", ANSWER, {"personal": ["Иван"]}, OfferOutcome.PERSONAL),
        ("Сколько стоит полис на сто пятьдесят сил", ANSWER, {"personal": [150.0]}, OfferOutcome.PERSONAL),
        ("А это входит в полис каско", ANSWER, {}, OfferOutcome.LEANS_ON_CONTEXT),
        ("Почему так дорого стоит", ANSWER, {}, OfferOutcome.LEANS_ON_CONTEXT),
        ("Сколько стоит", ANSWER, {}, OfferOutcome.TOO_SHORT),
        ("", ANSWER, {}, OfferOutcome.TOO_SHORT),
        (QUESTION, "Сегодня не нужен.", {}, OfferOutcome.AGES),
        (QUESTION, "  ", {}, OfferOutcome.UNSUITABLE),
        (QUESTION, "очень " * 400, {}, OfferOutcome.UNSUITABLE),
        ("можно " * 100, ANSWER, {}, OfferOutcome.UNSUITABLE),
    ],
)
async def test_what_is_not_worth_keeping(
    store: BrokenStore, question: str, answer: str, options: dict[str, Any], outcome: OfferOutcome
) -> None:
    cache = cache_of(store)
    for _ in range(3):
        assert await cache.offer(question, answer, **options) is outcome
    assert len(cache) == 0
    assert await store.keys("") == ()


async def test_another_process_finds_it_after_loading(store: BrokenStore) -> None:
    await kept(store)
    embedder = LetterEmbedder()
    other = cache_of(store, embedder)
    assert await other.find(QUESTION) is None
    assert embedder.asked == []
    await other.load()
    found = await other.find(AGAIN)
    assert found is not None
    assert found.answer == ANSWER


async def test_two_processes_see_each_other_within_a_minute(store: BrokenStore) -> None:
    one = cache_of(store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(1)
        other = await kept(store)
        await anyio.sleep(60)
        assert await one.find(QUESTION) is not None
        assert await other.invalidate("insurance") == 1
        assert await other.find(QUESTION) is None
        await anyio.sleep(60)
        assert await one.find(QUESTION) is None
        tasks.cancel_scope.cancel()


async def test_an_answer_dies_after_a_week(store: BrokenStore) -> None:
    cache = await kept(store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cache.run)
        await anyio.sleep(7 * 86_400 - 100)
        assert await cache.find(QUESTION) is not None
        await anyio.sleep(200)
        assert await cache.find(QUESTION) is None
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "other",
    [{"prompt_version": "v2"}, {"assistant": "tyres"}, {"embedder": LetterEmbedder("letters-2")}],
    ids=["prompt", "assistant", "embedder"],
)
async def test_another_scope_never_sees_it(store: BrokenStore, other: dict[str, Any]) -> None:
    await kept(store)
    cache = cache_of(store, **other)
    await cache.load()
    assert len(cache) == 0
    assert len(await store.keys("answers:")) == 1


async def test_invalidation_takes_one_assistant_with_all_its_prompt_versions(store: BrokenStore) -> None:
    first = await kept(store)
    await kept(store, prompt_version="v2")
    other = await kept(store, assistant="insurance:new")
    assert await first.invalidate("insurance") == 2
    assert len(first) == 0
    assert len(await store.keys("answers:")) == 1
    assert await other.find(QUESTION) is not None
    assert await first.offer(QUESTION, ANSWER) is OfferOutcome.COUNTED


async def test_the_least_recently_used_answer_makes_room(store: BrokenStore) -> None:
    questions = ["как вернуть деньги за полис", "куда звонить при аварии", "где получить бумажный полис"]
    cache = cache_of(store, most_answers=2, askings=1)
    assert await cache.offer(questions[0], "Ноль.") is OfferOutcome.KEPT
    assert await cache.offer(questions[1], "Один.") is OfferOutcome.KEPT
    assert await cache.find(questions[0]) is not None
    assert await cache.offer(questions[2], "Два.") is OfferOutcome.KEPT
    assert [await cache.find(question) is not None for question in questions] == [True, False, True]
    assert len(await store.keys("")) == 2


async def test_candidates_are_bounded(store: BrokenStore) -> None:
    cache = cache_of(store, most_candidates=1)
    assert await cache.offer(QUESTION, ANSWER) is OfferOutcome.COUNTED
    assert await cache.offer(CONTRAST, ANSWER) is OfferOutcome.COUNTED
    assert await cache.offer(QUESTION, ANSWER) is OfferOutcome.COUNTED


async def test_one_embedding_serves_the_search_and_the_offer(store: BrokenStore) -> None:
    await kept(store)
    embedder = LetterEmbedder()
    cache = cache_of(store, embedder)
    await cache.load()
    embedder.asked.clear()
    await cache.find(CONTRAST)
    await cache.offer(CONTRAST, ANSWER)
    assert embedder.asked == [CONTRAST]


def changed(content: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(content), **changes}).encode()


def vector_of(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, dtype="<f4").tobytes()).decode()


POISON: dict[str, Callable[[bytes], bytes]] = {
    "broken JSON": lambda content: content[:-5],
    "not text": lambda content: b"\xff" + content,
    "a list": lambda content: b"[1, 2]",
    "deep": lambda content: b"[" * 100_000,
    "empty": lambda content: b"",
    "another answer": lambda content: changed(content, answer="Скажите код из письма."),
    "another question": lambda content: changed(content, question=CONTRAST),
    "another embedder": lambda content: changed(content, embedder="letters-2"),
    "another version": lambda content: changed(content, version=0),
    "no vector": lambda content: changed(content, vector=None),
    "a vector of letters": lambda content: changed(content, vector="zzz"),
    "few dimensions": lambda content: changed(content, vector=vector_of(1.0, 0.0)),
    "no digest": lambda content: changed(content, sha256=""),
}


@pytest.mark.parametrize("poison", POISON)
async def test_a_poisoned_entry_is_missing_and_removed(
    store: BrokenStore, poison: str, caplog: pytest.LogCaptureFixture
) -> None:
    await kept(store)
    (key,) = await store.keys("answers:")
    content = await store.get(key)
    assert content is not None
    await store.put(key, POISON[poison](content))
    cache = cache_of(store)
    await cache.load()
    assert await cache.find(QUESTION) is None
    assert await store.keys("answers:") == ()
    assert [record.getMessage() for record in caplog.records] == ["a kept answer was damaged; it is removed"]


async def test_vectors_of_other_dimensions_under_the_same_name_are_dropped(store: BrokenStore) -> None:
    """The model's files were exchanged without a new identity."""
    await kept(store, embedder=LetterEmbedder(dimensions=32))
    cache = cache_of(store)
    await cache.load()
    assert await cache.find(QUESTION) is None
    assert await store.keys("answers:") == ()


async def test_an_entry_under_a_foreign_key_is_dropped(store: BrokenStore) -> None:
    await kept(store)
    (key,) = await store.keys("answers:")
    content = await store.get(key)
    assert content is not None
    await store.put(f"{key[:-1]}{'0' if key[-1] != '0' else '1'}", content)
    cache = cache_of(store)
    await cache.load()
    assert len(cache) == 1
    assert await store.keys("answers:") == (key,)


async def test_an_embedder_that_fails_is_no_answer(store: BrokenStore, caplog: pytest.LogCaptureFixture) -> None:
    embedder = LetterEmbedder()
    cache = await kept(store, embedder=embedder)
    embedder.fails = True
    assert await cache.find(AGAIN) is None
    assert await cache.offer(AGAIN, ANSWER) is OfferOutcome.FAILED
    assert {record.getMessage() for record in caplog.records} == {
        "a question has no vector; kept answers are not searched"
    }
    embedder.fails = False
    assert await cache.find(AGAIN) is not None


async def test_vectors_that_are_no_unit_vectors_are_refused(store: BrokenStore) -> None:
    class Broken(LetterEmbedder):
        def _vector(self, text: str) -> Vectors:
            return np.full(DIMENSIONS, np.nan, dtype=np.float32)

    cache = cache_of(store, Broken())
    assert await cache.offer(QUESTION, ANSWER) is OfferOutcome.FAILED


async def test_a_store_that_is_away_costs_only_the_sharing(
    store: BrokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    cache = cache_of(store)
    store.is_away = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cache.run)
        await anyio.sleep(200)
        await cache.offer(QUESTION, ANSWER)
        assert await cache.offer(QUESTION, ANSWER) is OfferOutcome.KEPT
        assert await cache.find(AGAIN) is not None
        await anyio.sleep(200)
        assert await cache.find(AGAIN) is not None
        tasks.cancel_scope.cancel()
    with pytest.raises(EngineError):
        await cache.invalidate("insurance")
    assert await cache.find(AGAIN) is None
    assert [record.getMessage() for record in caplog.records] == [
        "kept answers cannot be read",
        "an answer is kept in this process only",
    ]


async def test_settings_that_cannot_work_are_refused(store: BrokenStore) -> None:
    for wrong in ({"likeness": 0.5, "near": 0.6}, {"likeness": 1.1}, {"ttl_s": 0}, {"askings": 0}):
        with pytest.raises(ConfigurationError, match="answer cache"):
            cache_of(store, **wrong)
    with pytest.raises(ConfigurationError, match="language"):
        AnswerCache(
            store,
            LetterEmbedder(),
            InlineWorker(),
            AnswerScope("insurance", "fr", "v1"),
            lambda text: False,
            AnswerCacheSettings(),
        )
