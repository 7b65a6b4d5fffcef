"""Keyword search in process: BM25 over the lemmas of an assistant's questions, and how well the words of a text fit.

The index is immutable and may be used from any thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.catalogue_search import Ranked
from kamerton.answers.keyword_search_words import Lemma, language_code, lemmas, normalised
from kamerton.domain.work import Worker

_K1: Final = 1.2
_B: Final = 0.5
"""The usual saturation of BM25; a weaker correction for length than usual, because entries differ in how many variants
their author thought of."""
_ANSWER_WEIGHT: Final = 0.3
"""How much a word of the answer itself counts beside one of the questions."""
_EMPTY_WEIGHT: Final = 0.15
"""How much a word without a topic counts when wordings are compared."""
_LEAST_SLIP_LETTERS: Final = 5
_SLIP_RATIO: Final = 82.0
"""A word that no dictionary has and that differs less than this from one of the index is a slip of the recogniser
(«техасмотр»). A word of the dictionary may be meant: «погода» is no «полгода»."""
_SAME_WORDS: Final = 0.999
"""Likeness at most of a text that is not the question itself: of two with the same words, the exact one is likelier."""
_LONG_QUESTION: Final = 6
"""Topical words from which on a question counts as a long one."""
_REMEMBERED: Final = 1024
_LONGEST_TEXT: Final = 400
"""Characters looked at: nobody asks a longer question, and the time grows with the words."""

Slot = frozenset[str]
"""A word of a question with what means the same there."""


@dataclass(frozen=True, slots=True)
class WordEvidence:
    """How well the words of a text fit an answer; both from 0 to 1."""

    coverage: float = 0.0
    """Share of the text's topical weight that the answer's questions know; rare and unknown words weigh most."""
    likeness: float = 0.0
    """How nearly the text is one of the questions: weight of what they share over the weight of both."""
    length: float = 0.0
    """Topical words of the text as a share of those of a long question, at most 1: more words say more surely."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A word that was said, as the index knows it; `trust` is below 1 where it was misheard, `weight` tells rarity."""

    text: str
    trust: float
    weight: float
    empty: bool


@dataclass(frozen=True, slots=True)
class _Question:
    slots: tuple[Slot, ...]
    weights: tuple[float, ...]


