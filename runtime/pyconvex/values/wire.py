"""Values as JSON: Convex's encoded form, the other forms of its HTTP API, and the form documents are stored in.

Int64, bytes and the floats that JSON lacks are written as `{"$integer": …}`, `{"$bytes": …}`
and `{"$float": …}`. Everywhere but in storage a plain `int` is written as the float64 it is: `3` as `3.0`.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from math import copysign
from struct import Struct
from typing import Any, Final, TypeAlias, cast

import msgspec

from .int64 import Int64
from .kinds import (
    ARRAY_ELEMENTS_MAX,
    EXACT_INT_MAX,
    OBJECT_FIELDS_MAX,
    TOO_NESTED,
    VALUE_DEPTH_MAX,
    InvalidValue,
    Value,
)
from .names import legal_keys
from .refusal import Refusal

_Leaf: TypeAlias = Callable[[Any], object]

_to_json: Final = msgspec.json.Encoder().encode
_from_json: Final = msgspec.json.Decoder().decode
_int64_bytes = Struct("<q")
_float_bytes = Struct("<d")


def encode(value: Value) -> bytes:
    """Convex's encoded JSON, which clients and servers speak (`convex_encoded_json`)."""
    return _to_json(_encoded(value))


def encodable(value: Value) -> object:
    """What `encode` turns into text, for JSON that holds more than the value."""
    return _encoded(value)


def encode_clean(value: Value) -> bytes:
    """The form `json` of the HTTP API: Int64 as decimal text, bytes as base64 text, NaN and Infinity as texts."""
    return _to_json(_clean(value))


def encode_export(value: Value) -> bytes:
    """The form of exports: Int64 as a bare integer, every float64 with a point or an exponent."""
    return _to_json(_exported(value))


def dump(value: Value) -> bytes:
    """The form documents are stored in: as `encode`, but `3` stays `3`, so that `load` gives back what was put in."""
    return _to_json(_stored(value))


def load(text: bytes | str) -> Value:
    """The inverse of `dump`; the text is trusted."""
    value: Value = _from_json(text)
    if ('"$' in text) if isinstance(text, str) else (b'"$' in text):
        return _restored(value)
    return value


def decode(text: bytes | str) -> Value:
    """A value from its encoded JSON.

    Of a key that is there twice the last one counts. A JSON integer stays an `int` up to 2**53 and is a `float` beyond.

    Raises:
        InvalidValue: no JSON, or no Convex value.
    """
    try:
        parsed: object = _from_json(text)
    except RecursionError:
        raise InvalidValue(TOO_NESTED) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidValue(f"not valid JSON: {error}") from None
    return decode_object(parsed)


def decode_object(parsed: object) -> Value:
    """A value from encoded JSON that was parsed already. Nothing is shared with `parsed`.

    Raises:
        InvalidValue: no Convex value; the message names what and its path.
    """
    try:
        return _decoded(parsed, VALUE_DEPTH_MAX)
    except Refusal as refusal:
        raise refusal.of(parsed) from None


def _form(leaves: Mapping[type, _Leaf]) -> Callable[[Value], object]:
    """The function that makes a value ready for JSON.

    `leaves` rewrites by type what JSON cannot carry; all else stays as it is, and so does every container without
    such leaves: most values are returned unchanged, the others are copied only where they differ.
    """

    def ready(value: object) -> object:
        if type(value) is dict:
            return ready_object(cast("dict[str, object]", value))
        if type(value) is list:
            return ready_array(cast("list[object]", value))
        leaf = leaves.get(type(value))
        if leaf is not None:
            return leaf(value)
        if value is None or isinstance(value, _PLAIN):
            return value
        raise InvalidValue(f"a value of type {type(value).__name__} cannot be written as JSON")

    def ready_object(fields: dict[str, object]) -> dict[str, object]:
        result = fields
        for key, item in fields.items():
            if type(item) is str or (type(item) is float and item and item - item == 0.0):
                continue
            written = ready(item)
            if written is not item:
                if result is fields:
                    result = fields.copy()
                result[key] = written
        return result

    def ready_array(elements: list[object]) -> list[object]:
        result = elements
        for position, item in enumerate(elements):
            if type(item) is str or (type(item) is float and item and item - item == 0.0):
                continue
            written = ready(item)
            if written is not item:
                if result is elements:
                    result = elements.copy()
                result[position] = written
        return result

    return ready


def _int64_leaf(number: int) -> object:
    return {"$integer": b64encode(_int64_bytes.pack(number)).decode()}


def _bytes_leaf(data: bytes) -> object:
    return {"$bytes": b64encode(data).decode()}


def _float_leaf(number: float) -> object:
    if number - number == 0.0 and (number or copysign(1.0, number) > 0.0):
        return number
    return {"$float": b64encode(_float_bytes.pack(number)).decode()}


