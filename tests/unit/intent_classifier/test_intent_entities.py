"""Agreement, phone numbers, units, and entities put together."""

from __future__ import annotations

import pytest

from kamerton.domain.dialogue import Entities, EntityKind, Expectation
from kamerton.intent_classifier import extract_entities, find_phone, yes_no

POWER = Expectation(entity=EntityKind.NUMBER, units=("лошадиных сил", "л.с."))
PHONE = Expectation(entity=EntityKind.PHONE)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("да", True),
        ("Да, всё верно.", True),
        ("ну да", True),
        ("угу", True),
        ("всё так", True),
        ("нет", False),
        ("нет, неверно", False),
        ("да нет", False),
        ("неправильно", False),
        ("не подходит", False),
        ("ну нет", False),
        ("нет, всё верно", None),
        ("какая погода", None),
        ("", None),
    ],
)
def test_russian_agreement(text: str, answer: bool | None) -> None:
    assert yes_no(text) is answer


@pytest.mark.parametrize(("text", "answer"), [("так", True), ("ні", False), ("все вірно", True), ("невірно", False)])
def test_ukrainian_agreement(text: str, answer: bool) -> None:
    assert yes_no(text, "uk") is answer


def test_a_lone_slip_is_a_yes_only_where_one_is_expected() -> None:
    assert yes_no("Два.", expected=True) is True
    assert yes_no("Два.") is None
    assert yes_no("Два водителя", expected=True) is None


@pytest.mark.parametrize(
    ("text", "language", "phone"),
    [
        ("8-912-345-67-89", "ru", "+79123456789"),
        ("+7 912 345 67 89", "ru", "+79123456789"),
        ("восемь девятьсот двенадцать триста сорок пять шестьдесят семь восемьдесят девять", "ru", "+79123456789"),
        ("плюс семь девятьсот двенадцать триста сорок пять ноль семь восемьдесят девять", "ru", "+79123450789"),
        ("мой номер 9123456789, записали?", "ru", "+79123456789"),
        ("+38 067 123 45 67", "uk", "+380671234567"),
        ("нуль шістдесят сім сто двадцять три сорок п'ять шістдесят сім", "uk", "+380671234567"),
        ("8 912 345", "ru", None),
        ("сто пятьдесят", "ru", None),
        ("", "ru", None),
    ],
)
def test_phone_numbers(text: str, language: str, phone: str | None) -> None:
    assert find_phone(text, language) == phone


def test_digits_of_a_phone_are_not_numbers() -> None:
    assert extract_entities("8-912-345-67-89", PHONE) == Entities(phone="+79123456789")


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("сто пятьдесят лошадиных сил", "лошадиных сил"),
        ("сто пятьдесят лошадиные силы", "лошадиные силы"),
        ("150 л.с.", "л.с."),
        ("150лс", "л.с."),
        ("водителей двое", "водителей"),
        ("двадцать пять лет", "лет"),
        ("двадцать пять", None),
        ("пять документов", None),
    ],
)
def test_the_unit_of_a_number(text: str, unit: str | None) -> None:
    assert extract_entities(text, POWER).number_unit == unit


def test_the_last_number_of_a_range_or_a_repair_counts() -> None:
    assert extract_entities("от ста до ста двадцати", POWER).as_dict()["number"] == 120
    assert extract_entities("двадцать, нет, тридцать", POWER).as_dict()["number"] == 30


def test_rejected_numbers_are_kept_apart() -> None:
    found = extract_entities("нет, не сто, а сто пятьдесят", POWER)
    assert found == Entities(numbers=(150,), negated_numbers=(100,), yes_no=False)
