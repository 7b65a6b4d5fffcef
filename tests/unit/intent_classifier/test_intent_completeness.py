"""How finished an utterance sounds."""

from __future__ import annotations

import pytest

from kamerton.domain.dialogue import Completeness, EntityKind, Expectation
from kamerton.intent_classifier import completeness, is_backchannel

COMPLETE, PLAUSIBLE, OPEN = Completeness.COMPLETE, Completeness.PLAUSIBLE, Completeness.OPEN

POWER = Expectation(entity=EntityKind.NUMBER, minimum=10, maximum=2000, units=("лошадиных сил", "л.с."))
DRIVERS = Expectation(entity=EntityKind.NUMBER, minimum=1, maximum=10, units=("водителя", "человек"))
CONFIRM = Expectation(entity=EntityKind.YES_NO, intents=("yes", "no", "correct"))
PLAIN_CONFIRM = Expectation(entity=EntityKind.YES_NO, intents=("yes", "no"))
PHONE = Expectation(entity=EntityKind.PHONE)
FREE = Expectation()

CASES = [
    (POWER, "сто", OPEN),
    (POWER, "двести", OPEN),
    (POWER, "тысяча", OPEN),
    (POWER, "ну сто", OPEN),
    (POWER, "мне", OPEN),
    (POWER, "э-э", OPEN),
    (POWER, "сто двадцать пять ну", OPEN),
    (POWER, "не сто", OPEN),
    (POWER, "сто пятьдесят", PLAUSIBLE),
    (POWER, "сорок", PLAUSIBLE),
    (POWER, "20", PLAUSIBLE),
    (POWER, "сто двадцать пять", COMPLETE),
    (POWER, "пятнадцать", COMPLETE),
    (POWER, "150", COMPLETE),
    (POWER, "сто лошадиных сил", COMPLETE),
    (POWER, "150 л.с.", COMPLETE),
    (POWER, "повторите, пожалуйста", COMPLETE),
    (POWER, "какие нужны документы?", PLAUSIBLE),
    (DRIVERS, "два", COMPLETE),
    (DRIVERS, "десять", COMPLETE),
    (DRIVERS, "нас двое", COMPLETE),
    (DRIVERS, "двадцать", COMPLETE),
    (CONFIRM, "да", COMPLETE),
    (CONFIRM, "да, всё верно", COMPLETE),
    (CONFIRM, "верно", COMPLETE),
    (CONFIRM, "нет, неверно", COMPLETE),
    (CONFIRM, "нет", PLAUSIBLE),
    (PLAIN_CONFIRM, "нет", COMPLETE),
    (CONFIRM, "нет, не сто", OPEN),
    (CONFIRM, "нет, сто", OPEN),
    (CONFIRM, "нет, а", OPEN),
    (CONFIRM, "да, но", OPEN),
    (CONFIRM, "нет, мощность", PLAUSIBLE),
    (CONFIRM, "нет, сто пятьдесят лошадиных сил", COMPLETE),
    (PHONE, "8 912", OPEN),
    (PHONE, "8-912-345-67-89", COMPLETE),
    (FREE, "какие нужны документы для оформления полиса", PLAUSIBLE),
    (FREE, "сколько стоит?", PLAUSIBLE),
    (FREE, "я хочу", OPEN),
    (FREE, "какие нужны документы и", OPEN),
    (FREE, "до свидания", COMPLETE),
    (FREE, "спасибо", COMPLETE),
    (FREE, "оператор", COMPLETE),
    (FREE, "", Completeness.UNKNOWN),
    (FREE, "…", Completeness.UNKNOWN),
]


@pytest.mark.parametrize(("expectation", "text", "grade"), CASES)
def test_russian(expectation: Expectation, text: str, grade: Completeness) -> None:
    assert completeness(text, expectation) is grade


@pytest.mark.parametrize(
    ("expectation", "text", "grade"),
    [
        (POWER, "сто", OPEN),
        (POWER, "сто двадцять п'ять", COMPLETE),
        (CONFIRM, "так, все вірно", COMPLETE),
        (CONFIRM, "ні", PLAUSIBLE),
        (FREE, "до побачення", COMPLETE),
        (FREE, "я хочу", OPEN),
    ],
)
def test_ukrainian(expectation: Expectation, text: str, grade: Completeness) -> None:
    assert completeness(text, expectation, "uk") is grade


@pytest.mark.parametrize("text", ["угу", "Ага, понятно.", "да-да", "так", "мгм"])
def test_backchannels(text: str) -> None:
    assert is_backchannel(text, "ru")


@pytest.mark.parametrize("text", ["", "нет", "стоп", "подождите", "да, а сколько стоит", "ага ага ага ага"])
def test_claims_of_the_floor(text: str) -> None:
    assert not is_backchannel(text, "ru")


@pytest.mark.parametrize("text", ["Стой.", "Стой!", "сток"])
def test_a_hundred_misheard_alone_waits_for_the_rest_of_the_number(text: str) -> None:
    assert completeness(text, POWER) is OPEN
    assert completeness(text, Expectation()) is not OPEN
