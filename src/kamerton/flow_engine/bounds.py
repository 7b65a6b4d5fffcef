"""Arithmetic with bounded results, shared by scenario code and templates.

No operation here can take long or make a large value: numbers, texts and lists have a greatest size, and text can
only be joined, never multiplied or %-formatted.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Any

NUMBER_LIMIT = 10**15
"""Greatest magnitude of a number: above any price, and exact as a float."""
TEXT_LIMIT = 2_000
"""Longest text in characters: about two minutes of speech."""
ITEMS_LIMIT = 1_000
"""Longest list."""
LIST_TEXT_LIMIT = 20_000
"""Characters of all texts in one list."""
EXPONENT_LIMIT = 64

Number = int | float


def is_number(value: object) -> bool:
    """True for int and float, not for bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def bounded(value: Any) -> Any:
    """Return the value if scenario code may hold it.

    Raises:
        ValueError: it is too large, or no finite number.
        TypeError: it is of a kind that scenarios do not know.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > NUMBER_LIMIT:
            raise ValueError(f"a number is out of bounds (at most {NUMBER_LIMIT})")
        return value
    if isinstance(value, str):
        if len(value) > TEXT_LIMIT:
            raise ValueError(f"a text is too long (at most {TEXT_LIMIT} characters)")
        return value
    if isinstance(value, list | tuple):
        return bounded_list(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be kept")


def bounded_list(items: list[Any] | tuple[Any, ...]) -> list[Any]:
    """A flat list of bounded scalars.

    Raises:
        ValueError: it is too long.
        TypeError: it holds something that is no scalar.
    """
    if len(items) > ITEMS_LIMIT:
        raise ValueError(f"a list is too long (at most {ITEMS_LIMIT} items)")
    for item in items:
        if isinstance(item, list | tuple):
            raise TypeError("lists within lists are not allowed")
        bounded(item)
    require_room(items, LIST_TEXT_LIMIT)
    return list(items)


def require_room(values: Iterable[Any], limit: int) -> None:
    """See that texts, also those in lists, are not longer than `limit` characters together.

    Raises:
        ValueError: they are.
    """
    if _characters(values) > limit:
        raise ValueError(f"the texts are too long together (at most {limit} characters)")


def _characters(values: Iterable[Any]) -> int:
    return sum(
        len(value) if isinstance(value, str) else _characters(value)
        for value in values
        if isinstance(value, str | list)
    )


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    return _numeric(operator.add, "+")(left, right)


def _power(left: Any, right: Any) -> Any:
    if abs(right) > EXPONENT_LIMIT:
        raise ValueError(f"an exponent is out of bounds (at most {EXPONENT_LIMIT})")
    return left**right


def _numeric(operation: Callable[[Any, Any], Any], symbol: str) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise TypeError(f"'{symbol}' cannot be used on {type(left).__name__} and {type(right).__name__}")
        return operation(left, right)

    return apply


OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "+": _add,
        "-": _numeric(operator.sub, "-"),
        "*": _numeric(operator.mul, "*"),
        "/": _numeric(operator.truediv, "/"),
        "//": _numeric(operator.floordiv, "//"),
        "%": _numeric(operator.mod, "%"),
        "**": _numeric(_power, "**"),
    }
)


def apply_operation(symbol: str, left: Any, right: Any) -> Any:
    """The bounded result of `left symbol right`.

    Raises:
        TypeError: the operation does not exist for these kinds of values.
        ValueError: operands or result are out of bounds.
        ArithmeticError: division by zero and the like.
    """
    return bounded(OPERATIONS[symbol](bounded(left), bounded(right)))


def round_to(value: Number, step: Number) -> Number:
    """Round to the nearest multiple of `step`, halves away from zero; an int when the step is one.

    Binary dust below 1e-9 is dropped first, so that 15849.9999999999 counts as 15850.

    Raises:
        TypeError: not numbers.
        ValueError: the step is not above zero, or the value is out of bounds.
    """
    if not (is_number(value) and is_number(step)):
        raise TypeError("round_to takes two numbers")
    if bounded(step) <= 0:
        raise ValueError("round_to needs a step above zero")
    unit = Decimal(repr(step))
    count = (Decimal(repr(round(bounded(value), 9))) / unit).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    result = count * unit
    return int(result) if isinstance(step, int) else float(result)


def round_number(value: Number, digits: int = 0) -> Number:
    """Round to `digits` decimals (-15 to 15), halves away from zero; an int when there are none.

    Raises:
        TypeError: not a number, or the digits are no int.
        ValueError: too many digits.
    """
    if not isinstance(digits, int) or isinstance(digits, bool):
        raise TypeError("round takes a whole number of digits")
    if abs(digits) > 15:
        raise ValueError("round takes -15 to 15 digits")
    return round_to(value, 10**-digits if digits <= 0 else float(f"1e-{digits}"))
