"""Values as byte strings that sort as Convex orders values.

`undefined < null < Int64 < Float64 < Boolean < String < Bytes < Array < Object`. Each value starts with a byte that
says its type. Whatever varies in length ends with a zero byte, less than any type's, so that a prefix sorts first.
"""

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Any

from .int64 import Int64
from .kinds import InvalidValue, Undefined, Value

_FLOAT_TAG = 0x0D
_SIGN_BIT = 1 << 63
_ALL_BITS = (1 << 64) - 1
_ESCAPED_ZERO = b"\x00\xff"

_tagged_float = Struct(">Bd").pack
_tagged_bits = Struct(">BQ").pack
_float_bytes = Struct(">d").pack

# An int64 is written in the fewest bytes: (how many, the tag of a negative one, the tag of a positive one).
_INT64_WIDTHS = ((1, b"\x07", b"\x09"), (2, b"\x06", b"\x0a"), (4, b"\x05", b"\x0b"), (8, b"\x04", b"\x0c"))


def encode_key(parts: Iterable[Value | Undefined]) -> bytes:
    """The key of an index entry: the keys of its `parts`, one after another.

    Keys of equally many parts compare as the parts do. A plain `int` counts as a float64.

    Raises:
        InvalidValue: a part, or something inside it, is no Convex value.
    """
    return b"".join([value_key(part) for part in parts])


def value_key(value: Value | Undefined) -> bytes:
    """`encode_key` of one part."""
    # Texts and positive floats are what most keys are made of.
    if type(value) is str and "\0" not in value:
        return b"\x10%b\x00" % value.encode()
    if type(value) is float and value > 0.0:
        return _tagged_float(_FLOAT_TAG, -value)
    return _key_of(value)


def behind(key: bytes) -> bytes:
    """The end of all keys that begin with the parts of `key`.

    What follows a part is the tag of the next one, always below FF; FF itself follows the end of a text only where the
    text goes on after a zero byte, so a greater one.
    """
    return key + b"\xff"


def after_prefix(prefix: bytes) -> bytes | None:
    """The smallest byte string greater than every one that starts with `prefix`; None when there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else None


def _key_of(value: object) -> bytes:
    try:
        make = _MAKERS[type(value)]
    except KeyError:
        raise InvalidValue(f"a value of type {type(value).__name__} cannot be part of an index key") from None
    return make(value)


def _int64_key(number: Int64) -> bytes:
    if number == 0:
        return b"\x08"
    width, negative, positive = _INT64_WIDTHS[((~number if number < 0 else number).bit_length() // 8).bit_length()]
    return (negative if number < 0 else positive) + number.to_bytes(width, "big", signed=True)


def _float_key(number: float) -> bytes:
    """IEEE's total order: the sign bit is set on positive numbers, all bits are inverted on negative ones."""
    if number > 0.0:
        return _tagged_float(_FLOAT_TAG, -number)
    bits = int.from_bytes(_float_bytes(number), "big")
    return _tagged_bits(_FLOAT_TAG, bits ^ _ALL_BITS if bits & _SIGN_BIT else bits | _SIGN_BIT)


def _string_key(text: str) -> bytes:
    return b"\x10%b\x00" % text.encode().replace(b"\x00", _ESCAPED_ZERO)


def _bytes_key(data: bytes) -> bytes:
    return b"\x11%b\x00" % data.replace(b"\x00", _ESCAPED_ZERO)


def _array_key(elements: list[Value]) -> bytes:
    return b"\x12%b\x00" % b"".join([_key_of(element) for element in elements])


def _object_key(fields: dict[str, Value]) -> bytes:
    parts: list[bytes] = []
    for name in sorted(fields):
        # The empty name has no first byte that would tell it from the object's end.
        parts.append(b"%b\x00" % name.encode() if name else _ESCAPED_ZERO)
        parts.append(_key_of(fields[name]))
    return b"\x15%b\x00" % b"".join(parts)


_MAKERS: dict[type, Callable[[Any], bytes]] = {
    Undefined: lambda _: b"\x01",
    type(None): lambda _: b"\x03",
    Int64: _int64_key,
    int: lambda number: _float_key(float(number)),
    float: _float_key,
    bool: lambda value: b"\x0f" if value else b"\x0e",
    str: _string_key,
    bytes: _bytes_key,
    list: _array_key,
    dict: _object_key,
}
