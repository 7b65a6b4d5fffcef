"""Which value a caller means to correct: tables of Russian and Ukrainian phrases."""

from __future__ import annotations

from typing import Any

import pytest

from kamerton.domain.dialogue import Entities
from kamerton.flow_engine.corrections import Correctable, Correction, resolve_correction
from kamerton.flow_engine.dialogue_map import NumberLimits

POWER = Correctable(
    "power", "number", NumberLimits(10, 2000, True), ("мощность", "потужність"), ("лошадиных сил", "сил", "к.с.")
)
DRIVERS = Correctable("drivers", "number", NumberLimits(1, 10, True), ("водителей", "водіїв"), ("человек",))
AGE = Correctable(
    "age", "number", NumberLimits(16, 99, True), ("возраст", "возраст водителя", "вік"), ("лет", "год", "років")
)
PHONE = Correctable("phone", "text", NumberLimits(), ("телефон", "номер"))
INSURED = Correctable("insured", "boolean", NumberLimits(), ("страховка", "—"))
ALL = (POWER, DRIVERS, AGE, PHONE, INSURED)
KNOWN = {"power": 100, "drivers": 1, "age": 30}


def resolve(
    text: str, known: dict[str, Any] | None = None, asked: str | None = None, **entities: Any
) -> Correction | None:
    return resolve_correction(ALL, KNOWN if known is None else known, text, Entities(**entities), asked)


@pytest.mark.parametrize(
    ("text", "entities", "expected"),
    [
        ("нет, не сто, а сто пятьдесят", {"numbers": (150.0,), "negated_numbers": (100.0,)}, ("power", 150)),
        ("не сто а сто пятьдесят", {"numbers": (100.0, 150.0), "negated_numbers": (100.0,)}, ("power", 150)),
        ("нет, сто пятьдесят лошадиных сил", {"numbers": (150.0,), "number_unit": "лошадиных сил"}, ("power", 150)),
        ("нет, девяносто лошадиных сил", {"numbers": (90.0,)}, ("power", 90)),
        ("нет, сто пятьдесят", {"numbers": (150.0,)}, ("power", 150)),
        ("нет, трое", {"numbers": (3.0,)}, ("drivers", 3)),
        ("водителей двое", {"numbers": (2.0,)}, ("drivers", 2)),
        ("два водителя", {"numbers": (2.0,)}, ("drivers", 2)),
        ("нет, ему двадцать пять лет", {"numbers": (25.0,), "number_unit": "лет"}, ("age", 25)),
        ("возраст водителя двадцать", {"numbers": (20.0,)}, ("age", 20)),
        ("не тридцать, а двадцать", {"numbers": (20.0,), "negated_numbers": (30.0,)}, ("age", 20)),
        ("мощность неправильная", {}, ("power", None)),
        ("мощностью ошиблись", {}, ("power", None)),
        ("нет, не сто", {"negated_numbers": (100.0,)}, ("power", None)),
        ("мощность пять тысяч", {"numbers": (5000.0,)}, ("power", None)),
        ("водителей двое, мощность двести", {"numbers": (2.0, 200.0)}, ("drivers", 2)),
        ("телефон неверный", {}, ("phone", None)),
        ("другой номер", {"phone": "+79990000000"}, ("phone", "+79990000000")),
        ("страховка есть", {"yes_no": True}, ("insured", None)),
        ("ні, потужність сто двадцять", {"numbers": (120.0,)}, ("power", 120)),
        ("водіїв двоє", {"numbers": (2.0,)}, ("drivers", 2)),
        ("вік не той", {}, ("age", None)),
        ("ні, двадцять п'ять років", {"numbers": (25.0,), "number_unit": "років"}, ("age", 25)),
        ("МОЩНОСТЬ СТО ДЕСЯТЬ", {"numbers": (110.0,)}, ("power", 110)),
    ],
)
def test_resolved(text: str, entities: dict[str, Any], expected: tuple[str, object]) -> None:
    assert resolve(text, **entities) == Correction(*expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "known", "entities"),
    [
        ("нет, неправильно", KNOWN, {}),
        ("", KNOWN, {}),
        ("нет, сорок", KNOWN, {"numbers": (40.0,)}),
        ("нет, пять тысяч", KNOWN, {"numbers": (5000.0,)}),
        ("нет, сто пятьдесят", {}, {"numbers": (150.0,)}),
        ("нет, сто", KNOWN, {"numbers": (100.0,)}),
        ("не пять, а семь", {"drivers": 5, "other": 5}, {"numbers": (7.5,)}),
        ("лето", KNOWN, {}),
        ("- ... 5", KNOWN, {}),
    ],
)
def test_unresolved(text: str, known: dict[str, Any], entities: dict[str, Any]) -> None:
    assert resolve(text, known, **entities) is None


def test_two_values_rejected_alike_stay_open() -> None:
    known = {"drivers": 20, "power": 20, "age": 20}
    assert resolve("не двадцать, а тридцать", known, numbers=(30.0,), negated_numbers=(20.0,)) is None


def test_equal_names_stay_open_and_earlier_names_win() -> None:
    twin = Correctable("twin", "number", NumberLimits(1, 5000), ("мощность",))
    assert resolve_correction((POWER, twin), {}, "мощность сто", Entities(numbers=(100.0,)), None) is None
    assert resolve("водителей, то есть возраст, неверно") == Correction("drivers", None)


def test_a_bare_number_answers_the_question_at_hand() -> None:
    assert resolve("нет, сорок", {"power": 100}, asked="age", numbers=(40.0,)) == Correction("age", 40)


def test_a_bare_phone_number_corrects_the_known_one() -> None:
    assert resolve("нет", {"phone": "+71"}, phone="+72") == Correction("phone", "+72")


def test_true_is_not_the_number_one() -> None:
    assert resolve("не один", {"insured": True}, negated_numbers=(1.0,)) is None


def test_limits_store_what_fits() -> None:
    assert NumberLimits(integer=True).fit(150.0) == 150
    assert isinstance(NumberLimits(integer=True).fit(150.0), int)
    assert NumberLimits(integer=True).fit(2.5) is None
    assert NumberLimits().fit(2.5) == 2.5
    for value in (float("nan"), float("inf"), float("-inf")):
        assert NumberLimits().fit(value) is None
