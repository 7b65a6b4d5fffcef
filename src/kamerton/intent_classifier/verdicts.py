"""Intents that come from entities, not from examples: answer, out_of_range, yes, no, correct."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from itertools import pairwise

from kamerton.domain.dialogue import Entities, EntityKind, Expectation
from kamerton.intent_classifier.agreement_words import agreement_words
from kamerton.intent_classifier.entities import extract_entities, number_spans
from kamerton.intent_classifier.numbers import NumberSpan
from kamerton.intent_classifier.phrases import Phrasebook, phrasebook
from kamerton.intent_classifier.units import is_expected_unit, unit_length, unit_near
from kamerton.intent_classifier.words import Token, tokenize

_CORRECT = "correct"
YES = "yes"
NO = "no"
_AGREEMENT = frozenset({YES, NO})
_SMALL_RESIDUE = 2
_LONGEST_ANSWER_RESIDUE = 5
_NEAR_WORDS = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """An intent read off the entities of one reading."""

    intent: str
    strength: float
    """Confidence, and what decides between readings."""
    entities: Entities
    residue: int = 0
    """Words that the entities do not account for: many of them mean that the talk is about something else."""

    @property
    def is_certain(self) -> bool:
        """Whether little else was said; agreement must stand alone, since «давайте …» and «нет, …» start much else."""
        return self.residue <= (0 if self.intent in _AGREEMENT else _SMALL_RESIDUE)

    @property
    def says_too_much(self) -> bool:
        """Whether so much else was said that nothing may be taken from it.

        Agreement bears least of it: «да, я сейчас в магазине стою» consents to nothing.
        """
        if self.intent in _AGREEMENT:
            return self.residue > _SMALL_RESIDUE
        return self.residue > _LONGEST_ANSWER_RESIDUE and self.entities.number_unit is None

    @property
    def is_wordy(self) -> bool:
        """Whether so much else was said that the talk is probably about that."""
        return self.residue >= (_SMALL_RESIDUE if self.intent in _AGREEMENT else _SMALL_RESIDUE + 1)


@dataclass(frozen=True, slots=True)
class _Utterance:
    """A reading with everything that the rules look at."""

    tokens: tuple[Token, ...]
    entities: Entities
    spans: tuple[NumberSpan, ...]
    expectation: Expectation
    book: Phrasebook
    language: str

    @property
    def may_correct(self) -> bool:
        return _CORRECT in self.expectation.intents

    @property
    def words(self) -> set[str]:
        return {token.text for token in self.tokens}

    @property
    def announces_correction(self) -> bool:
        """It begins with a «нет», or says that something was wrong."""
        refused = any(token.text in self.book.no for token in self.tokens[:_NEAR_WORDS])
        return refused or bool(self.words & (self.book.repair | self.book.wrong)) or bool(self.entities.negated_numbers)

    @property
    def counted(self) -> list[NumberSpan]:
        """Numbers that could be an answer: neither rejected nor «пять минут»."""
        return [span for span in self.spans if not span.negated and not self._counts_time(span)]

    def _counts_time(self, span: NumberSpan) -> bool:
        following = self.tokens[span.last + 1 : span.last + 1 + _NEAR_WORDS]
        if not following or following[0].gap in {",", "."}:
            return False
        return following[0].text in self.book.not_counted and self.unit(span) is None

    def unit(self, span: NumberSpan) -> str | None:
        return unit_near(self.tokens, span, self.expectation.units, self.language)

    def is_foreign(self, span: NumberSpan) -> bool:
        """Its unit is another variable's («двадцать лет» where horse powers are expected)."""
        unit = self.unit(span)
        units = self.expectation.units
        return unit is not None and bool(units) and not is_expected_unit(unit, units, self.language)

    def residue_of_agreement(self) -> int:
        """Words that neither agree nor refuse and have a topic of their own."""
        table = agreement_words(self.language)
        known = table.agreeing | table.refusing | table.cancelling | table.after_clausal
        return self.residue({word for word in self.words if word in known or table.consents.fullmatch(word)})

    def residue(self, besides: Set[str] = frozenset()) -> int:
        """Words of a topic of their own."""
        covered: set[int] = set()
        for span in self.spans:
            unit = self.unit(span)
            end = span.last + (unit_length(self.tokens, span, unit) if unit is not None else 0)
            covered.update(range(span.first, end + 1))
        known = (
            self.book.fillers | self.book.yes | self.book.no | self.book.wrong | self.book.repair | self.book.exception
        )
        known |= besides
        return sum(
            1
            for place, token in enumerate(self.tokens)
            if place not in covered and token.text not in known and not self._is_unit_word(token.text)
        )

    def _is_unit_word(self, word: str) -> bool:
        return any(word in unit.split() for family in self.book.units for unit in family)