class KeywordIndex:
    """The words of all questions of a catalogue, weighted by how few answers know them.

    Args:
        entries: the catalogue.
        language: `ru` or `uk`.

    Raises:
        ConfigurationError: there is no morphology for the language.
    """

    def __init__(self, entries: Sequence[AnswerEntry], language: str) -> None:
        self._language = language_code(language)
        self._ids = tuple(entry.answer_id for entry in entries)
        self._row = {answer_id: row for row, answer_id in enumerate(self._ids)}
        self._exact = {normalised(text): row for row, entry in enumerate(entries) for text in entry.questions}
        slots = [[self._slots(text, entry.synonyms) for text in entry.questions] for entry in entries]
        self._known = [frozenset(term for question in asked for slot in question for term in slot) for asked in slots]
        owners = Counter(term for known in self._known for term in known)
        self._idf = {term: float(np.log(1 + len(entries) / owned)) for term, owned in owners.items()}
        self._unknown = float(np.log(1 + len(entries)))
        self._questions = [[self._question(question) for question in asked] for asked in slots]
        self._postings = self._impacts(slots, entries)
        self._long_terms = tuple(term for term in self._idf if len(term) >= _LEAST_SLIP_LETTERS)
        self._terms = lru_cache(maxsize=_REMEMBERED)(self._read)

    def search(self, text: str, limit: int) -> tuple[Ranked, ...]:
        """Answers that share topical words with a text, by BM25, best first."""
        scores = np.zeros(len(self._ids), dtype=np.float32)
        for term in self._terms(text[:_LONGEST_TEXT]):
            if not term.empty and term.text in self._postings:
                rows, impacts = self._postings[term.text]
                scores[rows] += impacts * term.trust
        best = np.argsort(-scores, kind="stable")[:limit]
        return tuple(Ranked(self._ids[row], float(scores[row])) for row in best if scores[row] > 0)

    def evidence(self, text: str, answer_id: str) -> WordEvidence:
        """How well the words of a text fit an answer of the catalogue."""
        row = self._row[answer_id]
        terms = self._terms(text[:_LONGEST_TEXT])
        topical = [term for term in terms if not term.empty]
        total = sum(term.weight for term in topical)
        known = sum(term.weight * term.trust for term in topical if term.text in self._known[row])
        length = min(1.0, len(topical) / _LONG_QUESTION)
        if self._exact.get(normalised(text)) == row:
            return WordEvidence(1.0, 1.0, length)
        likeness = max((_likeness(terms, question) for question in self._questions[row]), default=0.0)
        return WordEvidence(known / total if total else 0.0, min(likeness, _SAME_WORDS), length)

    def _read(self, text: str) -> tuple[_Term, ...]:
        """The words of a text, each once, as the index knows them."""
        said = lemmas(text, self._language)
        found: dict[str, _Term] = {}
        place = 0
        while place < len(said):
            joined = self._joined(said[place : place + 2])
            term = joined or self._term(said[place])
            found.setdefault(term.text, term)
            place += 2 if joined else 1
        return tuple(found.values())

    def _joined(self, pair: Sequence[Lemma]) -> _Term | None:
        """A word of the index that the recogniser took apart («евро протокол»)."""
        if len(pair) < 2 or all(lemma.text in self._idf for lemma in pair):
            return None
        whole = lemmas(pair[0].word + pair[1].word, self._language)[0]
        return self._term(whole) if whole.text in self._idf and not whole.empty else None

    def _term(self, lemma: Lemma) -> _Term:
        text, trust = lemma.text, 1.0
        if text not in self._idf and not lemma.known and len(text) >= _LEAST_SLIP_LETTERS:
            spellings = (text, lemma.word)
            near = [
                process.extractOne(spelling, self._long_terms, scorer=fuzz.ratio, score_cutoff=_SLIP_RATIO)
                for spelling in spellings
            ]
            closest = max((found for found in near if found is not None), key=lambda found: found[1], default=None)
            if closest is not None:
                text, trust = closest[0], closest[1] / 100
        return _Term(text, trust, self._weight(text, lemma.empty), lemma.empty)

    def _weight(self, text: str, empty: bool) -> float:
        return self._idf.get(text, self._unknown) * (_EMPTY_WEIGHT if empty else 1.0)

    def _slots(self, question: str, synonyms: Sequence[Sequence[str]]) -> tuple[Slot, ...]:
        """The words of a question in order, each with the words of the groups that it stands for."""
        texts = [lemma.text for lemma in lemmas(question, self._language)]
        meanings: dict[str, set[str]] = {text: {text} for text in texts}
        for group in synonyms:
            members = [self._topical(member) for member in group]
            together = frozenset[str]().union(*members)
            for member in members:
                if member and member <= meanings.keys():
                    for text in member:
                        meanings[text] |= together
        return tuple(frozenset(meaning) for meaning in meanings.values())

    def _topical(self, text: str) -> frozenset[str]:
        return frozenset(lemma.text for lemma in lemmas(text, self._language) if not lemma.empty)

    def _question(self, slots: tuple[Slot, ...]) -> _Question:
        empty = {lemma.text for slot in slots for text in slot for lemma in lemmas(text, self._language) if lemma.empty}
        weights = tuple(min(self._weight(text, text in empty) for text in slot) for slot in slots)
        return _Question(slots, weights)

    def _impacts(
        self, slots: Sequence[Sequence[tuple[Slot, ...]]], entries: Sequence[AnswerEntry]
    ) -> Mapping[str, tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """What each word adds to the score of the answers that know it."""
        counts: list[Counter[str]] = []
        weights: list[Mapping[str, float]] = []
        for asked, entry in zip(slots, entries, strict=True):
            counts.append(Counter(term for question in asked for slot in question for term in slot))
            answered = dict.fromkeys(self._topical(entry.answer), _ANSWER_WEIGHT)
            weights.append({**answered, **counts[-1]})
        lengths = [sum(weighed.values()) for weighed in weights]
        mean = sum(lengths) / len(lengths) if lengths else 1.0
        postings: dict[str, list[tuple[int, float]]] = {}
        for row, weighed in enumerate(weights):
            slack = _K1 * (1 - _B + _B * lengths[row] / mean)
            for term, count in weighed.items():
                idf = self._idf.get(term, self._unknown)
                postings.setdefault(term, []).append((row, idf * count * (_K1 + 1) / (count + slack)))
        return {
            term: (np.array([row for row, _ in hits]), np.array([impact for _, impact in hits], dtype=np.float32))
            for term, hits in postings.items()
        }


class KeywordSearch:
    """`KeywordIndex` as a half of the race (`AnswerSearcher`)."""

    def __init__(self, index: KeywordIndex, worker: Worker) -> None:
        self._index = index
        self._worker = worker

    @property
    def name(self) -> str:
        """See `AnswerSearcher.name`."""
        return "bm25"

    async def search(self, text: str, limit: int) -> tuple[Ranked, ...]:
        """See `AnswerSearcher.search`; does not fail."""
        return await self._worker.run(partial(self._index.search, text, limit))


def _likeness(terms: Sequence[_Term], question: _Question) -> float:
    """Weight of the words that both have over the weight of all words of both (a weighted Dice coefficient)."""
    said = {term.text: term for term in terms}
    shared = total = 0.0
    for slot, weight in zip(question.slots, question.weights, strict=True):
        total += weight
        shared += weight * max((said[text].trust for text in slot if text in said), default=0.0)
    asked = frozenset[str]().union(*question.slots)
    for term in terms:
        total += term.weight
        shared += term.weight * term.trust if term.text in asked else 0.0
    return shared / total if total else 0.0
