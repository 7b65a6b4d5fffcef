"""The space in which intents, prepared answers and the background compete for a text: meaning and words together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from kamerton.domain.embedding import Embedder, Vectors
from kamerton.intent_classifier.background import background_sentences
from kamerton.intent_classifier.calibration import Gates, calibrate, label_scores
from kamerton.intent_classifier.catalogue import FaqEntry, IntentExamples
from kamerton.intent_classifier.stem_overlap import StemOverlap
from kamerton.intent_classifier.vector_store import PreparedVectors, preparation_key
from kamerton.intent_classifier.words import normalised

BACKGROUND: Final = "background"
"""Name of the label of talk about anything else."""

_WORD_SHARE: Final = 0.3
"""How much shared words count beside meaning."""


class LabelSpace:
    """Labels of the joint space: intents first, then prepared answers, then one for the background."""

    def __init__(self, intents: Sequence[IntentExamples], faq: Sequence[FaqEntry], language: str) -> None:
        self.intents = tuple(intents)
        self.faq = tuple(faq)
        owned = [*(intent.examples for intent in self.intents), *(entry.questions for entry in self.faq)]
        self.examples = [(label, text) for label, texts in enumerate(owned) for text in texts]
        strange = [(self.labels, sentence) for sentence in background_sentences(language)] if self.examples else []
        known = [*self.examples, *strange]
        self.label_of = np.array([label for label, _ in known], dtype=np.int64)
        self.texts = [normalised(text) for _, text in known]
        self.overlap = StemOverlap(self.texts, [label for label, _ in known], language)

    @property
    def labels(self) -> int:
        """Number of intents and prepared answers; the background's label is the one after them."""
        return len(self.intents) + len(self.faq)

    def intent(self, label: int) -> IntentExamples | None:
        """The intent of a label, if it is one."""
        return self.intents[label] if 0 <= label < len(self.intents) else None

    def answer(self, label: int) -> FaqEntry | None:
        """The prepared answer of a label, if it is one."""
        return self.faq[label - len(self.intents)] if len(self.intents) <= label < self.labels else None

    def name(self, label: int) -> str:
        """Name for reports: the intent's, `faq:` and the answer's id, or the background's."""
        intent, answer = self.intent(label), self.answer(label)
        if intent is not None:
            return intent.name
        return f"faq:{answer.faq_id}" if answer is not None else BACKGROUND

    def key(self, identity: str, language: str) -> str:
        """Hash that changes with the embedder, the language, the labels, their texts or the way of preparing them."""
        names = [self.name(label) for label in range(self.labels)]
        told = [f"{label}\t{text}" for label, text in zip(self.label_of.tolist(), self.texts, strict=True)]
        return preparation_key(identity, [language, *names, *told])

    def prepare(self, embedder: Embedder) -> PreparedVectors:
        """Vectors of all texts and the gates they imply.

        Examples are embedded as wordings, not as passages: both sides are short questions, and the match is symmetric.
        Measured on the Russian test set with e5, that beats passages, and subtracting the common direction beats raw
        cosines.

        Raises:
            EngineError: the embedder failed.
        """
        if not self.texts:
            return PreparedVectors(np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.float32), Gates().as_dict())
        raw = embedder.wordings(self.texts)
        count = len(self.examples)
        center = ((raw[:count].mean(axis=0) + raw[count:].mean(axis=0)) / 2).astype(np.float32)
        vectors = _centred(raw, center)
        similarities = self._similarities(vectors, self.texts, vectors)
        faq_labels = [label >= len(self.intents) for label in range(self.labels)]
        return PreparedVectors(vectors, center, calibrate(similarities, self.label_of, faq_labels).as_dict())

    def scores(self, vectors: Vectors, texts: Sequence[str], prepared: PreparedVectors) -> Vectors:
        """Best similarity of each text to each label: [texts, labels and the background].

        Args:
            vectors: the texts' vectors as the embedder gives them.
            texts: the texts, normalised.
            prepared: what `prepare` made.
        """
        similarities = self._similarities(_centred(vectors, prepared.center), texts, prepared.vectors)
        return label_scores(similarities, self.label_of, self.labels + 1)

    def _similarities(self, said: Vectors, texts: Sequence[str], known: Vectors) -> Vectors:
        words = np.stack([self.overlap.of(text) for text in texts])
        meaning = said @ known.T
        return np.asarray((1 - _WORD_SHARE) * meaning + _WORD_SHARE * words, dtype=np.float32)


def _centred(vectors: Vectors, center: Vectors) -> Vectors:
    """Without the direction that all sentences share, and of length one again."""
    moved = vectors - center
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9), dtype=np.float32)