def verdict(text: str, expectation: Expectation, language: str) -> Verdict | None:
    """What the entities of a reading say, or None when they say nothing that fits the expectation.

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    utterance = _Utterance(
        tokens=tokenize(text),
        entities=extract_entities(text, expectation, language),
        spans=number_spans(text, expectation, language),
        expectation=expectation,
        book=phrasebook(language),
        language=language,
    )
    if not utterance.tokens:
        return None
    if expectation.entity is EntityKind.PHONE and utterance.entities.phone is not None:
        return Verdict("answer", 0.98, utterance.entities)
    if expectation.entity is EntityKind.NUMBER:
        return _number(utterance) or _wrong_value(utterance)
    if expectation.entity is EntityKind.YES_NO:
        return _agreement(utterance)
    return _correction(utterance) or _wrong_value(utterance)


def _number(utterance: _Utterance) -> Verdict | None:
    counted = utterance.counted
    own = [span for span in counted if not utterance.is_foreign(span)]
    if not own:
        return _correction(utterance) if utterance.spans else None
    if utterance.announces_correction and utterance.may_correct and utterance.residue():
        return _correction(utterance)
    inside = [span for span in own if _in_range(span.value, utterance.expectation)]
    if inside:
        chosen = _preferred(inside, utterance)
        return Verdict("answer", 0.98 if chosen.exact else 0.8, _narrowed(utterance, chosen), utterance.residue())
    if utterance.announces_correction and utterance.may_correct:
        return _correction(utterance)
    chosen = _preferred(own, utterance)
    if not chosen.exact:
        return None
    return Verdict("out_of_range", 0.7, _narrowed(utterance, chosen), utterance.residue())


def _preferred(spans: list[NumberSpan], utterance: _Utterance) -> NumberSpan:
    """The last number said with the expected unit, else the last one."""
    with_unit = [span for span in spans if utterance.unit(span) is not None]
    return (with_unit or spans)[-1]


def _in_range(value: float, expectation: Expectation) -> bool:
    low, high = expectation.minimum, expectation.maximum
    return (low is None or value >= low) and (high is None or value <= high)


def _narrowed(utterance: _Utterance, span: NumberSpan) -> Entities:
    """Entities whose only number is the chosen one."""
    return replace(utterance.entities, numbers=(span.value,), number_unit=utterance.unit(span))


def _correction(utterance: _Utterance) -> Verdict | None:
    """A new value for something said before, or at least the old value rejected."""
    if not utterance.may_correct:
        return None
    counted = utterance.counted
    negated = utterance.entities.negated_numbers
    foreign = [span for span in counted if utterance.is_foreign(span)]
    awaited = utterance.expectation.entity is None or utterance.announces_correction
    if not (negated or foreign or (counted and awaited)):
        return None
    return Verdict(_CORRECT, 0.96, _with_counted(utterance), utterance.residue())


def _with_counted(utterance: _Utterance) -> Entities:
    counted = utterance.counted
    unit = utterance.unit(counted[-1]) if counted else None
    return replace(utterance.entities, numbers=tuple(span.value for span in counted), number_unit=unit)


def _agreement(utterance: _Utterance) -> Verdict | None:
    answer = utterance.entities.yes_no
    excepted = bool(utterance.words & utterance.book.exception) and len(utterance.tokens) > 1
    has_value = bool(utterance.counted or utterance.entities.negated_numbers)
    if utterance.may_correct and has_value and (answer is not True or excepted):
        return Verdict(_CORRECT, 0.96, _with_counted(utterance), utterance.residue())
    if answer is not True:
        wrong = _wrong_value(utterance)
        if wrong is not None:
            return wrong
    if answer is None:
        return None
    if not answer and NO in utterance.expectation.ending and not _declines(utterance):
        return _wrong_value(utterance) or _blamed(utterance)
    return Verdict(YES if answer else NO, 0.97, utterance.entities, utterance.residue_of_agreement())


def _declines(utterance: _Utterance) -> bool:
    """Whether a refusal only declines («нет, спасибо», «ничего не надо»), and so may end a call.

    «не то», «неправильно» or «не хочу ждать» refuse something of the talk, which then has to go on.
    """
    table = agreement_words(utterance.language)
    said = tuple(token.text for token in utterance.tokens)
    complains = table.complaints & utterance.words or any(pair in table.part_refusals for pair in pairwise(said))
    return not (complains or utterance.words & utterance.book.wrong or utterance.residue(table.declining))


def _blamed(utterance: _Utterance) -> Verdict | None:
    """«неправильно», where a plain «no» would end the call."""
    if not utterance.may_correct or not utterance.words & utterance.book.wrong:
        return None
    return Verdict(_CORRECT, 0.9, utterance.entities, utterance.residue())


def _wrong_value(utterance: _Utterance) -> Verdict | None:
    """«мощность другая»: something is named and called wrong, without a new value; or the caller owns up to a slip."""
    if not utterance.may_correct or utterance.counted:
        return None
    named = utterance.words & utterance.book.wrong and utterance.residue() - _about_hearing(utterance) > 0
    slipped = utterance.words & utterance.book.slipped
    if not named and not slipped:
        return None
    return Verdict(_CORRECT, 0.9, utterance.entities, utterance.residue())


def _about_hearing(utterance: _Utterance) -> int:
    """Words about the talk itself («вы неправильно поняли»)."""
    return sum(1 for token in utterance.tokens if token.text.startswith(utterance.book.hearing_stems))
