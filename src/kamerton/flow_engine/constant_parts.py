"""Faults that a piece of code tells of itself (`10 ** 10 ** 10`, `1 / 0`): they would fail in every call.

Only parts made of constants are worked out, by the bounded operations that a call would use.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any

_COMPUTING = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.JoinedStr, ast.Subscript, ast.List, ast.Tuple)


def constant_faults(tree: ast.Module, result_of: Callable[[ast.expr], Any]) -> Iterator[str]:
    """Each innermost part that cannot be worked out, with its line.

    Args:
        tree: code that is allowed; not changed.
        result_of: works a part out; raises what the part would raise in a call.
    """
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        fault = _fault(node, result_of)
        parts = list(ast.iter_child_nodes(node))
        if fault and not any(_fault(part, result_of) for part in parts):
            yield fault
        elif fault or not _is_constant(node):
            waiting.extend(parts)


def _fault(node: ast.AST, result_of: Callable[[ast.expr], Any]) -> str:
    if not isinstance(node, ast.expr) or not _is_constant(node):
        return ""
    try:
        result_of(copy.deepcopy(node))
    except (ArithmeticError, TypeError, ValueError, LookupError) as error:
        return f"line {node.lineno}: {error}"
    return ""


def _is_constant(node: ast.AST) -> bool:
    """Whether something is computed, and from constants alone; names may only be those of functions."""
    called = {id(part.func) for part in ast.walk(node) if isinstance(part, ast.Call)}
    named = any(isinstance(part, ast.Name) and id(part) not in called for part in ast.walk(node))
    return isinstance(node, _COMPUTING) and not named
