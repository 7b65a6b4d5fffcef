"""Runs scenario code (`execute_code`, `on_enter`): a bounded subset of Python over a copy of the session's variables.

Code is compiled once, when the process starts and in one thread, on RestrictedPython with the policy of
`code_policy`; it may then run in any number of threads at once. It cannot import, reach attributes, define functions,
loop without end or make large values.
"""

from __future__ import annotations

import ast
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from RestrictedPython.compile import compile_restricted_exec

from kamerton.domain.dialogue import FlowResult
from kamerton.domain.errors import ConfigurationError
from kamerton.flow_engine.bounds import (
    ITEMS_LIMIT,
    TEXT_LIMIT,
    apply_operation,
    bounded,
    bounded_list,
    require_room,
    round_number,
    round_to,
)
from kamerton.flow_engine.code_policy import ENTITIES, RESERVED_NAMES, ScenarioPolicy
from kamerton.flow_engine.constant_parts import constant_faults

SOURCE_LIMIT = 4_000
"""Longest piece of code in characters."""
DEPTH_LIMIT = 40
"""Deepest nesting of syntax."""
MADE_LIMIT = 50_000
"""Characters of all texts that one run leaves in variables: they are written with every step of the session."""
STEP_LIMIT = 20_000
"""Work that one run may do, in pieces of syntax repeated by loops and items handled in bulk: some 20 ms at most."""


class CodeRejected(ConfigurationError):
    """A piece of scenario code is not allowed or not Python; `problems` lists every fault."""

    def __init__(self, place: str, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__(f"{place}: " + "; ".join(problems))


class MissingEntityError(LookupError):
    """The code read an entity that the turn does not hold."""


class StepLimitError(ValueError):
    """The code did more work than a scenario may."""


@dataclass(frozen=True, slots=True)
class CodeOutcome:
    """What came of one run. `variables` are the old ones unless it was a success."""

    result: FlowResult
    variables: Mapping[str, Any] = field(default_factory=dict)
    missing: str | None = None
    """The variable without a value that the code needed."""
    detail: str = ""


class ScenarioCode:
    """One compiled piece of scenario code. Immutable; runs are independent of each other."""

    def __init__(self, source: str, place: str) -> None:
        """Compile.

        Args:
            source: the code.
            place: where it stands in the map; part of every message.

        Raises:
            CodeRejected: it is no Python, or uses what scenarios must not.
        """
        self.place = place
        tree = _parse(source, place)
        self.entity_keys = frozenset(_entity_keys(tree))
        self.loop_names = frozenset(_loop_names(tree))
        self.assigned = frozenset(_names(tree, ast.Store)) - self.loop_names
        self.read = frozenset(_names(tree, ast.Load)) - RESERVED_NAMES - self.loop_names
        compiled = compile_restricted_exec(tree, filename=place, policy=ScenarioPolicy)
        if compiled.errors or compiled.code is None:
            raise CodeRejected(place, tuple(_tidy(error) for error in compiled.errors))
        self._code = compiled.code
        problems = tuple(dict.fromkeys(constant_faults(_parse(source, place), _result_of)))
        if problems:
            raise CodeRejected(place, problems)

    def run(self, variables: Mapping[str, Any], entities: Mapping[str, Any], known: Iterable[str]) -> CodeOutcome:
        """Run on a copy of the variables. Never raises for what the code does.

        Args:
            variables: the session's values; not changed.
            entities: what the turn holds, readable as `entities["name"]`.
            known: names of variables that exist in the scenario; a known one without a value is `MISSING_ENTITY`.
        """
        names = {n: value for n, value in variables.items() if n not in RESERVED_NAMES and not n.startswith("_")}
        scope = {**names, ENTITIES: MappingProxyType(dict(entities))}
        try:
            exec(self._code, _guards(), scope)
            made = {name: bounded(scope[name]) for name in self.assigned if name in scope}
            require_room(made.values(), MADE_LIMIT)
        except NameError as error:
            missing = error.name if error.name in set(known) else None
            result = FlowResult.MISSING_ENTITY if missing else FlowResult.EXECUTION_ERROR
            return CodeOutcome(result, variables, missing, self._detail(error, f"'{error.name}' has no value"))
        except MissingEntityError as error:
            detail = self._detail(error, f"the turn holds no entity '{error.args[0]}'")
            return CodeOutcome(FlowResult.MISSING_ENTITY, variables, detail=detail)
        except (ArithmeticError, TypeError, ValueError, LookupError) as error:
            return CodeOutcome(FlowResult.EXECUTION_ERROR, variables, detail=self._detail(error, str(error)))
        return CodeOutcome(FlowResult.SUCCESS, {**variables, **made})

    def _detail(self, error: BaseException, reason: str) -> str:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f", line {frame.lineno}" for frame in frames if frame.filename == self.place), "")
        return f"{self.place}{line}: {reason}"


