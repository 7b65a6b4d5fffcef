"""Scenario code computes what a scenario needs, and nothing else gets out, in or large."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamerton.domain.dialogue import FlowResult
from kamerton.flow_engine.bounds import NUMBER_LIMIT, TEXT_LIMIT, round_number, round_to
from kamerton.flow_engine.code_sandbox import CodeOutcome, CodeRejected, ScenarioCode


def run(
    source: str, variables: dict[str, Any] | None = None, entities: dict[str, Any] | None = None, known: str = ""
) -> CodeOutcome:
    return ScenarioCode(source, "states.x.on_enter").run(variables or {}, entities or {}, known.split())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 2 + 3 * 4 - 1", 13),
        ("x = 7 / 2", 3.5),
        ("x = 7 // 2 + 7 % 2", 4),
        ("x = 2 ** 10", 1024),
        ("x = -a + +b", 1),
        ("x = a if a > b else b", 3),
        ("x = 0\nif a == 2 and not b < 3:\n    x = 'yes'\nelif a:\n    x = 'no'\nelse:\n    pass", "yes"),
        ("x = 1 < a <= 2 != b", True),
        ("x = a is None or b is not True", True),
        ("x = a in [1, 2] and b not in (1, 2)", True),
        ("x = y = 5", 5),
        ("x = 1\nx += a\nx *= b", 9),
        (
            "x = 0\nfor i in range(1, 5):\n    if i == 4:\n        break\n    if i == 2:\n        continue\n    x += i",
            4,
        ),
        ("x = sum([1, 2.5]) + max(a, b) + min([4, 5]) + abs(-1) + len('abc')", 14.5),
        ("x = [1] + [2]", [1, 2]),
        ("x = (3, 1, 2)\nx = sorted(x)", [1, 2, 3]),
        ("x = [5, 6][1] + int('4') + int(2.9)", 12),
        ("x = 'abc'[0] + str(1) + 'д'", "a1д"),
        ("x = float('2.5') + bool(1)", 3.5),
        ("x = f'{a} из {1234567.891:,.2f}'", "2 из 1,234,567.89"),
        ("x = f'{b:d}'", "3"),
        ("x = entities['number'] + 1", 8.0),
        ("x = 'number' in entities and 'phone' not in entities", True),
        ("x = round(2.5) + round(3.14159, 2) + round(1250, -2)", 1306.14),
        ("x = round_to(15849.9999999999, 100) + round_to(15849.9, 100)", 31700),
        ("x = None", None),
        ("# only a comment\nx = 1", 1),
    ],
)
def test_allowed_code(source: str, expected: object) -> None:
    outcome = run(source, {"a": 2, "b": 3}, {"number": 7.0})
    assert outcome.result is FlowResult.SUCCESS, outcome.detail
    assert outcome.variables["x"] == expected
    assert type(outcome.variables["x"]) is type(expected)


@pytest.mark.parametrize(
    ("power", "drivers", "age", "price"),
    [(125, 1, 40, 12000), (201, 1, 40, 15000), (200, 1, 22, 12000), (125, 2, 21, 15800), (250, 4, 18, 23400)],
)
def test_the_quote(power: int, drivers: int, age: int, price: int) -> None:
    source = (
        "tariff = 15000 if power > 200 else 12000\ncost = tariff * (1.2 if age < 22 else 1)\n"
        "cost += cost * 0.1 * (drivers - 1)\nprice = round_to(cost, 100)"
    )
    outcome = run(source, {"power": power, "drivers": drivers, "age": age})
    assert outcome.variables["price"] == price
    assert isinstance(outcome.variables["price"], int)


ESCAPES = [
    "import os",
    "from os import path",
    "x = __import__('os')",
    "x = ().__class__",
    "x = ().__class__.__bases__[0].__subclasses__()",
    "x = a.b",
    "x = 'a'.format(1)",
    "x = 'a'.join([1])",
    "a.b = 1",
    "a.b += 1",
    "x = [].append(1)",
    "eval('1')",
    "x = eval('1')",
    "x = exec('1')",
    "x = open('/etc/passwd')",
    "x = getattr(a, 'b')",
    "x = type(a)",
    "x = vars()",
    "x = globals()",
    "x = compile('1', '', 'eval')",
    "x = print(1)",
    "x = printed",
    "x = input()",
    "x = breakpoint()",
    "x = __builtins__",
    "__builtins__ = 1",
    "x = _operate_('+', 1, 2)",
    "x = 1 in _sequence_(a.b)",
    "_getitem_ = 1",
    "x = a__b",
    "x = _private",
    "x = max",
    "max = 1",
    "entities = 1",
    "x = entities",
    "x = entities[a]",
    "x = 1 in [entities]",
    "x = len(entities)",
    "for k in entities:\n    x = k",
    "entities['number'] = 1",
    "x = lambda: 1",
    "def f():\n    pass",
    "async def f():\n    pass",
    "class A:\n    pass",
    "while True:\n    pass",
    "while 1: x = 1",
    "for a.b in [1]:\n    pass",
    "for a, b in [1]:\n    pass",
    "x = [i for i in [1]]",
    "x = {i for i in [1]}",
    "x = {i: i for i in [1]}",
    "x = sum(i for i in [1])",
    "x = {}",
    "x = {1}",
    "x = (yield)",
    "x = (y := 1)",
    "x = a[1:2]",
    "a[0] = 1",
    "a[0] += 1",
    "[x] = [1]",
    "x, y = 1, 2",
    "x = [*a]",
    "x = max(*a)",
    "x = max(a, key=len)",
    "x = max(**a)",
    "x = (lambda: 1)()",
    "x = a()()",
    "x = [max][0](1)",
    "del a",
    "global a",
    "x: int = 1",
    "assert a",
    "raise a",
    "return 1",
    "try:\n    x = 1\nexcept:\n    pass",
    "with a:\n    pass",
    "match a:\n    case 1:\n        pass",
    "x = 1 << 2",
    "x = a | 1",
    "x = a @ 1",
    "x = ~a",
    "x = a is 1",
    "x = b'1'",
    "x = 1j",
    "x = ...",
    "x = f'{a!r}'",
    "x = f'{a:>1000000000}'",
    "x = f'{a:{b}}'",
    "x = f'{a.b}'",
    "x = f'{(lambda: 1)()}'",
    "x = 1e999",
    "x = 10000000000000000000",
    "max(1, 2)",
    "'a docstring'",
    "x = ",
    "x = 'a\nb'",
    "x = '\\d'",
    "x = 1;\n  y = 2",
    "x = '\0'",
    "x = '\ud800'",
    "x = " + "(" * 500 + "1" + ")" * 500,
    "x = " + "-" * 1500 + "1",
    "x = " + "1 + " * 100 + "1",
    "x = '" + "a" * (TEXT_LIMIT + 1) + "'",
    "x = 1\n" * 2000,
]


@pytest.mark.parametrize("source", ESCAPES, ids=lambda source: repr(source[:40]))
def test_forbidden_code_is_refused_when_compiled(source: str) -> None:
    with pytest.raises(CodeRejected) as error:
        ScenarioCode(source, "states.x.on_enter")
    assert "states.x.on_enter" in str(error.value)
    assert error.value.problems


def test_every_fault_is_listed_with_its_line() -> None:
    with pytest.raises(CodeRejected) as error:
        ScenarioCode("x = a.b\ny = 1\nwhile y:\n    pass", "p")
    assert error.value.problems == (
        "line 1: an attribute (a dot) is not allowed in scenario code",
        "line 3: while is not allowed in scenario code",
    )


NESTED = "for i in range(1000):\n    for j in range(1000):\n        for k in range(1000):\n            x = i"


CONSTANT = [
    ("x = 10 ** 10 ** 10", "exponent"),
    ("x = 2.0 ** 64", "out of bounds"),
    ("x = 'a' * 1000000000", "'*' cannot be used on str and int"),
    ("x = [1] * 1000000000", "'*' cannot be used on list and int"),
    ("x = '%1000000000d' % 1", "'%' cannot be used on str"),
    ("x = round(5, -1000000000)", "digits"),
    ("x = round(5, 1000000000)", "digits"),
    ("x = range(1000000000)", "range is too long"),
    ("x = [[1]]", "lists within lists"),
    ("x = int('9' + '9999999999999999999')", "out of bounds"),
    ("x = float('inf')", "out of bounds"),
    ("x = float('nan')", "out of bounds"),
    ("x = (-8) ** 0.5", "complex"),
    ("x = str([1, 2])", "turned into text"),
    ("x = f'{[1]}'", "turned into text"),
    ("x = round_to(1, 0)", "step above zero"),
    ("x = round_to('1', 1)", "two numbers"),
    ("x = round(1, 1.5)", "whole number"),
    ("x = 1 / 0", "division by zero"),
    ("x = [1][5]", "index out of range"),
    ("x = 5[0]", "has no items"),
    ("x = 'a' < 1", "not supported"),
    ("x = abs('a')", "bad operand"),
    ("x = max()", "at least 1"),
    ("x = len(1)", "len()"),
    ("x = 'a' + 1", "'+' cannot be used on str and int"),
    ("x = range(1, 2, 0)", "must not be zero"),
]
"""Code that tells by itself that it must fail."""


@pytest.mark.parametrize(("source", "reason"), CONSTANT)
def test_what_constants_make_impossible_is_refused_when_compiled(source: str, reason: str) -> None:
    with pytest.raises(CodeRejected) as error:
        ScenarioCode(source, "states.x.on_enter")
    assert reason in str(error.value)
    assert "line 1" in str(error.value)


@pytest.mark.parametrize(("source", "reason"), CONSTANT)
def test_the_same_with_a_variable_fails_when_it_runs(source: str, reason: str) -> None:
    constant = re.search(r"(?<![\w.'])\d+(?:\.\d+)?(?![\w.'])|'[^']*'", source.partition("= ")[2])
    if constant is None:
        return
    value = ast.literal_eval(constant.group())
    hidden = "x = " + source.partition("= ")[2].replace(constant.group(), "a", 1)
    try:
        code = ScenarioCode(hidden, "states.x.on_enter")
    except CodeRejected:
        return
    outcome = code.run({"a": value}, {}, ())
    assert outcome.result is FlowResult.EXECUTION_ERROR
    assert outcome.variables == {"a": value}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 'aaaaaaaa'\nfor i in range(1000):\n    x = x + x", "line 3: a text is too long"),
        ("x = 'aaaaaaaa'\nfor i in range(1000):\n    x = f'{x}{x}'", "line 3: a text is too long"),
        ("x = [1, 2]\nfor i in range(1000):\n    x = x + x", "a list is too long"),
        ("x = [1]\nfor i in range(9):\n    x = [x, x]", "lists within lists"),
        ("x = 10\nfor i in range(1000):\n    x = x * x", "out of bounds"),
        ("for i in range(1000):\n    x = sorted(range(1000))", "too much work"),
        ("for i in range(1000):\n    x = sum(range(1000)) + max(range(1000))", "too much work"),
        (NESTED, "too much work"),
        ("for i in 'abc':\n    x = 1", "a loop needs"),
        ("x = stranger", "line 1: 'stranger' has no value"),
    ],
)
def test_bombs_and_slips_end_in_an_error_that_changes_nothing(source: str, reason: str) -> None:
    variables = {"kept": 1}
    outcome = run(source, variables)
    assert outcome.result is FlowResult.EXECUTION_ERROR
    assert reason in outcome.detail
    assert outcome.detail.startswith("states.x.on_enter")
    assert outcome.variables == variables == {"kept": 1}


def test_a_known_variable_without_a_value_is_missing() -> None:
    outcome = run("x = 1\ny = power * 2", known="power x y")
    assert (outcome.result, outcome.missing) == (FlowResult.MISSING_ENTITY, "power")
    assert outcome.detail == "states.x.on_enter, line 2: 'power' has no value"
    assert outcome.variables == {}


def test_an_absent_entity_is_missing() -> None:
    outcome = run("x = entities['phone']", {"a": 1}, {"number": 1.0})
    assert (outcome.result, outcome.missing) == (FlowResult.MISSING_ENTITY, None)
    assert "'phone'" in outcome.detail


def test_runs_on_a_copy_and_keeps_other_values() -> None:
    variables = {"a": 1, "items": [1, 2]}
    outcome = run("a = 2\nitems = items + [3]\nfor i in items:\n    b = i", variables)
    assert outcome.variables == {"a": 2, "items": [1, 2, 3], "b": 3}
    assert variables == {"a": 1, "items": [1, 2]}


def test_variables_cannot_replace_functions_or_guards() -> None:
    hostile = {"max": 1, "_operate_": 2, "entities": 3, "a": 4}
    outcome = run("x = max(a, 1) + entities['number']", hostile, {"number": 1})
    assert outcome.variables["x"] == 5


def test_code_tells_what_it_reads_and_sets() -> None:
    code = ScenarioCode("total += price\nfor i in range(3):\n    a = b\nx = 'n' in entities or entities['phone']", "p")
    assert code.read == {"total", "price", "b"}
    assert code.assigned == {"total", "a", "x"}
    assert code.loop_names == {"i"}
    assert code.entity_keys == {"n", "phone"}


@pytest.mark.parametrize(
    ("value", "step", "expected"), [(150, 100, 200), (149.99, 100, 100), (-150, 100, -200), (1.25, 0.5, 1.5)]
)
def test_round_to_goes_to_the_nearest_step(value: float, step: float, expected: float) -> None:
    assert round_to(value, step) == expected


def test_round_number_rounds_halves_up() -> None:
    assert [round_number(0.5), round_number(1.5), round_number(2.675, 2)] == [1, 2, 2.68]


NAMES = st.sampled_from(["a", "b", "c", "entities['number']", "entities", "1", "0", "'t'", "[1, 2]", "None", "10**15"])
OPERATORS = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", "==", "in", "and", "or", "is", "<<"])
CALLS = st.sampled_from(["max", "min", "round", "int", "str", "len", "sum", "sorted", "range", "round_to", "abs"])
EXPRESSIONS = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        st.tuples(inner, OPERATORS, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(CALLS, inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[0]})"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
        inner.map(lambda e: f"f'{{{e}}}'" if "'" not in e else e),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(EXPRESSIONS, min_size=1, max_size=3), st.integers(0, NUMBER_LIMIT))
def test_any_expression_is_refused_or_runs_within_bounds(expressions: list[str], value: int) -> None:
    source = "\n".join(f"x{i} = {expression}" for i, expression in enumerate(expressions))
    variables = {"a": value, "b": [1, 2, 3]}
    try:
        code = ScenarioCode(source, "p")
    except CodeRejected:
        return
    outcome = code.run(variables, {"number": 5.0}, ("c",))
    assert variables == {"a": value, "b": [1, 2, 3]}
    if outcome.result is not FlowResult.SUCCESS:
        assert outcome.variables == variables
        assert outcome.detail
    assert all(len(str(v)) <= TEXT_LIMIT for v in outcome.variables.values())
