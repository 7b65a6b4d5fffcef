"""Templates fill in sentences; nothing in them reaches out, loops long or grows large."""

from __future__ import annotations

from typing import Any

import pytest

from kamerton.flow_engine.bounds import TEXT_LIMIT
from kamerton.flow_engine.templates import MissingVariableError, SpokenTemplate, TemplateFailed, TemplateRejected

VARIABLES: dict[str, Any] = {
    "price": 16500.0,
    "drivers": 2,
    "agreed": True,
    "ages": [18, 22.0, "?"],
    "name": " иван ",
    "share": 2.5,
    "nothing": None,
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Полис стоит {{ price|money }}.", "Полис стоит 16 500 ₽."),
        ("{{ 1234567.5|money('грн') }}", "1 234 568 грн"),
        ("{{ price }} и {{ share }}", "16500 и 2.5"),
        ("{{ price|number }} {{ 2.345|number(2) }} {{ 999|number }}", "16 500 2,35 999"),
        ("{{ share|round }} {{ share|round(1) }}", "3 2.5"),
        ("{{ drivers }} {{ drivers|plural('водитель', 'водителя', 'водителей') }}", "2 водителя"),
        ("{{ share|plural('литр', 'литра', 'литров') }}", "литра"),
        ("{% if agreed and drivers > 1 %}да{% else %}нет{% endif %}", "да"),
        ("{% if drivers == 1 %}один{% elif drivers is odd %}нечётно{% else %}чётно{% endif %}", "чётно"),
        ("{{ 'да' if agreed else 'нет' }}", "да"),
        ("{% for age in ages %}{{ age }}, {% endfor %}", "18, 22, ?,"),
        ("{{ ages|join(' и ') }} {{ ages|length }} {{ ages[0] }}", "18 и 22 и ? 3 18"),
        ("{{ name|trim|capitalize }}", "Иван"),
        ("{{ missing|default('неизвестно') }}", "неизвестно"),
        ("{% if missing is defined %}есть{% else %}нет{% endif %}", "нет"),
        ("{{ price + drivers * 10 - 5 }} {{ -drivers }}", "16515 -2"),
        ("a\n   b\t{# comment #} <&>", "a b <&>"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
    ],
)
def test_fills_in(source: str, expected: str) -> None:
    assert SpokenTemplate(source).render(VARIABLES) == expected


@pytest.mark.parametrize(
    ("count", "word"),
    [(1, "день"), (2, "дня"), (5, "дней"), (11, "дней"), (12, "дней"), (21, "день"), (104, "дня"), (0, "дней")],
)
def test_plural_forms(count: int, word: str) -> None:
    assert SpokenTemplate("{{ n|plural('день', 'дня', 'дней') }}").render({"n": count}) == word


