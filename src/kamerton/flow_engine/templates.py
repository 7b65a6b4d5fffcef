"""Fills in what the assistant says: Jinja in its immutable sandbox, cut down to what a sentence needs.

Allowed are variables, a few filters, conditions, bounded arithmetic and one level of loops over a list. Attributes,
calls, includes, macros and assignments are refused when the template is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from kamerton.domain.errors import ConfigurationError
from kamerton.flow_engine.bounds import ITEMS_LIMIT, OPERATIONS, TEXT_LIMIT, apply_operation, is_number, round_number

SOURCE_LIMIT = 4_000
"""Longest template in characters."""
DEPTH_LIMIT = 40
LOOP_ITEMS_LIMIT = 100
"""Items that a loop in a sentence may go through: nobody listens to more."""
LOOP_BODY_LIMIT = 100
"""Pieces of syntax inside loops."""
RAW_LIMIT = 10 * TEXT_LIMIT
"""Characters that may be written before runs of blanks become one."""
_EACH = "each item of a loop"
"""Name of the filter that bounds loops; no template can spell it."""

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


class _NotConstant(Exception):
    """An expression needs more than its own text to be worked out."""


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
    """The items as one bounded text; what grows too long is given up at once."""
    between = str(_spoken(separator))
    pieces: list[str] = []
    length = 0
    for item in items:
        pieces.append(str(_spoken(item)))
        length += len(pieces[-1]) + len(between)
        if length - len(between) > TEXT_LIMIT:
            raise ValueError(f"a text is too long (at most {TEXT_LIMIT} characters)")
    return between.join(pieces)


def _each(items: Any) -> Any:
    if isinstance(items, _Missing):
        str(items)
    if isinstance(items, list | tuple | str) and len(items) > LOOP_ITEMS_LIMIT:
        raise ValueError(f"a loop in a template goes through at most {LOOP_ITEMS_LIMIT} items")
    return items


_OWN_FILTERS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"number": number, "money": money, "plural": plural, "round": _round, "join": _join}
)


def _environment() -> _ScenarioEnvironment:
    environment = _ScenarioEnvironment(autoescape=False, undefined=_Missing, finalize=_spoken, cache_size=0)
    kept = {name: environment.filters[name] for name in ("lower", "upper", "capitalize", "trim", "length", "default")}
    kept_tests = {name: environment.tests[name] for name in ("defined", "undefined", "none", "odd", "even")}
    environment.filters = {
        **kept,
        **_OWN_FILTERS,
        _EACH: _each,
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
                self._template = _compiled(tree)
        except TemplateSyntaxError as error:
            raise TemplateRejected((f"line {error.lineno}: {error.message}",)) from error
        except RecursionError as error:
            raise TemplateRejected((f"the template is nested deeper than {DEPTH_LIMIT} levels",)) from error
        if problems:
            raise TemplateRejected(problems)
        self.names = frozenset(meta.find_undeclared_variables(tree))
        if not self.names:
            self._require_constant()

    def render(self, variables: Mapping[str, Any]) -> str:
        """Fill in; runs of blanks become one.

        Raises:
            MissingVariableError: a variable has no value.
            TemplateFailed: anything else that went wrong while filling in.
        """
        try:
            text = " ".join(self._written(variables).split())
        except TemplateFailed:
            raise
        except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise TemplateFailed(str(error)) from error
        if len(text) > TEXT_LIMIT:
            raise TemplateFailed(f"the text is longer than {TEXT_LIMIT} characters")
        return text

    def _written(self, variables: Mapping[str, Any]) -> str:
        pieces: list[str] = []
        length = 0
        for piece in self._template.generate(dict(variables)):
            pieces.append(piece)
            length += len(piece)
            if length > RAW_LIMIT:
                raise TemplateFailed(f"the text is longer than {TEXT_LIMIT} characters")
        return "".join(pieces)

    def _require_constant(self) -> None:
        """A template without variables always says the same: see at once that it can.

        Raises:
            TemplateRejected: it cannot.
        """
        try:
            self.render({})
        except TemplateFailed as error:
            raise TemplateRejected((str(error),)) from error


def _compiled(tree: nodes.Template) -> Template:
    """Compile a judged tree, each of its loops bounded."""
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, _EACH, [], [], None, None, lineno=loop.lineno)
        loop.iter.set_environment(_ENVIRONMENT)
    code = _ENVIRONMENT.compile(tree)
    return Template.from_code(_ENVIRONMENT, code, {})


def _forbidden(tree: nodes.Template) -> list[str]:
    problems: list[str] = []
    looped = 0
    waiting: list[tuple[nodes.Node, int, bool]] = [(tree, 1, False)]
    while waiting:
        node, depth, in_loop = waiting.pop()
        reason = _reason(node, in_loop)
        if depth > DEPTH_LIMIT:
            reason = f"the template is nested deeper than {DEPTH_LIMIT} levels"
        if reason:
            problems.append(f"line {node.lineno}: {reason}")
            continue
        looped += in_loop
        body = {id(part) for part in (*node.body, *node.else_)} if isinstance(node, nodes.For) else set()
        waiting.extend((child, depth + 1, in_loop or id(child) in body) for child in node.iter_child_nodes())
    if looped > LOOP_BODY_LIMIT:
        problems.append(f"the loops hold {looped} pieces of syntax, at most {LOOP_BODY_LIMIT} are allowed")
    return [*problems, *(dict.fromkeys(_constant_faults(tree)) if not problems else ())]


def _constant_faults(tree: nodes.Template) -> Iterator[str]:
    """Faults of parts whose values the template itself tells (`{{ 'a' * 1000000000 }}`)."""
    for node in tree.find_all((nodes.BinExpr, nodes.Filter)):
        try:
            _worth(node)
        except _NotConstant:
            continue
        except (ArithmeticError, TypeError, ValueError, LookupError) as error:
            yield f"line {node.lineno}: {error}"


def _worth(node: nodes.Node) -> Any:
    """The value of an expression of constants."""
    if isinstance(node, nodes.Const):
        return node.value
    if isinstance(node, nodes.List | nodes.Tuple):
        return [_worth(item) for item in node.items]
    if isinstance(node, nodes.BinExpr) and node.operator in OPERATIONS:
        return apply_operation(node.operator, _worth(node.left), _worth(node.right))
    if isinstance(node, nodes.Filter) and node.node is not None and node.name in _OWN_FILTERS and not node.kwargs:
        return _OWN_FILTERS[node.name](_worth(node.node), *(_worth(argument) for argument in node.args))
    raise _NotConstant


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
    known = sorted(set(_ENVIRONMENT.filters) - {_EACH})
    if node.name not in known:
        return f"the filter '{node.name}' is not known; there are {', '.join(known)}"
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return "a filter takes plain arguments only"
    return ""


def _whole_constant(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Const) and isinstance(node.value, int) and abs(node.value) < ITEMS_LIMIT
