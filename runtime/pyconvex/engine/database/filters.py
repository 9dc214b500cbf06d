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
    """A part of a filter.

    Args:
        evaluate: gives its value for one document.
        operator: what it is made with, such as `eq`.
        operands: what it is made of.
    """

    __slots__ = ("_operands", "_operator", "evaluate")

    def __init__(self, evaluate: Evaluate, operator: str, *operands: Expression | Value | Undefined) -> None:
        self.evaluate = evaluate
        self._operator = operator
        self._operands = operands

    def shape(self) -> tuple[object, ...]:
        """Texts, bytes and tuples of these: equal for expressions that say the same."""
        operands = [each.shape() if isinstance(each, Expression) else _key(each) for each in self._operands]
        return (self._operator, *operands)

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
        if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # user code need not be checked
            raise TypeError(f"q.field() takes the path of a field as text, not {type(path).__name__}")
        names = path.split(".")
        if len(names) == 1:
            return Expression(lambda row: row.get(path, undefined), "field", path)
        return Expression(lambda row: _at(row, names), "field", path)

    def eq(self, left: Any, right: Any, /) -> Expression:
        return _comparison("eq", left, right, lambda a, b: a == b)

    def neq(self, left: Any, right: Any, /) -> Expression:
        return _comparison("neq", left, right, lambda a, b: a != b)

    def lt(self, left: Any, right: Any, /) -> Expression:
        return _comparison("lt", left, right, lt)

    def lte(self, left: Any, right: Any, /) -> Expression:
        return _comparison("lte", left, right, le)

    def gt(self, left: Any, right: Any, /) -> Expression:
        return _comparison("gt", left, right, gt)

    def gte(self, left: Any, right: Any, /) -> Expression:
        return _comparison("gte", left, right, ge)

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
        operand = _operand(value)
        return Expression(lambda row: _negative(operand.evaluate(row)), "neg", operand)

    def and_(self, *conditions: Any) -> Expression:
        operands = [_operand(condition) for condition in conditions]
        return Expression(
            lambda row: all(_truth("and_", operand.evaluate(row)) for operand in operands), "and", *operands
        )

    def or_(self, *conditions: Any) -> Expression:
        operands = [_operand(condition) for condition in conditions]
        return Expression(
            lambda row: any(_truth("or_", operand.evaluate(row)) for operand in operands), "or", *operands
        )

    def not_(self, condition: Any, /) -> Expression:
        operand = _operand(condition)
        return Expression(lambda row: not _truth("not_", operand.evaluate(row)), "not", operand)


def condition_of(predicate: Callable[[Any], Any]) -> Expression:
    """The test that `filter(predicate)` puts every document to: true or false.

    Evaluating it raises `DeveloperError` where a document gives something else.
    """
    tested = _operand(predicate(FilterBuilder()))
    return Expression(lambda row: _truth("filter", tested.evaluate(row)), "filter", tested)


def _operand(given: Any) -> Expression:
    if isinstance(given, Expression):
        return given
    value = undefined if given is undefined else convert(given)
    return Expression(lambda row: value, "value", value)


def _key(value: Value | Undefined) -> bytes:
    return encode_key((value,))


def _comparison(operator: str, left: Any, right: Any, holds: Callable[[bytes, bytes], bool]) -> Expression:
    """Values compare as their index keys do; the key of a constant is made once."""
    first, second = _operand(left), _operand(right)
    if isinstance(right, Expression):
        return Expression(
            lambda row: holds(_key(first.evaluate(row)), _key(second.evaluate(row))), operator, first, second
        )
    fixed = _key(second.evaluate({}))
    return Expression(lambda row: holds(_key(first.evaluate(row)), fixed), operator, first, second)


def _arithmetic(verb: str, left: Any, right: Any, calculate: Callable[[Any, Any], Any]) -> Expression:
    first, second = _operand(left), _operand(right)

    def evaluate(row: Row) -> Any:
        a, b = first.evaluate(row), second.evaluate(row)
        kinds = _type_name(a), _type_name(b)
        if kinds not in (("int64", "int64"), ("float64", "float64")):
            raise _invalid(f"Cannot {verb} a {kinds[0]} and a {kinds[1]}")
        try:
            return calculate(_as_stored(a), _as_stored(b))
        except ZeroDivisionError:
            raise _invalid(f"Cannot {verb} {a} and {b}: division by zero") from None
        except OverflowError as error:
            raise _invalid(f"Cannot {verb} {a} and {b}: {error}") from None

    return Expression(evaluate, verb, first, second)


def _as_stored(number: Any) -> Any:
    """A plain int is a float64, and is rounded as one."""
    return number if isinstance(number, Int64) else float(number)


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


def _negative(value: Any) -> Any:
    if _type_name(value) not in ("int64", "float64"):
        raise _invalid(f"Cannot negate a {_type_name(value)}")
    try:
        return -_as_stored(value)
    except OverflowError as error:
        raise _invalid(f"Cannot negate {value}: {error}") from None


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
