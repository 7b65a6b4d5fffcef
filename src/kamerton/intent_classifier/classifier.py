"""What the caller wants: entities first, then words, then meaning; each verdict with its reason.

Intents and prepared answers compete in one space, so a question about payment cannot pass for an intent, nor small
talk for a question. Nothing is kept between calls but caches; every method may be called from any thread and blocks
for up to a model query (10 to 30 ms), so call them off the event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from kamerton.domain.dialogue import Expectation, FaqResult, IntentResult
from kamerton.domain.embedding import Embedder
from kamerton.intent_classifier.addressed import addressed
from kamerton.intent_classifier.calibration import Gates, leaders
from kamerton.intent_classifier.catalogue import FaqEntry, IntentExamples
from kamerton.intent_classifier.entities import extract_entities
from kamerton.intent_classifier.label_space import BACKGROUND, LabelSpace
from kamerton.intent_classifier.lexical import LexicalIndex, LexicalMatch
from kamerton.intent_classifier.negated import Turnarounds
from kamerton.intent_classifier.vector_store import PreparedVectors, load_or_prepare
from kamerton.intent_classifier.verdicts import YES, Verdict, verdict
from kamerton.intent_classifier.words import language_code, normalised
from kamerton.intent_classifier.yes_no import Stance, stance

_log = logging.getLogger(__name__)

_CACHED_TEXTS = 1024
_SURE_OF_OTHER = 0.6
"""How sure another intent must be to overrule a yes or no with only a word or two beside it."""
_PER_READING = 0.05
"""What each place in the recogniser's list costs: its first reading is the likeliest."""
_NOTHING_EXPECTED = Expectation()
_READINGS_EMBEDDED = 2
"""Alternatives beyond this are only read for entities and words: a model query costs 10 to 30 ms."""


