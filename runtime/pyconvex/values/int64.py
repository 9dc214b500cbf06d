"""Convex's 64-bit integer, told apart from Python's plain `int`, which is a float64 in Convex."""

from typing import SupportsIndex

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1


class Int64(int):
    """An int64 of Convex (https://docs.convex.dev/database/types), JavaScript's `bigint`.

    Behaves like `int`. Arithmetic with `int` gives an `Int64`; arithmetic with `float`, and `/`, give a `float`.

    Raises:
        OverflowError: a value or a result lies outside -2**63 … 2**63-1.
        ValueError: made from a text that is no integer, or from a float with a fraction.
    """

    __slots__ = ()

    def __new__(cls, value: int | str | float = 0) -> "Int64":
        number = int(value)
        if isinstance(value, float) and not value.is_integer():
            raise ValueError(f"{value!r} is not a whole number")
        if not INT64_MIN <= number <= INT64_MAX:
            raise OverflowError(f"{number} does not fit into a 64-bit signed integer")
        return int.__new__(cls, number)

    def __repr__(self) -> str:
        return f"Int64({int.__repr__(self)})"

    def __str__(self) -> str:
        return int.__repr__(self)

    def __add__(self, other: int, /) -> "Int64":
        return _int64(int.__add__(self, other))

    def __radd__(self, other: int, /) -> "Int64":
        return _int64(int.__radd__(self, other))

    def __sub__(self, other: int, /) -> "Int64":
        return _int64(int.__sub__(self, other))

    def __rsub__(self, other: int, /) -> "Int64":
        return _int64(int.__rsub__(self, other))

    def __mul__(self, other: int, /) -> "Int64":
        return _int64(int.__mul__(self, other))

    def __rmul__(self, other: int, /) -> "Int64":
        return _int64(int.__rmul__(self, other))

    def __floordiv__(self, other: int, /) -> "Int64":
        return _int64(int.__floordiv__(self, other))

    def __rfloordiv__(self, other: int, /) -> "Int64":
        return _int64(int.__rfloordiv__(self, other))

    def __mod__(self, other: int, /) -> "Int64":
        return _int64(int.__mod__(self, other))

    def __rmod__(self, other: int, /) -> "Int64":
        return _int64(int.__rmod__(self, other))

    def __divmod__(self, other: int, /) -> "tuple[Int64, Int64]":
        return _pair(int.__divmod__(self, other))

    def __rdivmod__(self, other: int, /) -> "tuple[Int64, Int64]":
        return _pair(int.__rdivmod__(self, other))

    def __and__(self, other: int, /) -> "Int64":
        return _int64(int.__and__(self, other))

    def __rand__(self, other: int, /) -> "Int64":
        return _int64(int.__rand__(self, other))

    def __or__(self, other: int, /) -> "Int64":
        return _int64(int.__or__(self, other))

    def __ror__(self, other: int, /) -> "Int64":
        return _int64(int.__ror__(self, other))

    def __xor__(self, other: int, /) -> "Int64":
        return _int64(int.__xor__(self, other))

    def __rxor__(self, other: int, /) -> "Int64":
        return _int64(int.__rxor__(self, other))

    def __lshift__(self, other: int, /) -> "Int64":
        return _int64(int.__lshift__(self, other))

    def __rlshift__(self, other: int, /) -> "Int64":
        return _int64(int.__rlshift__(self, other))

    def __rshift__(self, other: int, /) -> "Int64":
        return _int64(int.__rshift__(self, other))

    def __rrshift__(self, other: int, /) -> "Int64":
        return _int64(int.__rrshift__(self, other))

    def __pow__(self, other: int, modulus: int | None = None, /) -> "Int64":  # type: ignore[override]  # int's overloads say Any
        return _int64(int.__pow__(self, other, modulus))

    def __rpow__(self, other: int, modulus: int | None = None, /) -> "Int64":  # type: ignore[override]  # as above
        return _int64(int.__rpow__(self, other, modulus))

    def __neg__(self) -> "Int64":
        return Int64(int.__neg__(self))

    def __pos__(self) -> "Int64":
        return self

    def __abs__(self) -> "Int64":
        return Int64(int.__abs__(self))

    def __invert__(self) -> "Int64":
        return Int64(int.__invert__(self))

    def __round__(self, digits: SupportsIndex = 0, /) -> "Int64":
        return Int64(int.__round__(self, digits))


def _int64(result: int) -> Int64:
    """`result` as an Int64; NotImplemented and the floats of negative powers pass through."""
    return Int64(result) if type(result) is int else result  # type: ignore[return-value]  # what int answered stays as it is


def _pair(result: tuple[int, int]) -> tuple[Int64, Int64]:
    """Both of `result` as Int64; NotImplemented passes through."""
    if type(result) is not tuple:
        return result  # type: ignore[return-value]  # as above
    return Int64(result[0]), Int64(result[1])
