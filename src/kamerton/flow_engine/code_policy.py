"""Which Python scenario code may use, and how it is rewritten so that every operation is bounded.

Two layers: our allow-list of syntax refuses everything that is not named here, and RestrictedPython's own
transformer (on which the class is built) checks names and guards subscripts and iteration once more.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable
from typing import Any

from RestrictedPython.transformer import RestrictingNodeTransformer

from kamerton.flow_engine.bounds import NUMBER_LIMIT, TEXT_LIMIT

FUNCTION_NAMES = frozenset(
    {"abs", "bool", "float", "int", "len", "max", "min", "range", "round", "round_to", "sorted", "str", "sum"}
)
ENTITIES = "entities"
RESERVED_NAMES = FUNCTION_NAMES | {ENTITIES}

_SYMBOLS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn)
_ALLOWED: tuple[type[ast.AST], ...] = (
    *(ast.Module, ast.Assign, ast.AugAssign, ast.If, ast.For, ast.Pass, ast.Break, ast.Continue),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Subscript),
    *(ast.Constant, ast.Name, ast.List, ast.Tuple, ast.JoinedStr, ast.FormattedValue),
    *(ast.And, ast.Or, ast.Not, ast.UAdd, ast.USub, ast.Load, ast.Store),
    *_COMPARISONS,
    *_SYMBOLS,
)
_NEVER = frozenset({"print", "printed"})
"""Names to which RestrictedPython would give a meaning of its own."""
_FORMAT = re.compile(r"[,_]?(\.\d)?[df]?")


class ScenarioPolicy(RestrictingNodeTransformer):
    """Refuses what is not allowed, with the line; rewrites the rest into guarded calls.

    One instance serves one compilation; `RestrictedPython.compile_restricted_exec` makes it.
    """

    def visit(self, node: ast.AST) -> Any:
        """Visit one node, if its kind is allowed at all."""
        if not isinstance(node, _ALLOWED):
            self.error(node, f"{_describe(node)} is not allowed in scenario code")
            return node
        return super().visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        """Turn `a + b` into a bounded operation."""
        if type(node.op) not in _SYMBOLS:
            self.error(node, f"the operator {type(node.op).__name__} is not allowed in scenario code")
            return node
        self.node_contents_visit(node)
        return _call("_operate_", [ast.Constant(_SYMBOLS[type(node.op)]), node.left, node.right], node)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        """Turn `a += b` into `a = a + b`."""
        if not isinstance(node.target, ast.Name):
            self.error(node, "only plain names can be assigned")
            return node
        current = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
        value = ast.copy_location(ast.BinOp(current, node.op, node.value), node)
        return self.visit(ast.copy_location(ast.Assign([node.target], value), node))

    def visit_Assign(self, node: ast.Assign) -> Any:
        """Allow plain names on the left only."""
        if not all(isinstance(target, ast.Name) for target in node.targets):
            self.error(node, "only plain names can be assigned")
            return node
        return super().visit_Assign(node)

    def visit_For(self, node: ast.For) -> Any:
        """Count every turn of a loop by the size of its body."""
        if not isinstance(node.target, ast.Name):
            self.error(node, "a loop needs one plain name")
            return node
        weight = sum(1 for _ in ast.walk(node))
        guarded: Any = super().visit_For(node)
        step = ast.copy_location(ast.Expr(_call("_step_", [ast.Constant(weight)], node)), node)
        guarded.body.insert(0, step)
        return guarded

    def visit_Call(self, node: ast.Call) -> Any:
        """Allow calls of the listed functions, with positional arguments."""
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTION_NAMES:
            name = node.func.id if isinstance(node.func, ast.Name) else "this"
            self.error(node, f"calling {name} is not allowed; functions are {', '.join(sorted(FUNCTION_NAMES))}")
            return node
        if node.keywords:
            self.error(node, f"{node.func.id} takes no keyword arguments here")
            return node
        arguments = [self.visit(argument) for argument in node.args]
        return _call("_call_", [ast.Constant(node.func.id), *arguments], node)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        """Allow `entities["name"]` and reading an item of a list or text."""
        if isinstance(node.value, ast.Name) and node.value.id == ENTITIES and isinstance(node.ctx, ast.Load):
            if not (isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)):
                self.error(node, 'write entities["name"] with a plain name in quotes')
                return node
            return _call("_getitem_", [node.value, node.slice], node)
        return super().visit_Subscript(node)

    def visit_Compare(self, node: ast.Compare) -> Any:
        """Allow comparisons; `"name" in entities` is one of them, `is` only with None, True and False."""
        operands = [self.visit(node.left)]
        for sign, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(sign, ast.Is | ast.IsNot) and not _is_singleton(right):
                self.error(node, "'is' works with None, True and False only; use '=='")
            if isinstance(sign, ast.In | ast.NotIn) and isinstance(right, ast.Name) and right.id == ENTITIES:
                operands.append(_call("_sequence_", [right], right))
            else:
                operands.append(self.visit(right))
        node.left, node.comparators = operands[0], operands[1:]
        return node

    def visit_List(self, node: ast.List) -> Any:
        """Turn a list into a bounded, flat one."""
        self.node_contents_visit(node)
        return _call("_sequence_", [node], node)

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        """Turn a tuple into a bounded list."""
        return self.visit_List(ast.copy_location(ast.List(node.elts, node.ctx), node))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        """Turn an f-string into bounded pieces joined by a bounded join."""
        return _call("_join_", [self.visit(piece) for piece in node.values], node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> Any:
        """Allow plain values and simple number formats such as `,.2f`."""
        template = _constant_format(node.format_spec)
        if node.conversion != -1 or template is None or not _FORMAT.fullmatch(template):
            self.error(node, "an f-string may use formats such as ',' and '.2f' only")
            return node
        return _call("_text_", [self.visit(node.value), ast.Constant(template)], node)

    def visit_Name(self, node: ast.Name) -> Any:
        """Keep names of functions, entities and guards out of reach."""
        if "__" in node.id or node.id in _NEVER:
            self.error(node, f"the name '{node.id}' is not allowed")
            return node
        if isinstance(node.ctx, ast.Store) and node.id in RESERVED_NAMES:
            self.error(node, f"the name '{node.id}' is taken and cannot be assigned")
        elif isinstance(node.ctx, ast.Load) and node.id in FUNCTION_NAMES:
            self.error(node, f"{node.id} is a function: write {node.id}(…)")
        elif isinstance(node.ctx, ast.Load) and node.id == ENTITIES:
            self.error(node, 'use entities["name"] or "name" in entities')
        return super().visit_Name(node)

    def visit_Constant(self, node: ast.Constant) -> Any:
        """Allow numbers, texts, True, False and None within bounds."""
        value = node.value
        if not (value is None or isinstance(value, bool | int | float | str)):
            self.error(node, f"a literal of type {type(value).__name__} is not allowed in scenario code")
        elif isinstance(value, str) and len(value) > TEXT_LIMIT:
            self.error(node, f"a text is longer than {TEXT_LIMIT} characters")
        elif isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= NUMBER_LIMIT):
            self.error(node, f"a number is greater than {NUMBER_LIMIT}")
        return node


def _call(guard: str, arguments: list[Any], place: ast.AST) -> ast.Call:
    call = ast.Call(func=ast.Name(guard, ast.Load()), args=arguments, keywords=[])
    ast.copy_location(call, place)
    return ast.fix_missing_locations(call)


def _is_singleton(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _constant_format(spec: ast.expr | None) -> str | None:
    if spec is None:
        return ""
    pieces: Iterable[ast.expr] = spec.values if isinstance(spec, ast.JoinedStr) else ()
    texts = [piece.value for piece in pieces if isinstance(piece, ast.Constant) and isinstance(piece.value, str)]
    return "".join(texts) if len(texts) == len(list(pieces)) else None


_NAMES_OF_SYNTAX = {
    "Import": "import",
    "ImportFrom": "import",
    "Attribute": "an attribute (a dot)",
    "While": "while",
    "FunctionDef": "def",
    "AsyncFunctionDef": "async def",
    "Lambda": "lambda",
    "ClassDef": "class",
    "Delete": "del",
    "NamedExpr": "':='",
    "Starred": "'*'",
    "Slice": "a slice",
    "Expr": "a statement without effect",
    "Dict": "a dict",
    "Set": "a set",
    "AnnAssign": "an annotation",
}


def _describe(node: ast.AST) -> str:
    kind = type(node).__name__
    if kind.endswith("Comp") or kind == "GeneratorExp":
        return "a comprehension"
    return _NAMES_OF_SYNTAX.get(kind, kind)
