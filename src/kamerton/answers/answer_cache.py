"""The semantic cache of model answers: what a model said to a question is said again to the same question.

Kept is only what is worth it: an answer to a question that was asked before, that stands by itself, with nothing of the
caller in it and nothing that ages. It is found again by meaning and by words, both strictly: a wrong answer is worse
than none.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import anyio

from kamerton.answers.answer_cache_index import ENTRY_VERSION, KeptQuestion, QuestionIndex, decoded, encoded, is_unit
from kamerton.answers.answer_cache_settings import AnswerCacheSettings, AnswerScope, CachedAnswer, OfferOutcome
from kamerton.answers.answer_cache_words import QuestionWords, ages, mentions, read_question, same_question
from kamerton.answers.keyword_search_words import language_code
from kamerton.domain.embedding import Embedder, Vectors
from kamerton.domain.errors import EngineError
from kamerton.domain.storage import Store
from kamerton.domain.work import Worker

_NEIGHBOURS: Final = 5
"""Questions nearest in meaning whose words are compared."""
_REMEMBERED: Final = 64
"""Questions whose vectors are at hand: an answer is offered for what was just looked for."""
_LONGEST_QUESTION: Final = 300
_LONGEST_ANSWER: Final = 1500
"""Characters; about a minute and a half of speech."""

_SAMPLE: Final = "?"
"""Embedded to learn how many dimensions vectors have."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    words: QuestionWords
    vector: Vectors


