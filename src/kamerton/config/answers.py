"""Opens the instant answers of an assistant: searched in process, or in Elasticsearch where one is configured."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

import anyio.to_thread

from kamerton.answers.calibration import load_calibration
from kamerton.answers.elastic import ElasticConnection, open_elastic
from kamerton.answers.elastic_index import IndexPlan, plan_index
from kamerton.answers.elastic_load import verify_index
from kamerton.answers.elastic_search import ElasticKeywordSearch, ElasticVectorSearch
from kamerton.answers.instant import AnswerParts, InstantAnswers, fitting, vector_file
from kamerton.answers.keyword_search import KeywordIndex, KeywordSearch
from kamerton.answers.vector_search import QuestionVectors, VectorSearch
from kamerton.config.assistant_folder import Assistant
from kamerton.config.settings import AnswerSettings, Settings
from kamerton.domain.embedding import Embedder
from kamerton.domain.errors import EngineError
from kamerton.domain.work import Worker
from kamerton.embeddings.indexing import lasting

log = logging.getLogger(__name__)

Progress = Callable[[str], None]
"""Told what is being loaded, a line at a time."""

CALIBRATION_FILE: Final = "calibration.json"
"""In the assistant's folder: when an instant answer is sure enough."""


@asynccontextmanager
async def open_answers(
    assistant: Assistant,
    settings: Settings,
    embedder: Embedder,
    worker: Worker,
    progress: Progress | None = None,
    *,
    folder: Path | None = None,
    elastic: bool = True,
) -> AsyncIterator[tuple[InstantAnswers, QuestionVectors]]:
    """The instant answers and their questions while the context is open; vectors that are missing are prepared first.

    Args:
        assistant: whose answers.
        settings: the validated settings.
        embedder: of the texts.
        worker: where comparing goes.
        progress: told of vectors that are prepared.
        folder: of the vectors; by default the assistant's.
        elastic: whether a configured Elasticsearch is used; it holds the vectors of one embedder only.

    An Elasticsearch that is away, or whose index is not that of this assistant's folder, is passed over with a line in
    the log: its searches are made in process instead.

    Raises:
        ConfigurationError: there is no morphology for the language.
        EngineError: the embedding model failed.
    """
    index = await anyio.to_thread.run_sync(KeywordIndex, assistant.searched, assistant.language)
    vectors = vector_file(folder or vector_folder(settings, assistant), assistant.language)
    told = question_progress(progress or (lambda line: None))
    prepare = partial(QuestionVectors.prepare, assistant.searched, embedder, vectors, told)
    questions, _ = await anyio.to_thread.run_sync(prepare, abandon_on_cancel=True)
    calibration = load_calibration(assistant.folder / CALIBRATION_FILE, embedder.identity)
    parts = AnswerParts(
        entries=assistant.searched,
        index=index,
        words=KeywordSearch(index, worker),
        meaning=VectorSearch(questions, worker),
        calibration=fitting(calibration, embedder.identity),
    )
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(open_index(settings.answers)) if elastic else None
        plan = plan_index(assistant.name, assistant.searched, assistant.language, questions)
        if connection is not None and await _is_loaded(connection, plan):
            words = ElasticKeywordSearch(connection, plan, index, worker)
            meaning = ElasticVectorSearch(connection, plan, questions, worker)
            parts = replace(parts, words=words, meaning=meaning)
        yield InstantAnswers(parts, worker, settings.answers.budget_ms / 1000), questions


def question_progress(progress: Progress) -> Callable[[int, int], None]:
    """Tells of questions that are being prepared, one line for each report, and how long the rest will take."""
    begun_s = monotonic()

    def tell(done: int, total: int) -> None:
        left = f", about {lasting((monotonic() - begun_s) / done * (total - done))} to go" if done else ""
        progress(f"questions of the prepared answers: {done} of {total}{left}")

    return tell


@asynccontextmanager
async def open_index(settings: AnswerSettings) -> AsyncIterator[ElasticConnection | None]:
    """The connection to the configured Elasticsearch; None when there is none."""
    if settings.elastic_url is None:
        yield None
        return
    key = settings.elastic_api_key.get_secret_value() if settings.elastic_api_key is not None else None
    timeout_s = settings.elastic_timeout_ms / 1000
    async with open_elastic(settings.elastic_url, api_key=key, search_timeout_s=timeout_s) as connection:
        yield connection


def vector_folder(settings: Settings, assistant: Assistant) -> Path:
    """Where the vectors of an assistant are kept."""
    return settings.data_dir / "vectors" / assistant.name


async def _is_loaded(connection: ElasticConnection, plan: IndexPlan) -> bool:
    try:
        await verify_index(connection, plan)
    except EngineError as error:
        log.warning("Elasticsearch is not used; answers are searched in process", extra={"reason": str(error)})
        return False
    return True