class IntentClassifier:
    """Understands turns of one assistant's callers. Made by `prepare`; immutable afterwards."""

    def __init__(
        self, space: LabelSpace, embedder: Embedder, prepared: PreparedVectors, gates: Gates, language: str
    ) -> None:
        self._space = space
        self._embedder = embedder
        self._prepared = prepared
        self._gates = gates
        self._language = language
        self._lexical = LexicalIndex(space.examples, language)
        self._turnarounds = Turnarounds(space.examples, language)
        self._ranked = lru_cache(maxsize=_CACHED_TEXTS)(self._rank)

    @classmethod
    def prepare(
        cls,
        intents: Sequence[IntentExamples],
        faq: Sequence[FaqEntry],
        embedder: Embedder,
        cache_dir: Path,
        language: str,
    ) -> IntentClassifier:
        """Load the vectors of all examples from `cache_dir`, or compute and store them (a few seconds).

        Raises:
            ConfigurationError: there are no tables for the language.
            EngineError: the embedder failed.
        """
        code = language_code(language)
        space = LabelSpace(intents, faq, code)
        path = cache_dir / f"intents-{code}.npz"
        vectors = load_or_prepare(path, space.key(embedder.identity, code), lambda: space.prepare(embedder))
        gates = Gates.from_dict(vectors.figures)
        _log.info("intents are ready", extra={"labels": space.labels, "examples": len(space.examples)})
        return cls(space, embedder, vectors, gates, code)

    @property
    def gates(self) -> Gates:
        """The calibrated gates, for reports."""
        return self._gates

    def classify_intent(
        self, text: str, expected_intents: Sequence[str] | None, previous_leader: str | None = None
    ) -> IntentResult:
        """The intent of a text, judged by its examples only.

        Args:
            text: what was said.
            expected_intents: intents that may be returned; None allows all. Others still compete, and win as a refusal.
            previous_leader: leader of the turn before: if it leads again, it passes with less.

        Raises:
            EngineError: the embedder failed.
        """
        entities = extract_entities(text, Expectation(), self._language)
        if not normalised(text):
            return IntentResult(None, 0.0, reason="empty", text=text, entities=entities)
        return replace(self._judged(text, expected_intents, previous_leader), text=text, entities=entities)

    def understand(
        self, readings: Sequence[str], expectation: Expectation, previous_leader: str | None = None
    ) -> IntentResult:
        """The intent of a turn: what the state expects first, then the assistant's own intents.

        `answer` and `out_of_range` carry exactly one number in their entities: the one that counts.

        Args:
            readings: the transcript, then the recogniser's alternatives.
            expectation: what the state expects.
            previous_leader: leader of the turn before.

        Raises:
            EngineError: the embedder failed.
        """
        spoken = [reading for reading in dict.fromkeys(readings) if normalised(reading)]
        if not spoken:
            return IntentResult(None, 0.0, reason="empty", text=readings[0] if readings else "")
        result = self._understood(spoken, expectation, previous_leader)
        others = [reading for reading in spoken if reading != result.text]
        if result.intent in {YES, *expectation.consenting} and self._is_contested(others):
            return replace(result, intent=None, reason="contested")
        return result

    def _understood(self, spoken: Sequence[str], expectation: Expectation, previous_leader: str | None) -> IntentResult:
        candidates = [
            (found.strength - _PER_READING * place, reading, found)
            for place, reading in enumerate(spoken)
            if (found := verdict(reading, expectation, self._language)) is not None
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        by_words = self._by_words(spoken, expectation)
        if by_words is not None and (not candidates or _outweighs(by_words[0], *candidates[0][::2])):
            return by_words[1]
        for _, reading, found in candidates:
            result = self._confirmed(found, reading, expectation, previous_leader)
            if result is not None:
                return result
        return by_words[1] if by_words is not None else self._by_meaning(spoken, expectation, previous_leader)

    def find_faq_answer(self, text: str) -> FaqResult | None:
        """The prepared answer to a question, or None: a wrong answer is worse than none.

        Raises:
            EngineError: the embedder failed.
        """
        said = normalised(text)
        if not said or not self._space.faq:
            return None
        match = self._lexical.find(text)
        if match is not None:
            return self._faq_result(match.label, match.confidence, 1.0)
        if " " not in said:
            return None
        label, confidence, gap = self._ranked(said)
        if self._gates.faq.refusal(confidence, gap, repeated=False) is not None:
            return None
        return self._faq_result(label, confidence, gap)

    def _faq_result(self, label: int, confidence: float, gap: float) -> FaqResult | None:
        entry = self._space.answer(label)
        if entry is None:
            return None
        return FaqResult(entry.faq_id, entry.question, entry.answer, confidence, gap)

    def _confirmed(
        self, found: Verdict, reading: str, expectation: Expectation, previous_leader: str | None
    ) -> IntentResult | None:
        """An entity's verdict, unless the rest of the sentence is about something else."""
        result = IntentResult(
            found.intent, found.strength, 1.0, found.intent, "entity", text=reading, entities=found.entities
        )
        if found.is_certain:
            return result
        other = self._judged(reading, expectation.intents, previous_leader, expectation)
        claimed = other.reason == "faq" or other.intent not in (None, found.intent)
        if claimed and (found.is_wordy or other.confidence >= _SURE_OF_OTHER):
            return replace(other, entities=found.entities)
        return None if found.says_too_much else result

    def _is_contested(self, readings: Sequence[str]) -> bool:
        """Whether a reading refuses or doubts: then the yes of another one is no consent."""
        stances = (stance(reading, self._language, expected=True) for reading in readings)
        return any(found in (Stance.REFUSES, Stance.DOUBTS) for found in stances)

    def _by_words(self, readings: Sequence[str], expectation: Expectation) -> tuple[float, IntentResult] | None:
        """The first reading that is an example of an allowed intent or a prepared question, and how much it counts."""
        for place, reading in enumerate(readings):
            match = self._lexical.find(addressed(reading, self._language))
            if match is None:
                continue
            result = self._judged_by_words(match, expectation.intents)
            if result.intent is not None or result.reason == "faq":
                entities = extract_entities(reading, expectation, self._language)
                return result.confidence - _PER_READING * place, replace(result, text=reading, entities=entities)
        return None

    def _by_meaning(
        self, readings: Sequence[str], expectation: Expectation, previous_leader: str | None
    ) -> IntentResult:
        results = []
        for reading in readings[:_READINGS_EMBEDDED]:
            result = self._judged_by_meaning(reading, expectation.intents, previous_leader, expectation)
            entities = extract_entities(reading, expectation, self._language)
            result = replace(result, text=reading, entities=entities)
            if result.intent is not None or result.reason == "faq":
                return result
            results.append(result)
        return results[0]

    def _judged(
        self,
        text: str,
        expected: Sequence[str] | None,
        previous_leader: str | None,
        expectation: Expectation = _NOTHING_EXPECTED,
    ) -> IntentResult:
        match = self._lexical.find(addressed(text, self._language))
        if match is not None:
            return self._judged_by_words(match, expected)
        return self._judged_by_meaning(text, expected, previous_leader, expectation)

    def _judged_by_words(self, match: LexicalMatch, expected: Sequence[str] | None) -> IntentResult:
        reason = "exact" if match.exact else "fuzzy"
        return self._allowed(match.label, match.confidence, 1.0, reason, expected)

    def _judged_by_meaning(
        self,
        text: str,
        expected: Sequence[str] | None,
        previous_leader: str | None,
        expectation: Expectation = _NOTHING_EXPECTED,
    ) -> IntentResult:
        said = addressed(text, self._language)
        if not said:
            return IntentResult(None, 0.0, reason=BACKGROUND)
        label, confidence, gap = self._ranked(said)
        if label < 0:
            return IntentResult(None, 0.0, reason="no_examples")
        leader = self._space.name(label)
        if leader == BACKGROUND:
            return IntentResult(None, confidence, gap, None, BACKGROUND)
        intent = self._space.intent(label)
        if intent is not None and self._is_turned(label, intent.name, text, expectation):
            return IntentResult(None, confidence, gap, leader, "negated")
        gate = self._gates.intent if intent is not None else self._gates.faq
        threshold = intent.threshold if intent is not None else None
        refused = gate.refusal(confidence, gap, repeated=leader == previous_leader, threshold=threshold)
        if refused is not None:
            return IntentResult(None, confidence, gap, leader, refused)
        return self._allowed(label, confidence, gap, "meaning", expected)

    def _is_turned(self, label: int, intent: str, text: str, expectation: Expectation) -> bool:
        """Whether the text negates what its nearest intent says, or is too unclear for what would follow."""
        if intent in expectation.ending and (text.rstrip().endswith("?") or self._turnarounds.unlike(label, text)):
            return True
        if intent in expectation.consenting and self._is_contested((text,)):
            return True
        return self._turnarounds.turned(label, text)

    def _allowed(
        self, label: int, confidence: float, gap: float, reason: str, expected: Sequence[str] | None
    ) -> IntentResult:
        """The result for a label that passed its gates: an intent, a question, or something unexpected here."""
        leader = self._space.name(label)
        intent = self._space.intent(label)
        if intent is None or intent.faq:
            return IntentResult(None, confidence, gap, leader, "faq")
        if expected is not None and intent.name not in expected:
            return IntentResult(None, confidence, gap, leader, "unexpected")
        return IntentResult(intent.name, confidence, gap, leader, reason)

    def _rank(self, said: str) -> tuple[int, float, float]:
        """Leading label, its similarity and its lead; -1 when there are no examples."""
        if not self._space.texts:
            return -1, 0.0, 0.0
        best = leaders(self._space.scores(self._embedder.query([said]), [said], self._prepared))
        return int(best.leader[0]), max(0.0, float(best.confidence[0])), float(best.gap[0])


def _outweighs(words: float, entity: float, found: Verdict) -> bool:
    """Whether an example that matches beats what the entities say; never when they account for every word."""
    return words >= entity and found.residue > 0
