"""Convex values: how any Python object becomes one, and the error that carries one to the client."""

from collections.abc import Mapping
from typing import cast

from . import wire
from .display import display, display_object
from .int64 import INT64_MAX, INT64_MIN, Int64
from .kinds import (
    ARRAY_ELEMENTS_MAX,
    EXACT_INT_MAX,
    OBJECT_FIELDS_MAX,
    TOO_NESTED,
    VALUE_DEPTH_MAX,
    InvalidValue,
    Undefined,
    Value,
    undefined,
)
from .names import legal_keys
from .refusal import Refusal

__all__ = ["ConvexError", "Int64", "InvalidValue", "Undefined", "Value", "convert", "undefined"]

_AS_THEY_ARE = frozenset({bool, Int64, bytes, type(None)})

_HINTS = {
    "datetime": "store milliseconds since 1970: `when.timestamp() * 1000`",
    "date": "store a text: `day.isoformat()`",
    "timedelta": "store a number: `delta.total_seconds()`",
    "Decimal": "store a text, or a float",
    "UUID": "store a text: `str(uuid)`",
    "set": "make it a list: `sorted(items)`",
    "frozenset": "make it a list: `sorted(items)`",
    "coroutine": "an `await` is missing",
    "Query": "fetch its results with `.collect()`, `.take(n)`, `.first()` or `.unique()`",
}


class ConvexError(Exception):
    """An error of the application that reaches the client with its data.

    Args:
        data: any Convex value; `undefined` counts as `None`.

    Raises:
        InvalidValue: `data` is no Convex value.

    https://docs.convex.dev/functions/error-handling/application-errors
    """

    def __init__(self, data: object) -> None:
        self.data: Value = None if data is undefined else convert(data)
        super().__init__(self.data)

    def __str__(self) -> str:
        return self.data if isinstance(self.data, str) else wire.dump(self.data).decode()


def convert(value: object, *, max_depth: int = VALUE_DEPTH_MAX) -> Value:
    """Any Python object as a Convex value of its own: nothing that can change is shared with the original.

    Tuples become lists, mappings `dict`, `bytearray` and `memoryview` `bytes`; subclasses of `str`, `int` and `float`
    (enums, for example) the plain type. Entries of a mapping that are `undefined` are left out.

    Args:
        max_depth: how many arrays and objects may be nested in each other.

    Raises:
        InvalidValue: something has no place in Convex; the message names it and its path.
    """
    try:
        return _convert(value, max_depth)
    except Refusal as refusal:
        raise refusal.of(value) from None


def _convert(value: object, depth: int) -> Value:
    kind = type(value)
    if kind is str:
        return _checked_text(cast(str, value))
    if kind is dict:
        return _convert_object(cast("dict[object, object]", value), depth)
    if kind is list or kind is tuple:
        return _convert_array(cast("list[object]", value), depth)
    if kind is float or kind in _AS_THEY_ARE:
        return cast(Value, value)
    if kind is int:
        return _checked_int(cast(int, value))
    return _convert_relative(value, depth)


def _convert_object(value: Mapping[object, object], depth: int) -> Value:
    if depth == 0:
        raise Refusal(TOO_NESTED)
    fields: dict[str, Value] = {}
    for key, item in value.items():
        name = key if type(key) is str and key in legal_keys else _checked_key(key)
        # ASCII texts and floats are most of what documents hold; a call less for each of them.
        if (type(item) is str and item.isascii()) or type(item) is float:
            fields[name] = item
        elif item is not undefined:
            try:
                fields[name] = _convert(item, depth - 1)
            except Refusal as refusal:
                raise refusal.inside(name) from None
    if len(fields) > OBJECT_FIELDS_MAX:
        raise Refusal(f"Object has too many fields ({len(fields)} > maximum number {OBJECT_FIELDS_MAX})")
    return fields


def _convert_array(value: list[object] | tuple[object, ...], depth: int) -> Value:
    if depth == 0:
        raise Refusal(TOO_NESTED)
    if len(value) > ARRAY_ELEMENTS_MAX:
        raise Refusal(f"Array length is too long ({len(value)} > maximum length {ARRAY_ELEMENTS_MAX})")
    elements: list[Value] = []
    for element in value:
        if type(element) is float:
            elements.append(element)
            continue
        try:
            elements.append(_convert(element, depth - 1))
        except Refusal as refusal:
            raise refusal.inside(len(elements)) from None
    return elements


def _convert_relative(value: object, depth: int) -> Value:
    """Subclasses and look-alikes of the types that `_convert` knows."""
    match value:
        case Int64():
            return Int64(value)
        case int():
            return _checked_int(int(value))
        case float():
            return float(value)
        case str():
            return _checked_text(str.__str__(value))
        case bytes() | bytearray() | memoryview():
            return bytes(cast(bytes, value))
        case Mapping():
            return _convert_object(cast("Mapping[object, object]", value), depth)
        case list() | tuple():
            return _convert_array(cast("list[object]", value), depth)
        case Undefined():
            raise Refusal("undefined is not a valid Convex value")
        case _:
            raise Refusal(
                f"{display_object(value)} is not a supported Convex type", hint=_HINTS.get(type(value).__name__)
            )


def _checked_key(key: object) -> str:
    problem = legal_keys.check(key)
    if problem is not None:
        raise Refusal(problem)
    return str.__str__(cast(str, key))


def _checked_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refusal(f"{text!r} has a lone surrogate, which is no Unicode character") from None
    return text


def _checked_int(number: int) -> int:
    if -EXACT_INT_MAX <= number <= EXACT_INT_MAX:
        return number
    if INT64_MIN <= number <= INT64_MAX:
        hint = f"write `Int64({number})` and `v.int64()` for whole numbers of 64 bits"
    else:
        hint = "store it as a text"
    raise Refusal(f"{display(number)} is beyond ±2**53 and cannot be a float64 without loss", hint=hint)
