"""Entities of one utterance: numbers with their unit, agreement, a phone number."""

from __future__ import annotations

from kamerton.domain.dialogue import Entities, EntityKind, Expectation
from kamerton.intent_classifier.digit_runs import coded
from kamerton.intent_classifier.numbers import NumberSpan, find_numbers
from kamerton.intent_classifier.phones import find_phone
from kamerton.intent_classifier.units import unit_near
from kamerton.intent_classifier.words import tokenize
from kamerton.intent_classifier.yes_no import yes_no


def extract_entities(text: str, expectation: Expectation, language: str = "ru") -> Entities:
    """Everything of value in a text, read with the forgiveness that the expectation allows.

    Numbers keep their order of mention, so the last one of a range («сто-сто двадцать») or of a self-repair («двадцать,
    нет, двадцать пять») is the one that counts. Digits of a phone number, a card or a document are not numbers.

    Raises:
        ConfigurationError: there are no tables for the language.
    """
    phone = find_phone(text, language)
    spans = () if phone is not None else number_spans(text, expectation, language)
    kept = [span for span in spans if not span.negated]
    unit = unit_near(tokenize(text), kept[-1], expectation.units, language) if kept else None
    return Entities(
        numbers=tuple(span.value for span in kept),
        number_unit=unit,
        yes_no=yes_no(text, language, expected=expectation.entity is EntityKind.YES_NO),
        phone=phone,
        negated_numbers=tuple(span.value for span in spans if span.negated),
    )


def number_spans(text: str, expectation: Expectation, language: str) -> tuple[NumberSpan, ...]:
    """The numbers of a text that may answer something, read forgivingly when a number is expected.

    Pieces of a code (a card, a document) are left out: «4276 1111 …» answers no question with 1111.
    """
    spans = find_numbers(text, language, expected=expectation.entity is EntityKind.NUMBER)
    tokens = tokenize(text)
    with_unit = [unit_near(tokens, span, expectation.units, language) is not None for span in spans]
    left_out = coded(tokens, spans, with_unit)
    return tuple(span for place, span in enumerate(spans) if place not in left_out)
