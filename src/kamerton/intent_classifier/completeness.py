"""How finished an utterance sounds, given what is expected: grades the pause that ends the turn.

Tables and regular expressions only: well under a millisecond, so it may run on every partial.
"""

from __future__ import annotations

from dataclasses import replace

from kamerton.domain.dialogue import Completeness, EntityKind, Expectation
from kamerton.intent_classifier.agreement_words import agreement_words
from kamerton.intent_classifier.entities import number_spans
from kamerton.intent_classifier.number_slips import is_hundred_slip
from kamerton.intent_classifier.numbers import NumberSpan
from kamerton.intent_classifier.phones import count_digits, find_phone
from kamerton.intent_classifier.phrases import phrasebook
from kamerton.intent_classifier.units import is_expected_unit, unit_length, unit_near
from kamerton.intent_classifier.words import Token, tokenize, word_texts
from kamerton.intent_classifier.yes_no import yes_no

_LEAST_WHOLE_WORDS = 3
_MOST_BACKCHANNEL_WORDS = 3
_FULL_DIGITS = 3
_CORRECT = "correct"
_FEWEST_WORDS_OF_AGREEMENT = 4


def completeness(text: str, expectation: Expectation, language: str = "ru") -> Completeness:
    """Grade what was said so far.

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    tokens = tokenize(text)
    if not tokens:
        return Completeness.UNKNOWN
    if word_texts(text) in phrasebook(language).social:
        return Completeness.COMPLETE
    grade: Completeness | None = None
    if expectation.entity is EntityKind.NUMBER:
        grade = _number(text, tokens, expectation, language)
    elif expectation.entity is EntityKind.PHONE:
        grade = _phone(text, language)
    elif expectation.entity is EntityKind.YES_NO:
        grade = _agreement(text, tokens, expectation, language)
    return grade if grade is not None else _free(text, tokens, language)


def is_backchannel(text: str, language: str = "ru") -> bool:
    """Whether a text only says «I am listening» («угу», «да-да», «ага, понятно»), and so claims no turn.

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    words = word_texts(text)
    known = phrasebook(language).backchannels
    return 0 < len(words) <= _MOST_BACKCHANNEL_WORDS and all(word in known for word in words)


def _number(text: str, tokens: tuple[Token, ...], expectation: Expectation, language: str) -> Completeness | None:
    spans = number_spans(text, replace(expectation, entity=EntityKind.NUMBER), language)
    if not spans:
        # «сто» said alone often comes as «стой»: more of the number is likely to follow.
        return Completeness.OPEN if len(tokens) == 1 and is_hundred_slip(tokens[0].text, "") else None
    last = spans[-1]
    if last.negated:
        return Completeness.OPEN
    unit = unit_near(tokens, last, expectation.units, language)
    ends_at = last.last + (unit_length(tokens, last, unit) if unit is not None else 0)
    if ends_at < len(tokens) - 1:
        return _free(text, tokens, language)
    if unit is not None and (ends_at > last.last or is_expected_unit(unit, expectation.units, language)):
        return Completeness.COMPLETE if ends_at > last.last else _ending(last, expectation)
    return _ending(last, expectation)


def _ending(span: NumberSpan, expectation: Expectation) -> Completeness:
    """A number at the very end of the text: may more of it follow?"""
    if span.room <= 1 or _exceeds(span, expectation):
        return Completeness.COMPLETE
    if span.digits and len(str(int(span.value))) >= _FULL_DIGITS and span.room < 100:
        return Completeness.COMPLETE
    return Completeness.OPEN if span.room >= 100 else Completeness.PLAUSIBLE


def _exceeds(span: NumberSpan, expectation: Expectation) -> bool:
    """Whether the smallest longer number is already out of the expected range."""
    return expectation.maximum is not None and span.value + 1 > expectation.maximum


def _phone(text: str, language: str) -> Completeness | None:
    if find_phone(text, language) is not None:
        return Completeness.COMPLETE
    return Completeness.OPEN if count_digits(text, language) else None


def _agreement(text: str, tokens: tuple[Token, ...], expectation: Expectation, language: str) -> Completeness | None:
    book = phrasebook(language)
    answer = yes_no(text, language, expected=True)
    spans = number_spans(text, expectation, language)
    if spans:
        if spans[-1].negated:
            return Completeness.OPEN
        return _number(text, tokens, Expectation(units=expectation.units), language)
    if len(tokens) > 1 and tokens[-1].text in book.exception:
        return Completeness.OPEN
    if answer is None:
        return None
    if answer is False:
        return _refusal(tokens, expectation, language)
    if len(tokens) > 1 and _dangles(tokens, language):
        return Completeness.OPEN
    return Completeness.COMPLETE if len(tokens) <= _FEWEST_WORDS_OF_AGREEMENT else None


def _refusal(tokens: tuple[Token, ...], expectation: Expectation, language: str) -> Completeness:
    """«нет» alone may go on with the right value; «нет, неверно» hardly does."""
    book = phrasebook(language)
    last = tokens[-1].text
    if len(tokens) > 1 and last not in book.no and _dangles(tokens, language):
        return Completeness.OPEN
    if _CORRECT not in expectation.intents:
        return Completeness.COMPLETE
    table = agreement_words(language)
    refused = last not in table.answers_no and any(phrase[-1] == last for phrase in table.refusals)
    finished = refused or last in book.wrong or table.consents.fullmatch(last)
    return Completeness.COMPLETE if finished else Completeness.PLAUSIBLE


def _dangles(tokens: tuple[Token, ...], language: str) -> bool:
    return tokens[-1].text in phrasebook(language).open_words


def _free(text: str, tokens: tuple[Token, ...], language: str) -> Completeness:
    ending = text.rstrip()
    if ending.endswith(("…", "...", ",", "-", "—")) or _dangles(tokens, language):
        return Completeness.OPEN
    if ending.endswith(("?", "!")) or len(tokens) >= _LEAST_WHOLE_WORDS:
        return Completeness.PLAUSIBLE
    book = phrasebook(language)
    if all(token.text in book.fillers for token in tokens):
        return Completeness.OPEN
    return Completeness.PLAUSIBLE
