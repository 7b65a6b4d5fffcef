"""Matching by words: what was said is an example, or nearly so. Costs microseconds and needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from kamerton.intent_classifier.phrases import phrasebook
from kamerton.intent_classifier.words import normalised

_LEAST_RATIO = 90.0
_LEAST_LEAD = 4.0
_LONGEST_SINGLE_SLIP = 2
_LEAST_SINGLE_LETTERS = 6
_TOPIC_LETTERS = 5
_CLOSE_WORDS = 60.0
_WITHOUT_COURTESY = 0.95
_NEGATIONS = frozenset({"не", "нет", "без", "ни", "нельзя", "ні", "немає", "нема"})


@dataclass(frozen=True, slots=True)
class LexicalMatch:
    """A label found by its words."""

    label: int
    confidence: float
    exact: bool


class LexicalIndex:
    """Normalised examples and their labels. Immutable, so it may be used from any thread."""

    def __init__(self, examples: Sequence[tuple[int, str]], language: str) -> None:
        self._courtesy = phrasebook(language).courtesy
        self._label_of: dict[str, int] = {}
        self._bare: dict[str, int] = {}
        shared: set[str] = set()
        for label, example in examples:
            text = normalised(example)
            self._label_of.setdefault(text, label)
            bare = self._without_courtesy(text)
            if self._bare.setdefault(bare, label) != label:
                shared.add(bare)
        for bare in (*shared, ""):
            self._bare.pop(bare, None)
        self._texts = tuple(self._label_of)

    def find(self, text: str) -> LexicalMatch | None:
        """An example that equals the text but for case, punctuation, order of words or a few letters."""
        said = normalised(text)
        label = self._label_of.get(said)
        if label is not None:
            return LexicalMatch(label, 1.0, exact=True)
        label = self._bare.get(self._without_courtesy(said))
        if label is not None:
            return LexicalMatch(label, _WITHOUT_COURTESY, exact=False)
        return self._single(said) if " " not in said else self._phrase(said)

    def _without_courtesy(self, text: str) -> str:
        return " ".join(word for word in text.split() if word not in self._courtesy)

    def _phrase(self, said: str) -> LexicalMatch | None:
        cutoff = _LEAST_RATIO - _LEAST_LEAD
        near = process.extract(said, self._texts, scorer=fuzz.token_sort_ratio, score_cutoff=cutoff, limit=8)
        if not near or near[0][1] < _LEAST_RATIO:
            return None
        best_text, best, _ = near[0]
        label = self._label_of[best_text]
        rival = max((score for text, score, _ in near if self._label_of[text] != label), default=0.0)
        if best - rival < _LEAST_LEAD or not _same_meaning(said, best_text):
            return None
        return LexicalMatch(label, best / 100, exact=False)

    def _single(self, said: str) -> LexicalMatch | None:
        if len(said) < _LEAST_SINGLE_LETTERS:
            return None
        singles = [text for text in self._texts if " " not in text and text[0] == said[0]]
        allowed = _LONGEST_SINGLE_SLIP if len(said) > _LEAST_SINGLE_LETTERS + 2 else 1
        found = process.extractOne(said, singles, scorer=OSA.distance, score_cutoff=allowed)
        if found is None:
            return None
        text, distance, _ = found
        return LexicalMatch(self._label_of[text], 1 - distance / len(said), exact=False)


def _same_meaning(one: str, other: str) -> bool:
    """No negation and no long word on one side only («можно оплатить» is not «нельзя оплатить»)."""
    first, second = set(one.split()), set(other.split())
    if first & _NEGATIONS != second & _NEGATIONS:
        return False
    alone = sorted(first - second, key=len), sorted(second - first, key=len)
    for mine, theirs in (alone, alone[::-1]):
        for word in mine:
            close = any(fuzz.ratio(word, candidate) >= _CLOSE_WORDS for candidate in theirs)
            if len(word) >= _TOPIC_LETTERS and not close:
                return False
    return True