class AnswerCache:
    """Earlier answers of one assistant's model, shared by all its calls, over a `Store`.

    Looking up costs one embedding and touches no store: the index is in this process, read at `load` and brought up to
    date by `run` every minute, so that what another process keeps or invalidates is seen at most that much later. While
    the store is away answers are kept in this process only. A damaged entry is removed, logged and counts as missing.
    Only `invalidate` and `load` raise.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        worker: Worker,
        scope: AnswerScope,
        is_personal: Callable[[str], bool],
        settings: AnswerCacheSettings,
    ) -> None:
        """Start with an empty index.

        Raises:
            ConfigurationError: the words of the language cannot be compared.
        """
        self._store = store
        self._embedder = embedder
        self._worker = worker
        self._assistant = scope.assistant
        self._language = language_code(scope.language)
        self._is_personal = is_personal
        self._settings = settings
        self._prefix = _prefix(scope.assistant) + _digest(
            ENTRY_VERSION, scope.prompt_version, embedder.identity, self._language
        )
        self._kept = QuestionIndex(settings.most_answers)
        self._candidates = QuestionIndex(settings.most_candidates)
        self._askings: dict[str, int] = {}
        self._read: OrderedDict[str, _Asked] = OrderedDict()
        self._refreshing = anyio.Lock()

    def __len__(self) -> int:
        """Answers that can be found now."""
        return len(self._kept)

    async def load(self) -> None:
        """Bring the index up to date with the store.

        Raises:
            EngineError: the store or the embedder failed; the index stays as it was, or gained a part.
        """
        async with self._refreshing:
            names = set(await self._store.keys(f"{self._prefix}:"))
            for key in self._kept.keys:
                if key not in names:
                    self._kept.remove(key)
            room = self._settings.most_answers - len(self._kept)
            new = [key for key in sorted(names) if key not in self._kept][:room]
            if new:
                sample = await self._worker.run(partial(self._vector, _SAMPLE))
                for key in new:
                    await self._load_entry(key, len(sample))

    async def run(self) -> None:
        """Load and keep up to date, until cancelled. A store that fails is logged once, and asked again."""
        failing = False
        while True:
            try:
                await self.load()
                failing = False
            except EngineError as error:
                if not failing:
                    _log.warning("kept answers cannot be read", extra={"reason": str(error)})
                failing = True
            await anyio.sleep(self._settings.refresh_every_s)

    async def find(self, question: str) -> CachedAnswer | None:
        """An earlier answer to the same question, or None. Cancelling it changes nothing."""
        try:
            return await self.look_up(question)
        except EngineError as error:
            _log.warning("a question has no vector; kept answers are not searched", extra={"reason": str(error)})
            return None

    async def look_up(self, question: str) -> CachedAnswer | None:
        """As `find`, for whoever has another cache to ask.

        Raises:
            EngineError: the embedder failed.
        """
        if not len(self._kept) or len(question) > _LONGEST_QUESTION:
            return None
        asked = await self._asked(question)
        if self._does_not_stand(asked.words) is not None:
            return None
        found = self._same(self._kept, asked)
        if found is None:
            self._log_near_miss(question, asked)
            return None
        entry, likeness = found
        self._kept.touch(entry.key)
        return CachedAnswer(entry.question, entry.answer, likeness)

    async def offer(
        self, question: str, answer: str, *, personal: Iterable[Any] = (), tools_used: bool = False
    ) -> OfferOutcome:
        """Offer what a model answered, once the caller has heard it all.

        Args:
            question: what the caller asked.
            answer: the whole answer.
            personal: values of this call: numbers that were said, variables of the session, the caller's name.
            tools_used: whether the answer rests on the result of a tool, which ages.

        Returns:
            What became of it. A store that is away is no reason not to keep it in this process.
        """
        values = list(personal)
        refusal = self._refusal(question, answer, tools_used=tools_used)
        if refusal is not None:
            return refusal
        try:
            asked = await self._asked(question)
        except EngineError as error:
            _log.warning("a question has no vector; kept answers are not searched", extra={"reason": str(error)})
            return OfferOutcome.FAILED
        unfit = self._does_not_stand(asked.words)
        if unfit is not None:
            return unfit
        if await self._worker.run(partial(mentions, f"{question}\n{answer}", values, self._language)):
            return OfferOutcome.PERSONAL
        if self._same(self._kept, asked) is not None:
            return OfferOutcome.KNOWN
        return await self._count(question, answer, asked)

    async def invalidate(self, assistant: str) -> int:
        """Remove all answers of an assistant, of every prompt version; returns how many the store had.

        Raises:
            EngineError: the store failed; what this process held is gone all the same.
        """
        if assistant == self._assistant:
            self._kept.clear()
            self._candidates.clear()
            self._askings.clear()
        return await forget_answers(self._store, assistant)

    def _refusal(self, question: str, answer: str, *, tools_used: bool) -> OfferOutcome | None:
        """Why an answer cannot be kept whatever the words of its question are, or None."""
        if tools_used:
            return OfferOutcome.USED_TOOLS
        if not answer.strip() or len(answer) > _LONGEST_ANSWER or len(question) > _LONGEST_QUESTION:
            return OfferOutcome.UNSUITABLE
        if self._is_personal(question) or self._is_personal(answer):
            return OfferOutcome.PERSONAL
        return OfferOutcome.AGES if ages(question) or ages(answer) else None

    def _does_not_stand(self, words: QuestionWords) -> OfferOutcome | None:
        """Why a question cannot be understood without the talk before it, or None."""
        if words.leans:
            return OfferOutcome.LEANS_ON_CONTEXT
        return OfferOutcome.TOO_SHORT if len(words.items) < self._settings.least_words else None

    async def _count(self, question: str, answer: str, asked: _Asked) -> OfferOutcome:
        found = self._same(self._candidates, asked)
        key = self._key(asked.words) if found is None else found[0].key
        entry = KeptQuestion(key, question, answer, asked.words, asked.vector)
        times = self._askings.get(key, 0) + 1
        if times < self._settings.askings:
            self._askings[key] = times
            gone = self._candidates.add(entry)
            self._askings.pop(gone or "", None)
            return OfferOutcome.COUNTED
        self._candidates.remove(key)
        self._askings.pop(key, None)
        await self._keep(entry)
        return OfferOutcome.KEPT

    async def _keep(self, entry: KeptQuestion) -> None:
        gone = self._kept.add(entry)
        try:
            await self._store.put(entry.key, encoded(entry, self._embedder.identity), self._settings.ttl_s)
            if gone is not None:
                await self._store.delete(gone)
        except EngineError as error:
            _log.warning("an answer is kept in this process only", extra={"reason": str(error)})

    async def _load_entry(self, key: str, dimensions: int) -> None:
        content = await self._store.get(key)
        if content is None:
            return
        entry = await self._worker.run(partial(self._entry, key, content, dimensions))
        if entry is None:
            await self._store.delete(key)
            _log.warning("a kept answer was damaged; it is removed", extra={"key": key})
        else:
            self._kept.add(entry)

    def _entry(self, key: str, content: bytes, dimensions: int) -> KeptQuestion | None:
        """The entry, or None when it is not one that this cache would have kept under this key."""
        found = decoded(content, self._embedder.identity, dimensions)
        if found is None:
            return None
        question, answer, vector = found
        words = read_question(question, self._language)
        return KeptQuestion(key, question, answer, words, vector) if key == self._key(words) else None

    async def _asked(self, question: str) -> _Asked:
        """The words and the vector of a question.

        Raises:
            EngineError: the embedder failed.
        """
        asked = self._read.get(question)
        if asked is None:
            asked = await self._worker.run(partial(self._read_question, question))
            self._read[question] = asked
            if len(self._read) > _REMEMBERED:
                self._read.popitem(last=False)
        return asked

    def _read_question(self, question: str) -> _Asked:
        return _Asked(read_question(question, self._language), self._vector(question))

    def _vector(self, question: str) -> Vectors:
        """The vector of a question.

        Raises:
            EngineError: the embedder failed, or gave something that is no unit vector.
        """
        vectors = self._embedder.query([question])
        if vectors.ndim != 2 or len(vectors) != 1 or not is_unit(vectors[0]):
            raise EngineError(f"the embedder {self._embedder.identity} gave no unit vector; check the model's files")
        vector: Vectors = vectors[0]
        return vector

    def _same(self, index: QuestionIndex, asked: _Asked) -> tuple[KeptQuestion, float] | None:
        for entry, likeness in index.nearest(asked.vector, _NEIGHBOURS):
            if likeness >= self._settings.likeness and same_question(entry.words, asked.words):
                return entry, likeness
        return None

    def _log_near_miss(self, question: str, asked: _Asked) -> None:
        for entry, likeness in self._kept.nearest(asked.vector, 1):
            if likeness >= self._settings.near:
                texts = {"text": question, "nearest": {"text": entry.question}}
                _log.info("a question was close to one with a kept answer", extra={**texts, "score": likeness})

    def _key(self, words: QuestionWords) -> str:
        return f"{self._prefix}:{_digest(*words.items, '', *words.forms)}"


async def forget_answers(store: Store, assistant: str) -> int:
    """Remove all kept answers of an assistant from a store; running processes follow within `refresh_every_s`.

    Raises:
        EngineError: the store failed.
    """
    return await store.delete(*await store.keys(_prefix(assistant)))


def _prefix(assistant: str) -> str:
    return f"answers:{quote(assistant, safe='')}:"


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]
