"""The `q` of `filter`: expressions over a document, evaluated row by row.

Comparisons follow the order of all values; arithmetic takes two int64 or two float64.
https://docs.convex.dev/database/reading-data/filters
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import Any, TypeAlias, cast

from pyconvex.errors import DeveloperError
from pyconvex.values.int64 import Int64
from pyconvex.values.keys import encode_key
from pyconvex.values.value import Undefined, Value, convert, undefined

Row: TypeAlias = Mapping[str, Value]
Evaluate: TypeAlias = Callable[[Row], Any]


class Expression:
    """A part of a filter. `evaluate` gives its value for one document."""

    __slots__ = ("evaluate",)

    def __init__(self, evaluate: Evaluate) -> None:
        self.evaluate = evaluate

    def __bool__(self) -> bool:
        raise DeveloperError(
            "FilterIsNoCondition",
            "An expression of a filter has no truth value of its own.",
            hint="Join conditions with `q.and_(...)`, `q.or_(...)` and `q.not_(...)`, not with `and`, `or`, `not`.",
        )


class FilterBuilder:
    """Operands are expressions, or values of Convex; `undefined` is one."""

    __slots__ = ()

    def field(self, path: str, /) -> Expression:
        """The field at `path` (`"address.city"`), undefined where there is none."""
        names = path.split(".")
        if len(names) == 1:
            return Expression(lambda row: row.get(path, undefined))
        return Expression(lambda row: _at(row, names))

    def eq(self, left: Any, right: Any, /) -> Expression:
        return _comparison(left, right, lambda a, b: a == b)

    def neq(self, left: Any, right: Any, /) -> Expression:
        return _comparison(left, right, lambda a, b: a != b)

    def lt(self, left: Any, right: Any, /) -> Expression:
        return _comparison(left, right, lt)

    def lte(self, left: Any, right: Any, /) -> Expression:
        return _comparison(left, right, le)

    def gt(self, left: Any, right: Any, /) -> Expression:
        return _comparison(left, right, gt)

    def gte(self, left: Any, right: Any, /) -> Expression:
        return _comparison(left, right, ge)

    def add(self, left: Any, right: Any, /) -> Expression:
        return _arithmetic("add", left, right, lambda a, b: a + b)

    def sub(self, left: Any, right: Any, /) -> Expression:
        return _arithmetic("subtract", left, right, lambda a, b: a - b)

    def mul(self, left: Any, right: Any, /) -> Expression:
        return _arithmetic("multiply", left, right, lambda a, b: a * b)

    def div(self, left: Any, right: Any, /) -> Expression:
        return _arithmetic("divide", left, right, _divide)

    def mod(self, left: Any, right: Any, /) -> Expression:
        return _arithmetic("take the remainder of", left, right, _remainder)

    def neg(self, value: Any, /) -> Expression:
        operand = _evaluation(value)
        return Expression(lambda row: -_number("negate", operand(row)))

    def and_(self, *conditions: Any) -> Expression:
        operands = [_evaluation(condition) for condition in conditions]
        return Expression(lambda row: all(_truth("and_", operand(row)) for operand in operands))

    def or_(self, *conditions: Any) -> Expression:
        operands = [_evaluation(condition) for condition in conditions]
        return Expression(lambda row: any(_truth("or_", operand(row)) for operand in operands))

    def not_(self, condition: Any, /) -> Expression:
        operand = _evaluation(condition)
        return Expression(lambda row: not _truth("not_", operand(row)))


def condition_of(predicate: Callable[[Any], Any]) -> Callable[[Row], bool]:
    """The test that `filter(predicate)` puts every document to.

    Raises `DeveloperError` when a document gives something else than true or false.
    """
    evaluate = _evaluation(predicate(FilterBuilder()))
    return lambda row: _truth("filter", evaluate(row))


def _evaluation(operand: Any) -> Evaluate:
    if isinstance(operand, Expression):
        return operand.evaluate
    value = undefined if operand is undefined else convert(operand)
    return lambda row: value


def _key(value: Value | Undefined) -> bytes:
    return encode_key((value,))


def _comparison(left: Any, right: Any, holds: Callable[[bytes, bytes], bool]) -> Expression:
    """Values compare as their index keys do; the key of a constant is made once."""
    if isinstance(left, Expression) and not isinstance(right, Expression):
        evaluate, fixed = left.evaluate, _key(undefined if right is undefined else convert(right))
        return Expression(lambda row: holds(_key(evaluate(row)), fixed))
    first, second = _evaluation(left), _evaluation(right)
    return Expression(lambda row: holds(_key(first(row)), _key(second(row))))


def _arithmetic(verb: str, left: Any, right: Any, calculate: Callable[[Any, Any], Any]) -> Expression:
    first, second = _evaluation(left), _evaluation(right)

    def evaluate(row: Row) -> Any:
        a, b = first(row), second(row)
        kinds = _type_name(a), _type_name(b)
        if kinds not in (("int64", "int64"), ("float64", "float64")):
            raise _invalid(f"Cannot {verb} a {kinds[0]} and a {kinds[1]}")
        try:
            return calculate(a, b)
        except (OverflowError, ZeroDivisionError) as error:
            raise _invalid(f"Cannot {verb} {a} and {b}: {error}") from None

    return Expression(evaluate)


def _divide(a: Any, b: Any) -> Any:
    """As JavaScript divides: int64 towards zero, float64 by zero gives an infinity or NaN."""
    if isinstance(a, Int64):
        quotient = abs(int(a)) // abs(int(b))
        return Int64(quotient if (a < 0) == (b < 0) else -quotient)
    if b != 0:
        return a / b
    return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _remainder(a: Any, b: Any) -> Any:
    """As JavaScript's `%`: the sign is that of `a`."""
    if isinstance(a, Int64):
        remainder = abs(int(a)) % abs(int(b))
        return Int64(-remainder if a < 0 else remainder)
    return math.fmod(a, b) if b != 0 and not math.isinf(a) else math.nan


def _number(verb: str, value: Any) -> Any:
    if _type_name(value) not in ("int64", "float64"):
        raise _invalid(f"Cannot {verb} a {_type_name(value)}")
    return value if isinstance(value, Int64) else float(value)


def _truth(operator: str, value: Any) -> bool:
    if value is True or value is False:
        return value
    raise _invalid(f"`{operator}` takes conditions that are true or false, but one was a {_type_name(value)}")


_TYPE_NAMES: Mapping[type, str] = {
    Undefined: "undefined",
    type(None): "null",
    Int64: "int64",
    int: "float64",
    float: "float64",
    bool: "boolean",
    str: "string",
    bytes: "bytes",
    list: "array",
    dict: "object",
}


def _type_name(value: object) -> str:
    return _TYPE_NAMES[type(value)]


def _at(row: Row, names: list[str]) -> Value | Undefined:
    value: Any = row
    for name in names:
        if not isinstance(value, dict):
            return undefined
        value = cast("dict[str, Any]", value).get(name, undefined)
    return value


def _invalid(message: str) -> DeveloperError:
    return DeveloperError("InvalidFilter", message)