def _parse(source: str, place: str) -> ast.Module:
    if len(source) > SOURCE_LIMIT:
        raise CodeRejected(place, (f"the code is longer than {SOURCE_LIMIT} characters",))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = ast.parse(source, place)
    except SyntaxError as error:
        raise CodeRejected(place, (f"line {error.lineno}: {error.msg}",)) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise CodeRejected(place, (f"the code cannot be read: {error or type(error).__name__}",)) from error
    if _depth(tree) > DEPTH_LIMIT:
        raise CodeRejected(place, (f"the code is nested deeper than {DEPTH_LIMIT} levels",))
    return tree


def _depth(tree: ast.AST) -> int:
    deepest = 0
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting.extend((child, depth + 1) for child in ast.iter_child_nodes(node))
    return deepest


def _names(tree: ast.AST, context: type[ast.expr_context]) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, context):
            yield node.id
        elif context is ast.Load and isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _loop_names(tree: ast.AST) -> Iterable[str]:
    return (n.target.id for n in ast.walk(tree) if isinstance(n, ast.For) and isinstance(n.target, ast.Name))


def _entity_keys(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == ENTITIES:
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                yield node.slice.value
        elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
            names = [c.id for c in node.comparators if isinstance(c, ast.Name)]
            if ENTITIES in names and isinstance(node.left.value, str):
                yield node.left.value


def _tidy(error: str) -> str:
    return error.replace("Line ", "line ", 1)


def _result_of(node: ast.expr) -> Any:
    """The value of an expression of constants.

    Raises:
        ArithmeticError, TypeError, ValueError, LookupError: it has none.
    """
    statement = ast.copy_location(ast.Assign([ast.Name("kept", ast.Store())], node), node)
    module = ast.fix_missing_locations(ast.Module([statement], []))
    code = compile_restricted_exec(module, filename="constant", policy=ScenarioPolicy).code
    scope: dict[str, Any] = {}
    if code is not None:
        exec(code, _guards(), scope)
    return bounded(scope.get("kept"))


class _Meter:
    """Counts the work of one run."""

    def __init__(self) -> None:
        self._left = STEP_LIMIT

    def step(self, amount: int = 1) -> None:
        self._left -= amount
        if self._left < 0:
            raise StepLimitError(f"the code does too much work (over {STEP_LIMIT} steps)")

    def values(self, values: Iterable[Any]) -> None:
        self.step(sum(len(value) if isinstance(value, list) else 1 for value in values))


def _guards() -> dict[str, Any]:
    meter = _Meter()

    def operate(symbol: str, left: Any, right: Any) -> Any:
        meter.values((left, right))
        return apply_operation(symbol, left, right)

    def call(name: str, *arguments: Any) -> Any:
        meter.values(arguments)
        return bounded(_FUNCTIONS[name](*(bounded(argument) for argument in arguments)))

    return {
        "__builtins__": {},
        "_operate_": operate,
        "_call_": call,
        "_step_": meter.step,
        "_sequence_": _sequence,
        "_getitem_": _item,
        "_getiter_": _iterate,
        "_text_": _text,
        "_join_": _join,
    }


def _sequence(items: Iterable[Any]) -> list[Any]:
    return bounded_list(list(items))


def _item(container: Any, key: Any) -> Any:
    if isinstance(container, Mapping):
        if key not in container:
            raise MissingEntityError(key)
        return bounded(container[key])
    if not isinstance(container, list | str):
        raise TypeError(f"a value of type {type(container).__name__} has no items")
    return container[key]


def _iterate(items: Any) -> list[Any]:
    if not isinstance(items, list):
        raise TypeError(f"a loop needs range(…) or a list, not {type(items).__name__}")
    return items


def _scalar_text(value: Any) -> str:
    if isinstance(value, list):
        raise TypeError("a list cannot be turned into text")
    return str(value)


def _text(value: Any, template: str) -> str:
    return format(value, template) if template else _scalar_text(value)


def _join(*pieces: str) -> str:
    if sum(map(len, pieces)) > TEXT_LIMIT:
        raise ValueError(f"a text is too long (at most {TEXT_LIMIT} characters)")
    return "".join(pieces)


def _range(*bounds: int) -> list[int]:
    numbers = range(*bounds)
    if len(numbers) > ITEMS_LIMIT:
        raise ValueError(f"range is too long (at most {ITEMS_LIMIT})")
    return list(numbers)


def _sum(items: list[int | float]) -> int | float:
    return sum(items)


def _int(value: Any = 0) -> int:
    return int(value)


_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "abs": abs,
        "bool": bool,
        "float": float,
        "int": _int,
        "len": len,
        "max": max,
        "min": min,
        "range": _range,
        "round": round_number,
        "round_to": round_to,
        "sorted": sorted,
        "str": _scalar_text,
        "sum": _sum,
    }
)