def _exported_float_leaf(number: float) -> object:
    return number if number == 0.0 else _float_leaf(number)


def _clean_float_leaf(number: float) -> object:
    if number - number == 0.0:
        return number
    return "NaN" if number != number else ("Infinity" if number > 0 else "-Infinity")


_PLAIN = (str, bool, int)
_SPECIAL_LEAVES: Mapping[type, _Leaf] = {Int64: _int64_leaf, bytes: _bytes_leaf, float: _float_leaf}

_stored = _form(_SPECIAL_LEAVES)
_encoded = _form({**_SPECIAL_LEAVES, int: float})
_exported = _form({Int64: int, int: float, bytes: _bytes_leaf, float: _exported_float_leaf})
_clean = _form({Int64: str, int: float, bytes: lambda data: b64encode(data).decode(), float: _clean_float_leaf})


def _restored(value: Value) -> Value:
    """`value` with its special forms read, changed in place."""
    if type(value) is dict:
        if len(value) == 1 and (special := _SPECIAL_FORMS.get(next(iter(value)))):
            return special(next(iter(value.values())))
        for key, item in value.items():
            if type(item) is dict or type(item) is list:
                value[key] = _restored(item)
    elif type(value) is list:
        for position, item in enumerate(value):
            if type(item) is dict or type(item) is list:
                value[position] = _restored(item)
    return value


def _decoded(parsed: object, depth: int) -> Value:
    if type(parsed) is dict:
        return _decoded_object(cast("dict[object, object]", parsed), depth)
    if type(parsed) is list:
        return _decoded_array(cast("list[object]", parsed), depth)
    if isinstance(parsed, str):
        return _checked_text(parsed)
    if parsed is None or isinstance(parsed, bool | float):
        return parsed
    if isinstance(parsed, int):
        return _checked_int(parsed)
    raise Refusal(f"a value of type {type(parsed).__name__} does not come from JSON")


def _decoded_object(parsed: dict[object, object], depth: int) -> Value:
    if len(parsed) == 1:
        ((key, item),) = parsed.items()
        if special := _SPECIAL_FORMS.get(key):
            return special(item)
    if depth == 0:
        raise Refusal(TOO_NESTED)
    if len(parsed) > OBJECT_FIELDS_MAX:
        raise Refusal(f"Object has too many fields ({len(parsed)} > maximum number {OBJECT_FIELDS_MAX})")
    fields: dict[str, Value] = {}
    for key, item in parsed.items():
        if key not in legal_keys and (problem := legal_keys.check(key)):
            raise Refusal(problem)
        name = cast(str, key)
        if type(item) is str and item.isascii():
            fields[name] = item
            continue
        try:
            fields[name] = _decoded(item, depth - 1)
        except Refusal as refusal:
            raise refusal.inside(name) from None
    return fields


def _decoded_array(parsed: list[object], depth: int) -> Value:
    if depth == 0:
        raise Refusal(TOO_NESTED)
    if len(parsed) > ARRAY_ELEMENTS_MAX:
        raise Refusal(f"Array length is too long ({len(parsed)} > maximum length {ARRAY_ELEMENTS_MAX})")
    elements: list[Value] = []
    for item in parsed:
        try:
            elements.append(_decoded(item, depth - 1))
        except Refusal as refusal:
            raise refusal.inside(len(elements)) from None
    return elements


def _checked_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refusal(f"{text!r} has a lone surrogate, which is no Unicode character") from None
    return text


def _checked_int(number: int) -> int | float:
    if -EXACT_INT_MAX <= number <= EXACT_INT_MAX:
        return number
    try:
        return float(number)
    except OverflowError:
        raise Refusal("a number is beyond the range of a float64") from None


def _int64_of(payload: object) -> Value:
    data = _base64_of(payload, "$integer")
    if len(data) != _int64_bytes.size:
        raise Refusal(f"`$integer` must have 8 bytes, not {len(data)}")
    return Int64(_int64_bytes.unpack(data)[0])


def _float_of(payload: object) -> Value:
    data = _base64_of(payload, "$float")
    if len(data) != _float_bytes.size:
        raise Refusal(f"`$float` must have 8 bytes, not {len(data)}")
    number: float = _float_bytes.unpack(data)[0]
    if number and number - number == 0.0:
        raise Refusal(f"`$float` is for what JSON cannot write; write {number!r} as a JSON number")
    return number


def _bytes_of(payload: object) -> Value:
    return _base64_of(payload, "$bytes")


def _base64_of(payload: object, form: str) -> bytes:
    try:
        if isinstance(payload, str):
            return b64decode(payload, validate=True)
    except ValueError:
        pass
    raise Refusal(f"`{form}` must be a text in base64")


_SPECIAL_FORMS: Mapping[object, Callable[[object], Value]] = {
    "$integer": _int64_of,
    "$float": _float_of,
    "$bytes": _bytes_of,
}
