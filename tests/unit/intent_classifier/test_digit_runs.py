"""Digits of a card, a phone or a document answer no question for a number."""

from __future__ import annotations

import pytest

from kamerton.domain.dialogue import Completeness, EntityKind, Expectation
from kamerton.intent_classifier import completeness, extract_entities
from kamerton.intent_classifier.verdicts import verdict

POWER = Expectation(
    entity=EntityKind.NUMBER,
    minimum=20,
    maximum=2000,
    units=("лошадиных сил", "л. с."),
    intents=("answer", "out_of_range", "correct"),
)
AGE = Expectation(
    entity=EntityKind.NUMBER, minimum=18, maximum=99, units=("років",), intents=("answer", "out_of_range", "correct")
)
CONFIRM = Expectation(entity=EntityKind.YES_NO, units=("лошадиных сил", "лет"), intents=("yes", "no", "correct"))

CODES_RU = [
    "1111 2222 3333 4444",
    "1111-2222-3333-4444",
    "1111222233334444",
    "1111 1111 1111 1111",
    "4276 5500 0012 3456",
    "8 912 345 67 89",
    "8-912-345-67-89",
    "+7 (912) 345-67-89",
    "8 912 345 67",
    "9 12 3 45 67 89",
    "8 999 000 11 22 33",
    "223-45-67",
    "45 08 123456",
    "паспорт 4508 123456",
    "серия 45 08 номер 123456",
    "112-233-445 95",
    "112 233 445 95",
    "7707083893",
    "номер карты 1111",
    "последние цифры карты 89",
    "код 1500",
    "мой телефон восемьдесят девять",
    "восемь девятьсот двенадцать триста сорок пять шестьдесят семь восемьдесят девять",
    "восемь девятьсот двенадцать, потом три четыре пять, дальше шестьдесят семь восемьдесят девять",
    "одиннадцать одиннадцать двадцать два двадцать два тридцать три тридцать три",
    "сорок два семьдесят шесть пятьдесят пять ноль ноль",
    "четыре два семь шесть пять пять ноль ноль",
    "плюс семь девятьсот двенадцать сто двадцать тридцать сорок",
    "номер восемь девятьсот, э-э, сто пятьдесят",
]
CODES_UK = [
    "4149 4999 1234 5678",
    "067 123 45 67",
    "+380 67 123 45 67",
    "номер картки 45",
    "телефон вісімдесят дев'ять",
    "нуль шістдесят сім сто двадцять три сорок п'ять шістдесят сім",
    "сорок один сорок дев'ять, далі дев'яносто дев'ять дванадцять",
]
NUMBERS = [
    ("150", 150),
    ("1 500", 1500),
    ("100, 20, 5.", 125),
    ("Один пять ноль, сто пятьдесят.", 150),
    ("сто двадцать, сто двадцать, сто двадцать", 120),
    ("по паспорту сто двадцать", 120),
    ("сто пятьдесят лошадиных сил, телефон 8 912 345 67 89", 150),
    ("мой телефон 8 912 345 67 89, а сил сто пятьдесят лошадиных сил", 150),
]


@pytest.mark.parametrize(
    ("text", "expectation", "language"),
    [*((text, POWER, "ru") for text in CODES_RU), *((text, AGE, "uk") for text in CODES_UK)],
)
def test_codes_are_no_answers(text: str, expectation: Expectation, language: str) -> None:
    found = verdict(text, expectation, language)
    assert found is None or not found.entities.numbers
    assert extract_entities(text, expectation, language).numbers == ()


@pytest.mark.parametrize("text", CODES_RU)
def test_codes_correct_nothing(text: str) -> None:
    found = verdict(text, CONFIRM, "ru")
    assert found is None or found.intent != "correct"


@pytest.mark.parametrize(("text", "value"), NUMBERS)
def test_numbers_beside_them_are(text: str, value: float) -> None:
    found = verdict(text, POWER, "ru")
    assert found is not None
    assert (found.intent, found.entities.numbers) == ("answer", (value,))


def test_a_card_that_is_being_dictated_is_not_cut_off() -> None:
    assert completeness("4276 5500 0012", POWER) is not Completeness.COMPLETE
