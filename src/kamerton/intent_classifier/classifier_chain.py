"""Classifiers of one assistant over different embedders: the first one that works understands the turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from kamerton.domain.dialogue import Expectation, FaqResult, IntentResult
from kamerton.domain.errors import EngineError
from kamerton.intent_classifier.classifier import IntentClassifier

T = TypeVar("T")


class ClassifierChain:
    """Asks each classifier in turn until one does not fail. Thread-safe; blocking, as `IntentClassifier` is.

    A classifier needs its embedder only for what neither entities nor words decide, so most turns ask none.

    Args:
        last: the classifier that is asked when no other works.
    """

    def __init__(self, last: IntentClassifier) -> None:
        self._places: tuple[tuple[int, IntentClassifier], ...] = ()
        self._last = last

    @property
    def classifiers(self) -> tuple[IntentClassifier, ...]:
        """In the order in which they are asked."""
        return (*(classifier for _, classifier in self._places), self._last)

    def install(self, place: int, classifier: IntentClassifier) -> None:
        """Add a classifier that is ready now; it is asked after those of lower places, and before the last one."""
        others = [entry for entry in self._places if entry[0] != place]
        self._places = tuple(sorted([*others, (place, classifier)], key=lambda entry: entry[0]))

    def understand(
        self, readings: Sequence[str], expectation: Expectation, previous_leader: str | None = None
    ) -> IntentResult:
        """See `IntentClassifier.understand`.

        Raises:
            EngineError: every embedder failed.
        """
        return self._first(lambda one: one.understand(readings, expectation, previous_leader))

    def classify_intent(
        self, text: str, expected_intents: Sequence[str] | None, previous_leader: str | None = None
    ) -> IntentResult:
        """See `IntentClassifier.classify_intent`.

        Raises:
            EngineError: every embedder failed.
        """
        return self._first(lambda one: one.classify_intent(text, expected_intents, previous_leader))

    def find_faq_answer(self, text: str) -> FaqResult | None:
        """See `IntentClassifier.find_faq_answer`.

        Raises:
            EngineError: every embedder failed.
        """
        return self._first(lambda one: one.find_faq_answer(text))

    def _first(self, asked: Callable[[IntentClassifier], T]) -> T:
        for _, classifier in self._places:
            try:
                return asked(classifier)
            except EngineError:  # the embedder itself has logged why
                continue
        return asked(self._last)