@pytest.mark.parametrize(
    "source",
    [
        "{{ x }}",
        "{{ x|money }}",
        "{{ x|round }}",
        "{{ x|join }}",
        "{{ x|upper }}",
        "{{ x|length }}",
        "{{ x + 1 }}",
        "{{ 1 / x }}",
        "{{ -x }}",
        "{{ 'a' if x else 'b' }}",
        "{% if x == 1 %}a{% endif %}",
        "{% if x > 1 %}a{% endif %}",
        "{% if 1 in x %}a{% endif %}",
        "{% for a in x %}{{ a }}{% endfor %}",
        "{{ x[0] }}",
    ],
)
def test_a_variable_without_a_value_is_named(source: str) -> None:
    with pytest.raises(MissingVariableError) as error:
        SpokenTemplate(source).render(VARIABLES)
    assert error.value.name == "x"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ name['__class__'] }}",
        "{{ name[drivers] }}",
        "{{ ages[0:1] }}",
        "{{ name|attr('__class__') }}",
        "{{ name|map('upper') }}",
        "{{ name|format(1) }}",
        "{{ name|center(1000000000) }}",
        "{{ name.upper() }}",
        "{{ range(1000000000) }}",
        "{{ cycler(1) }}",
        "{{ lipsum() }}",
        "{{ self.x }}",
        "{{ loop.index }}",
        "{{ _private }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ 'a' ~ 'b' }}",
        "{{ {'a': 1} }}",
        "{% set x = 1 %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% macro f() %}{% endmacro %}",
        "{% call f() %}{% endcall %}",
        "{% filter upper %}x{% endfilter %}",
        "{% with a = 1 %}{% endwith %}",
        "{% for a in ages %}{% for b in ages %}{% endfor %}{% endfor %}",
        "{% for a in ages recursive %}{% endfor %}",
        "{{ name|unknown }}",
        "{{ ages|join(*ages) }}",
        "{% if name is sameas(1) %}{% endif %}",
        "{{ name",
        "{% if name %}",
        "{{ " + "(" * 60 + "1" + ", " * 60 + " }}",
        "{{ " + "not " * 60 + "1 }}",
        "{{ " + "-" * 3000 + "1 }}",
        "x" * 4001,
    ],
    ids=lambda source: source[:40],
)
def test_forbidden_templates_are_refused_when_compiled(source: str) -> None:
    with pytest.raises(TemplateRejected) as error:
        SpokenTemplate(source)
    assert error.value.problems


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ agreed }}", "bool cannot be spoken"),
        ("{{ nothing }}", "NoneType cannot be spoken"),
        ("{{ ages }}", "list cannot be spoken"),
        ("{{ name|money }}", "needs a number"),
        ("{{ agreed|plural('a', 'b', 'c') }}", "needs a number"),
        ("{% for a in drivers %}{% endfor %}", "not iterable"),
        ("{{ drivers > 'a' }}", "not supported"),
        ("{{ ages[7] }}", "has no value"),
        ("{% for a in ages %}" + "x" * 1000 + "{% endfor %}", "longer than"),
    ],
)
def test_failures_are_told(source: str, reason: str) -> None:
    with pytest.raises(TemplateFailed, match=reason):
        SpokenTemplate(source).render(VARIABLES)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ 'a' * 1000000000 }}", "cannot be used"),
        ("{{ '%1000000000d' % 1 }}", "cannot be used"),
        ("{{ 5|round(-1000000000) }}", "digits"),
        ("{{ 5|number(1000) }}", "digits"),
        ("{{ 999999999999 * 999999999999 }}", "out of bounds"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ price }} {{ 1 / 0 }}", "division by zero"),
        ("{% if agreed %}{{ 'a' * 1000000000 }}{% endif %}", "cannot be used"),
        ("{{ ['" + "x" * 1000 + "', '" + "y" * 1000 + "']|join(', ') }}", "too long"),
        ("{{ [" + "'x'," * 300 + "]|join('" + "y" * 300 + "') }}", "too long"),
        ("{% for a in [" + "1, " * 101 + "] %}{{ a }}{% endfor %}", "at most 100 items"),
        ("{% for a in ages %}" + "{{ a }}" * 101 + "{% endfor %}", "pieces of syntax"),
    ],
)
def test_what_constants_make_impossible_is_refused_when_compiled(source: str, reason: str) -> None:
    with pytest.raises(TemplateRejected, match=reason):
        SpokenTemplate(source)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ long|join(name) }}", "too long"),
        ("{{ long|join('" + "x" * 1000 + "') }}", "too long"),
        ("{% for a in long %}{{ a }}{% endfor %}", "at most 100 items"),
        ("{{ text }}" * 300, "longer than"),
        ("{% for a in ages %}" + "{{ text }}{{ text }}" * 6 + "{% endfor %}", "longer than"),
    ],
)
def test_what_grows_with_its_variables_is_given_up(source: str, reason: str) -> None:
    variables = {"long": ["слово" * 2] * 1000, "name": "x" * TEXT_LIMIT, "text": "т" * TEXT_LIMIT, "ages": [1] * 100}
    with pytest.raises(TemplateFailed, match=reason):
        SpokenTemplate(source).render(variables)


def test_names_are_those_it_does_not_set_itself() -> None:
    template = SpokenTemplate("{{ a }}{% for b in c %}{{ b }}{% if d %}{% endif %}{% endfor %}")
    assert template.names == {"a", "c", "d"}


def test_a_full_text_passes() -> None:
    assert len(SpokenTemplate("{{ x }}").render({"x": "a" * TEXT_LIMIT})) == TEXT_LIMIT
