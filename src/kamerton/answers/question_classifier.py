"""Which answer a text asks for, learned from how the questions of a catalogue are worded.

A cosine compares a text with one wording. The classifier weighs what all wordings of an answer have in common against
those of the others, and against the questions that have none: on the shipped catalogue it finds a third more answers at
the same precision. It is a linear one (multinomial logistic regression), trained on the vectors at each start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from kamerton.answers.catalogue import NOT_ANSWERED
from kamerton.domain.embedding import Vectors

_SHARPNESS: Final = 10.0
"""Unit vectors are longer by this: their differences are small."""
_RIDGE: Final = 3e-3
_STEPS: Final = 300
_RATE: Final = 0.2
_MOMENTUM: Final = 0.9

_UNANSWERED: Final = ""


class QuestionClassifier:
    """Tells the answers of a catalogue apart. Immutable; may be used from any thread.

    Args:
        answer_ids: the answer of each vector; questions without one are a class of their own.
        vectors: of the questions: float32 [questions, dimensions], each of length one. Training takes 0.5 s of a core
            for 900 questions of 26 classes, and grows with both.
    """

    def __init__(self, answer_ids: Sequence[str], vectors: Vectors) -> None:
        labels = [_UNANSWERED if answer_id.startswith(NOT_ANSWERED) else answer_id for answer_id in answer_ids]
        self._classes = tuple(sorted(set(labels)))
        classes = np.array([self._classes.index(label) for label in labels], dtype=np.int64)
        self._weights = _trained(_designed(vectors), classes)

    def leads(self, vector: Vectors) -> Mapping[str, float]:
        """Of each answer, how much more a text asks for it than for the best other thing.

        Args:
            vector: of the text, in the space of the questions: float32 [dimensions].

        Returns:
            Logarithms of a ratio of odds, by answer; one at most is positive. Empty with fewer than two classes.
        """
        if len(self._classes) < 2:
            return {}
        scores = (_designed(vector[None, :]) @ self._weights)[0]
        first, second = np.sort(scores)[::-1][:2].tolist()
        return {
            answer_id: score - (second if score == first else first)
            for answer_id, score in zip(self._classes, scores.tolist(), strict=True)
            if answer_id != _UNANSWERED
        }


def _designed(vectors: Vectors) -> Vectors:
    """With a column for the bias."""
    return np.column_stack([vectors * _SHARPNESS, np.ones(len(vectors))]).astype(np.float32)


def _trained(design: Vectors, classes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Vectors:
    """Weights [columns, classes] by gradient descent with momentum over all questions at once: no chance in it."""
    count = int(classes.max()) + 1 if len(classes) else 0
    wanted = np.eye(count, dtype=np.float32)[classes]
    weights = np.zeros((design.shape[1], count), dtype=np.float32)
    speed = np.zeros_like(weights)
    for _ in range(_STEPS if count > 1 else 0):
        scores = design @ weights
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        gradient = design.T @ (shares - wanted) / np.float32(len(design)) + np.float32(_RIDGE) * weights
        speed = np.float32(_MOMENTUM) * speed + gradient
        weights -= np.float32(_RATE) * speed
    return weights
