"""What compares meanings under two embedders: the first that works is asked, and never the vectors of another."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kamerton.answers.answer_cache import AnswerCache
from kamerton.answers.answer_cache_chain import AnswerCacheChain
from kamerton.answers.answer_cache_settings import AnswerCacheSettings, AnswerScope, OfferOutcome
from kamerton.answers.answers_chain import AnswersChain
from kamerton.answers.calibration import Calibration
from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.instant import AnswerParts, InstantAnswers
from kamerton.answers.keyword_search import KeywordIndex, KeywordSearch
from kamerton.answers.vector_search import QuestionVectors, VectorSearch
from kamerton.cache.memory_store import MemoryStore
from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import EngineError
from kamerton.intent_classifier import ClassifierChain, FaqEntry, IntentClassifier, IntentExamples
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio

INTENTS = (
    IntentExamples("repeat", ("повторите, пожалуйста", "скажите ещё раз")),
    IntentExamples("operator", ("позовите оператора", "переключите меня на живого человека")),
)
FAQ = (FaqEntry("card", "Можно ли оплатить картой?", "Да.", ("принимаете ли вы карты",)),)
ENTRIES = (
    AnswerEntry("parking", "где можно оставить машину?", "Во дворе."),
    AnswerEntry("hours", "до скольких вы работаете сегодня?", "До восьми."),
)
QUESTION = "Можно ли оформить полис без техосмотра?"
ANSWER = "Да, техосмотр для полиса больше не нужен."
MEANT = "переключите меня пожалуйста на какого нибудь живого человека"


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class LetterEmbedder:
    """Unit vectors of hashed letter triples, of a width that tells embedders apart."""

    def __init__(self, identity: str, width: int) -> None:
        self.identity = identity
        self.fails = False
        self.asked = 0
        self._width = width

    def query(self, texts: Sequence[str]) -> Vectors:
        self.asked += 1
        if self.fails:
            raise EngineError(f"{self.identity} is away")
        vectors = np.full((len(texts), self._width), 0.05, dtype=np.float32)
        for row, text in enumerate(texts):
            for place in range(len(text) - 2):
                vectors[row, zlib.crc32(f"{self.identity}{text[place : place + 3]}".encode()) % self._width] += 1
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    def wordings(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)


@pytest.fixture
def service() -> LetterEmbedder:
    return LetterEmbedder("service", 256)


@pytest.fixture
def local() -> LetterEmbedder:
    return LetterEmbedder("local", 384)


def test_intents_are_understood_whoever_works(service: LetterEmbedder, local: LetterEmbedder, tmp_path: Path) -> None:
    chain = ClassifierChain(IntentClassifier.prepare(INTENTS, FAQ, local, tmp_path / "local", "ru"))
    before = local.asked
    assert chain.classify_intent(MEANT, None).intent == "operator"
    assert local.asked == before + 1
    first = IntentClassifier.prepare(INTENTS, FAQ, service, tmp_path / "service", "ru")
    chain.install(0, first)
    assert chain.classifiers[0] is first
    for place in range(2):
        text = f"{MEANT} {'а' * place}"
        assert chain.classify_intent(text, None).intent == "operator"
    assert (local.asked, service.asked) == (before + 1, 3)
    service.fails = True
    assert chain.classify_intent(f"{MEANT} ну", None).intent == "operator"
    assert chain.find_faq_answer("Можно ли оплатить картой?") is not None
    local.fails = True
    with pytest.raises(EngineError, match="local is away"):
        chain.classify_intent(f"{MEANT} эй", None)


def instant(folder: Path, embedder: LetterEmbedder) -> InstantAnswers:
    worker = InlineWorker()
    index = KeywordIndex(ENTRIES, "ru")
    questions, _ = QuestionVectors.prepare(ENTRIES, embedder, folder / f"{embedder.identity}.npz")
    parts = AnswerParts(
        ENTRIES, index, KeywordSearch(index, worker), VectorSearch(questions, worker), Calibration(embedder.identity)
    )
    return InstantAnswers(parts, worker)


async def test_prepared_answers_are_searched_whoever_works(
    service: LetterEmbedder, local: LetterEmbedder, tmp_path: Path
) -> None:
    ready = True
    chain = AnswersChain(instant(tmp_path, local))
    chain.install(0, instant(tmp_path, service), lambda: ready)
    service.asked = local.asked = 0
    search = await chain.find("где у вас оставить машину")
    assert search.meaning.ranking is not None
    assert (service.asked, local.asked) == (1, 0)
    service.fails = True
    search = await chain.find("где бы мне оставить машину")
    assert search.meaning.ranking is not None
    assert (service.asked, local.asked) == (2, 1)
    ready = False
    assert (await chain.find("где у вас бросить машину")).meaning.ranking is not None
    assert (service.asked, local.asked) == (2, 2)
    local.fails = True
    assert (await chain.find("где оставить машину тут")).meaning.ranking is None
    assert (await chain.find("")).verdict is None


async def test_the_same_words_need_no_embedder(service: LetterEmbedder, local: LetterEmbedder, tmp_path: Path) -> None:
    """Words that decide alone decide once, whoever is away."""
    chain = AnswersChain(instant(tmp_path, local))
    chain.install(0, instant(tmp_path, service), lambda: True)
    service.fails = local.fails = True
    search = await chain.find("Где можно оставить машину?")
    assert search.verdict is not None
    assert search.verdict.faq_id == "parking"


def cache_of(store: MemoryStore, embedder: LetterEmbedder) -> AnswerCache:
    scope = AnswerScope("insurance", "ru", "v1")
    return AnswerCache(store, embedder, InlineWorker(), scope, lambda _: False, AnswerCacheSettings(askings=1))


async def test_answers_are_kept_under_every_embedder(service: LetterEmbedder, local: LetterEmbedder) -> None:
    store = MemoryStore(1_000_000)
    chain = AnswerCacheChain(cache_of(store, local))
    chain.install(0, cache_of(store, service))
    assert await chain.offer(QUESTION, ANSWER) is OfferOutcome.KEPT
    assert len(chain) == 1
    assert len(await store.keys("answers:")) == 2
    local.asked = service.asked = 0
    found = await chain.find(QUESTION)
    assert found is not None
    assert found.answer == ANSWER
    assert await chain.find("Совсем другой вопрос о погоде") is None
    assert local.asked == 0
    service.fails = True
    found = await chain.find(f"{QUESTION}?")
    assert found is not None
    local.fails = True
    assert await chain.find("и ещё один такой вопрос") is None
    assert await chain.offer("и другой такой вопрос", ANSWER) is OfferOutcome.FAILED
    assert await chain.invalidate("insurance") == 2
    assert len(chain) == 0


async def test_one_embedder_that_is_away_keeps_nothing_from_the_other(
    service: LetterEmbedder, local: LetterEmbedder
) -> None:
    store = MemoryStore(1_000_000)
    chain = AnswerCacheChain(cache_of(store, local))
    chain.install(0, cache_of(store, service))
    service.fails = True
    assert await chain.offer(QUESTION, ANSWER) is OfferOutcome.KEPT
    assert await chain.offer(QUESTION, ANSWER) is OfferOutcome.KNOWN


def test_likeness_suits_the_embedder() -> None:
    usual = AnswerCacheSettings()
    assert usual.suited(None) == usual
    suited = usual.suited(0.62)
    assert suited.likeness == 0.62
    assert suited.near == pytest.approx(0.59)
    assert usual.suited(-0.3).likeness == 0.5
    assert usual.suited(1.0).likeness == 0.99
    assert usual.suited(0.95).near == pytest.approx(usual.near)


def test_strangers_are_told_from_the_questions(local: LetterEmbedder, tmp_path: Path) -> None:
    few, _ = QuestionVectors.prepare(ENTRIES, local, tmp_path / "few.npz")
    assert few.strangers is None
    words = [f"{first}{second}" for first in "абвгдежзик" for second in "лмнопрстуф"]
    many = tuple(
        AnswerEntry(word, f"{word * 3} {number}", "Да.", (f"{word * 3} {number} {word}", f"{number} {word * 2}"))
        for number, word in enumerate(words)
    )
    questions, _ = QuestionVectors.prepare(many, local, tmp_path / "many.npz")
    assert questions.strangers is not None
    assert 0 < questions.strangers < 0.99
