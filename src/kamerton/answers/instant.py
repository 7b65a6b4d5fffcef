"""Instant answers: a known question is found by its words and by its meaning, or refused. A wrong answer is worse."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from kamerton.answers.calibration import Calibration, Evidence, gather, judge, strong_hit
from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.catalogue_search import AnswerSearcher, Ranked
from kamerton.answers.keyword_search import KeywordIndex
from kamerton.answers.keyword_search_words import language_code, normalised
from kamerton.answers.race import NOT_ASKED, Half, Race
from kamerton.domain.dialogue import FaqResult
from kamerton.domain.work import Worker

BUDGET_S: Final = 0.2
"""For both searches together; a caller notices more."""

_LIMIT: Final = 20
"""Entries asked of each search: the leaders among answers and among questions without one, and enough others to tell
how far ahead they are."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AnswerSearch:
    """What looking for an answer came to."""

    text: str
    verdict: FaqResult | None
    """The answer to give, or None. Its confidence is the probability that it is right (its likeness when the words
    were the same)."""
    reason: str
    words: Half
    meaning: Half
    evidence: tuple[Evidence, ...] = ()
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class AnswerParts:
    """What instant answers are made of."""

    entries: tuple[AnswerEntry, ...]
    """The answers, and the questions that are known to have none."""
    index: KeywordIndex
    """Judges how well words fit, whichever engine ranks them."""
    words: AnswerSearcher
    meaning: AnswerSearcher
    calibration: Calibration


class InstantAnswers:
    """Finds the prepared answers of one assistant; shared by all its calls, keeps nothing of them.

    Args:
        parts: catalogue, searches and calibration.
        worker: where comparing words goes.
        budget_s: for both searches together.
    """

    def __init__(self, parts: AnswerParts, worker: Worker, budget_s: float = BUDGET_S) -> None:
        self._entries = {entry.answer_id: entry for entry in parts.entries}
        self._unanswered = frozenset(entry.answer_id for entry in parts.entries if not entry.is_answered)
        self._parts = parts
        self._worker = worker
        self._race = Race(parts.words, parts.meaning, budget_s, _LIMIT)

    @property
    def is_calibrated(self) -> bool:
        """Whether more than near-exact wording is answered: something was learned for this embedding model."""
        calibration = self._parts.calibration
        return calibration != Calibration(calibration.embedder)

    async def find(self, text: str) -> AnswerSearch:
        """Look for the answer to a text, within the budget; free of side effects, cancelled at once.

        Does not raise for a search that fails or is late: the other one decides alone, and more strictly.
        """
        begun = anyio.current_time()
        if not normalised(text) or not self._entries:
            reason = "there are no prepared answers" if normalised(text) else "empty"
            return AnswerSearch(text, None, reason, Half(failure=NOT_ASKED), Half(failure=NOT_ASKED))

        async def is_strong(ranking: tuple[Ranked, ...]) -> bool:
            candidates = await self._weigh(text, ranking, None)
            return strong_hit(candidates, self._parts.calibration) is not None

        result = await self._race.run(text, is_strong)
        evidence = await self._weigh(text, result.words.ranking, result.meaning.ranking)
        verdict = judge(
            evidence,
            self._parts.calibration,
            with_words=result.words.ranking is not None,
            with_meaning=result.meaning.ranking is not None,
        )
        answer = None
        if verdict.answer_id is not None:
            entry = self._entries[verdict.answer_id]
            answer = FaqResult(entry.answer_id, entry.question, entry.answer, verdict.confidence, verdict.gap)
        took_ms = (anyio.current_time() - begun) * 1000
        return AnswerSearch(text, answer, verdict.reason, result.words, result.meaning, evidence, took_ms)

    async def evidence(self, text: str) -> tuple[Evidence, ...]:
        """What speaks for each leading answer, without a budget: what a calibration learns from.

        Raises:
            EngineError: a search failed.
        """
        words = await self._parts.words.search(text, _LIMIT)
        meaning = await self._parts.meaning.search(text, _LIMIT)
        return await self._weigh(text, words, meaning)

    async def _weigh(
        self, text: str, words: tuple[Ranked, ...] | None, meaning: tuple[Ranked, ...] | None
    ) -> tuple[Evidence, ...]:
        fit = partial(self._parts.index.evidence, text)
        rankings = (self._known(words), self._known(meaning))
        return await self._worker.run(partial(gather, *rankings, fit, self._unanswered))

    def _known(self, ranking: tuple[Ranked, ...] | None) -> tuple[Ranked, ...] | None:
        """Without answers that an index of another process still has and the assistant does not."""
        if ranking is None or all(ranked.answer_id in self._entries for ranked in ranking):
            return ranking
        strange = sorted({ranked.answer_id for ranked in ranking} - self._entries.keys())
        _log.warning(
            "the search index holds answers that the assistant does not have; run kamerton answers load",
            extra={"answers": strange},
        )
        return tuple(ranked for ranked in ranking if ranked.answer_id in self._entries)


def vector_file(folder: Path, language: str) -> Path:
    """Where the vectors of an assistant's questions are kept."""
    return folder / f"answers-{language_code(language)}.npz"


def fitting(calibration: Calibration, embedder: str) -> Calibration:
    """The calibration if it is the embedding model's own, else the strict rules, with a line in the log."""
    if calibration.embedder == embedder:
        return calibration
    _log.warning(
        "the calibration of instant answers belongs to another embedding model; they answer to near-exact wording "
        "only until kamerton answers calibrate is run",
        extra={"calibrated": calibration.embedder, "embedder": embedder},
    )
    return Calibration(embedder)
