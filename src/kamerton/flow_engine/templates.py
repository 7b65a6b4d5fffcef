"""Fills in what the assistant says: Jinja in its immutable sandbox, cut down to what a sentence needs.

Allowed are variables, a few filters, conditions, bounded arithmetic and one level of loops over a list. Attributes,
calls, includes, macros and assignments are refused when the template is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kamerton.domain.errors import ConfigurationError
from kamerton.flow_engine.bounds import ITEMS_LIMIT, OPERATIONS, TEXT_LIMIT, apply_operation, is_number, round_number

SOURCE_LIMIT = 4_000
"""Longest template in characters."""
DEPTH_LIMIT = 40

_ALLOWED: tuple[type[nodes.Node], ...] = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.List, nodes.Tuple),
    *(nodes.If, nodes.For, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos),
    *(nodes.Filter, nodes.Test, nodes.Getitem),
)


class TemplateRejected(ConfigurationError):
    """A template is broken or uses what scenarios must not; `problems` lists every fault."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class TemplateFailed(ValueError):
    """A template could not be filled in."""


class MissingVariableError(TemplateFailed):
    """A template needs a variable that has no value; `name` says which."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"'{name}' has no value")


class _Missing(StrictUndefined):
    """An undefined value whose error carries the name."""

    def _fail_with_undefined_error(self, *args: Any, **kwargs: Any) -> Any:
        raise MissingVariableError(self._undefined_name or "?")

    __iter__ = __str__ = __len__ = __eq__ = __ne__ = __bool__ = __hash__ = _fail_with_undefined_error
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _fail_with_undefined_error
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __neg__ = __pos__ = __getitem__ = _fail_with_undefined_error


class _ScenarioEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with bounded arithmetic."""

    intercepted_binops = frozenset(OPERATIONS)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply a bounded operation."""
        for value in (left, right):
            if isinstance(value, _Missing):
                str(value)
        return apply_operation(operator, left, right)


def number(value: Any, digits: int = 0) -> str:
    """A number with its thousands apart: 16500 → «16 500», 2.5 with one digit → «2,5»."""
    rounded = round_number(_needs_number(value, "number"), digits)
    whole, _, rest = f"{rounded:,.{max(digits, 0)}f}".partition(".")
    return whole.replace(",", " ") + (f",{rest}" if rest else "")


def money(value: Any, currency: str = "₽") -> str:
    """A sum of money in whole units: 16500 → «16 500 ₽»."""
    return f"{number(_needs_number(value, 'money'))} {currency}"


def plural(value: Any, one: str, few: str, many: str) -> str:
    """The Russian or Ukrainian word form for a count: `{{ drivers|plural("водитель", "водителя", "водителей") }}`."""
    count = _needs_number(value, "plural")
    if not float(count).is_integer():
        return few
    count = abs(int(count))
    if count % 10 == 1 and count % 100 != 11:
        return one
    return few if 2 <= count % 10 <= 4 and not 12 <= count % 100 <= 14 else many


def _needs_number(value: Any, filter_name: str) -> Any:
    if isinstance(value, _Missing):
        str(value)
    if not is_number(value):
        raise TypeError(f"the filter '{filter_name}' needs a number, not {type(value).__name__}")
    return value


def _round(value: Any, digits: int = 0) -> Any:
    return round_number(_needs_number(value, "round"), digits)


def _spoken(value: Any) -> Any:
    if isinstance(value, _Missing | str):
        return value
    if is_number(value):
        return int(value) if float(value).is_integer() else value
    raise TypeError(f"a value of type {type(value).__name__} cannot be spoken; use a condition or a filter")


def _join(items: Any, separator: str = ", ") -> str:
    return str(separator).join(str(_spoken(item)) for item in items)


def _environment() -> _ScenarioEnvironment:
    environment = _ScenarioEnvironment(autoescape=False, undefined=_Missing, finalize=_spoken, cache_size=0)
    kept = {name: environment.filters[name] for name in ("lower", "upper", "capitalize", "trim", "length", "default")}
    kept_tests = {name: environment.tests[name] for name in ("defined", "undefined", "none", "odd", "even")}
    environment.filters = {
        **kept,
        "number": number,
        "money": money,
        "plural": plural,
        "round": _round,
        "join": _join,
    }
    environment.tests = kept_tests
    environment.globals = {}
    return environment


_ENVIRONMENT = _environment()


class SpokenTemplate:
    """One compiled template. Immutable; safe in any number of threads."""

    def __init__(self, source: str) -> None:
        """Compile.

        Raises:
            TemplateRejected: the syntax is broken, or a construct is not allowed.
        """
        if len(source) > SOURCE_LIMIT:
            raise TemplateRejected((f"the template is longer than {SOURCE_LIMIT} characters",))
        try:
            tree = _ENVIRONMENT.parse(source)
            problems = tuple(_forbidden(tree))
            if not problems:
                self._template = _ENVIRONMENT.from_string(source)
        except TemplateSyntaxError as error:
            raise TemplateRejected((f"line {error.lineno}: {error.message}",)) from error
        except RecursionError as error:
            raise TemplateRejected((f"the template is nested deeper than {DEPTH_LIMIT} levels",)) from error
        if problems:
            raise TemplateRejected(problems)
        self.names = frozenset(meta.find_undeclared_variables(tree))

    def render(self, variables: Mapping[str, Any]) -> str:
        """Fill in; runs of blanks become one.

        Raises:
            MissingVariableError: a variable has no value.
            TemplateFailed: anything else that went wrong while filling in.
        """
        try:
            text = " ".join(self._template.render(dict(variables)).split())
        except TemplateFailed:
            raise
        except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise TemplateFailed(str(error)) from error
        if len(text) > TEXT_LIMIT:
            raise TemplateFailed(f"the text is longer than {TEXT_LIMIT} characters")
        return text


def _forbidden(tree: nodes.Template) -> list[str]:
    problems: list[str] = []
    waiting: list[tuple[nodes.Node, int, bool]] = [(tree, 1, False)]
    while waiting:
        node, depth, in_loop = waiting.pop()
        reason = _reason(node, in_loop)
        if depth > DEPTH_LIMIT:
            reason = f"the template is nested deeper than {DEPTH_LIMIT} levels"
        if reason:
            problems.append(f"line {node.lineno}: {reason}")
            continue
        looping = in_loop or isinstance(node, nodes.For)
        waiting.extend((child, depth + 1, looping) for child in node.iter_child_nodes())
    return problems


def _reason(node: nodes.Node, in_loop: bool) -> str:
    if not isinstance(node, _ALLOWED):
        return f"{type(node).__name__} is not allowed in a template"
    if isinstance(node, nodes.For) and (in_loop or node.recursive):
        return "a loop within a loop is not allowed"
    if isinstance(node, nodes.Filter):
        return _reason_for_filter(node)
    if isinstance(node, nodes.Test) and node.name not in _ENVIRONMENT.tests:
        return f"the test '{node.name}' is not known"
    if isinstance(node, nodes.Getitem) and not _whole_constant(node.arg):
        return "only an item's number may stand in [ ]"
    if isinstance(node, nodes.Name) and node.name.startswith("_"):
        return f"the name '{node.name}' is not allowed"
    return ""


def _reason_for_filter(node: nodes.Filter) -> str:
    if node.name not in _ENVIRONMENT.filters:
        return f"the filter '{node.name}' is not known; there are {', '.join(sorted(_ENVIRONMENT.filters))}"
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return "a filter takes plain arguments only"
    return ""


def _whole_constant(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, int) and abs(node.value) < ITEMS_LIMIT
