"""Both halves of the race over Elasticsearch (`AnswerSearcher`). They share one connection and one index.

The vector half gives the very cosines of the in-process search: the index keeps plain floats and is searched
exhaustively. In the keyword half Elasticsearch names the candidates, by stems, synonyms and words nearly spelled so;
their scores come from the in-process scorer, because the calibration weighs how far one candidate leads, and BM25
scores of another analysis lead in another way.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np

from kamerton.answers.catalogue_search import Ranked
from kamerton.answers.elastic import ElasticConnection
from kamerton.answers.elastic_index import LARGEST_K, IndexPlan
from kamerton.answers.keyword_search import KeywordIndex
from kamerton.answers.vector_search import QuestionVectors
from kamerton.domain.work import Worker

_LONGEST_TEXT: Final = 400
_ANSWER_WEIGHT: Final = 0.3
"""How much the words of the answer itself count beside those of the question; as in process."""


class ElasticKeywordSearch:
    """Search by words.

    Args:
        connection: to the cluster.
        plan: of the index.
        index: scores the candidates; of the same catalogue.
        worker: where they are scored.
    """

    def __init__(self, connection: ElasticConnection, plan: IndexPlan, index: KeywordIndex, worker: Worker) -> None:
        self._connection = connection
        self._plan = plan
        self._index = index
        self._worker = worker

    @property
    def name(self) -> str:
        """See `AnswerSearcher.name`."""
        return "elastic-words"

    async def search(self, text: str, limit: int) -> tuple[Ranked, ...]:
        """See `AnswerSearcher.search`; waits for the cluster no longer than the connection's search timeout.

        Raises:
            EngineError: the cluster is away, slow or incomplete, or the index was not loaded.
        """
        asked = text[:_LONGEST_TEXT]
        question = {
            "query": asked,
            # Stems of four letters must match as they are; prefix_length keeps the spellings tried of longer ones few.
            "fuzziness": "AUTO:5,9",
            "prefix_length": 2,
            "auto_generate_synonyms_phrase_query": False,
        }
        should = [{"match": {"question": question}}, {"match": {"answer": {"query": asked, "boost": _ANSWER_WEIGHT}}}]
        body = {"query": {"bool": {"should": should}}, "size": _hits(self._plan, limit)}
        hits = await self._connection.search(self._plan.name, body)
        candidates = frozenset([*dict.fromkeys(answer_id for answer_id, _ in hits)][:limit])
        return await self._worker.run(partial(self._scored, text, candidates))

    def _scored(self, text: str, candidates: frozenset[str]) -> tuple[Ranked, ...]:
        scored = self._index.search(text, len(self._plan.documents))
        return tuple(ranked for ranked in scored if ranked.answer_id in candidates)


class ElasticVectorSearch:
    """Search by meaning: exact cosines of all questions, by kNN.

    Args:
        connection: to the cluster.
        plan: made with the same `questions`.
        questions: the space in which texts are compared.
        worker: where texts are embedded.
    """

    def __init__(
        self, connection: ElasticConnection, plan: IndexPlan, questions: QuestionVectors, worker: Worker
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._questions = questions
        self._worker = worker

    @property
    def name(self) -> str:
        """See `AnswerSearcher.name`."""
        return "elastic-vectors"

    async def search(self, text: str, limit: int) -> tuple[Ranked, ...]:
        """See `AnswerSearcher.search`; when cancelled, the model still finishes its text in its thread.

        Raises:
            EngineError: the embedder failed or has changed, or as with `ElasticKeywordSearch.search`.
        """
        if not self._plan.documents:
            return ()
        vector = await self._worker.run(partial(self._questions.query, text))
        if np.linalg.norm(vector) < 0.5:  # a text that lies in the direction common to all has no cosine
            return ()
        wanted = _hits(self._plan, limit)
        nearest: dict[str, Any] = {"field": "vector", "query_vector": vector.tolist(), "k": wanted}
        body = {"knn": {**nearest, "num_candidates": wanted}, "size": wanted}
        hits = await self._connection.search(self._plan.name, body)
        return self._questions.ranked([(answer_id, _cosine(score)) for answer_id, score in hits], vector, limit)


def _cosine(score: float) -> float:
    """Elasticsearch scores a cosine c as (1 + c) / 2, because scores must not be negative."""
    return min(1.0, max(-1.0, 2.0 * score - 1.0))


def _hits(plan: IndexPlan, limit: int) -> int:
    """Questions among which there are `limit` different answers for certain."""
    return min(len(plan.documents) or 1, max(1, limit) * plan.most_questions, LARGEST_K)
