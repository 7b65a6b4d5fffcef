"""How much of what was said is said by an example in the same words, rare words counting more.

Meaning alone calls «хочу взять ипотеку» close to «хочу оформить полис»; a rare word that no example knows says it is
not. And a rare word that only one label knows («рассрочка») says that it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kamerton.domain.embedding import Vectors
from kamerton.intent_classifier.phrases import phrasebook

_SHORT_STEM = 4
_LONG_STEM = 5
_LONG_WORD = 7
_LEAST_LETTERS = 3


def stems(text: str, language: str) -> frozenset[str]:
    """Beginnings of the words that carry a topic; `text` is normalised."""
    fillers = phrasebook(language).fillers
    return frozenset(
        word[: _LONG_STEM if len(word) >= _LONG_WORD else _SHORT_STEM]
        for word in text.split()
        if len(word) >= _LEAST_LETTERS and word not in fillers
    )


class StemOverlap:
    """Stems of all examples, weighted by how few labels know them. Immutable."""

    def __init__(self, texts: Sequence[str], labels: Sequence[int], language: str) -> None:
        self._language = language
        known = [stems(text, language) for text in texts]
        owners: dict[str, set[int]] = {}
        for label, found in zip(labels, known, strict=True):
            for stem in found:
                owners.setdefault(stem, set()).add(label)
        count = max(1, len(set(labels)))
        self._place = {stem: place for place, stem in enumerate(sorted(owners))}
        self._weight = {stem: float(np.log(1 + count / len(labelled))) for stem, labelled in owners.items()}
        self._unknown = float(np.log(1 + count))
        self._examples = np.zeros((len(texts), len(owners)), dtype=np.float32)
        for row, found in enumerate(known):
            self._examples[row, [self._place[stem] for stem in found]] = 1.0

    def of(self, text: str) -> Vectors:
        """Share (0 to 1) of the text's weight that each example covers."""
        said = stems(text, self._language)
        weights = np.zeros(len(self._place), dtype=np.float32)
        total = 0.0
        for stem in said:
            weight = self._weight.get(stem, self._unknown)
            total += weight
            if stem in self._place:
                weights[self._place[stem]] = weight
        covered: Vectors = self._examples @ weights
        return covered / total if total else covered
