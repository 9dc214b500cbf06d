"""The values in an index key, read back from its bytes: for reports of what was read."""

from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple

from .int64 import Int64
from .kinds import Undefined, Value, undefined

_FLOAT_TAG: Final = 0x0D
_STRING_TAG: Final = 0x10
_BYTES_TAG: Final = 0x11
_ARRAY_TAG: Final = 0x12
_OBJECT_TAG: Final = 0x15
_INT64_WIDTHS: Final = {0x04: 8, 0x05: 4, 0x06: 2, 0x07: 1, 0x08: 0, 0x09: 1, 0x0A: 2, 0x0B: 4, 0x0C: 8}
_PLAIN: Final[dict[int, Value | Undefined]] = {0x01: undefined, 0x03: None, 0x0E: False, 0x0F: True}
_END: Final = 0x00
_ESCAPE: Final = 0xFF
_SIGN_BIT: Final = 1 << 63
_ALL_BITS: Final = (1 << 64) - 1

_float_of = Struct(">d").unpack


class KeyValues(NamedTuple):
    """The values at the front of a key, and the bytes behind the last whole one."""

    values: tuple[Value | Undefined, ...]
    rest: bytes


class _Broken(Exception):
    """What follows is no whole value."""


def key_values(key: bytes) -> KeyValues:
    """The values that `key` was made of. It may be the border of a range: then a byte is left that is no value's.

    A plain `int` was made a float64 for the key, and comes back as one.
    """
    if key.endswith(b"\xff"):
        # Such a border: the byte must not be taken for a part of the text before it.
        found = _read_all(key[:-1])
        if not found.rest:
            return KeyValues(found.values, b"\xff")
    return _read_all(key)


def _read_all(key: bytes) -> KeyValues:
    values: list[Value | Undefined] = []
    at = 0
    while at < len(key):
        try:
            value, at = _read(key, at)
        except (_Broken, IndexError, UnicodeDecodeError):
            break
        values.append(value)
    return KeyValues(tuple(values), key[at:])


def _read(key: bytes, at: int) -> tuple[Value | Undefined, int]:
    tag = key[at]
    if tag in _PLAIN:
        return _PLAIN[tag], at + 1
    if tag in _INT64_WIDTHS:
        digits = _exactly(key, at + 1, _INT64_WIDTHS[tag])
        return Int64(int.from_bytes(digits, "big", signed=True)), at + 1 + len(digits)
    if tag not in _READERS:
        raise _Broken
    return _READERS[tag](key, at + 1)


def _read_float(key: bytes, at: int) -> tuple[Value, int]:
    bits = int.from_bytes(_exactly(key, at, 8), "big")
    bits = bits ^ _SIGN_BIT if bits & _SIGN_BIT else bits ^ _ALL_BITS
    return _float_of(bits.to_bytes(8, "big"))[0], at + 8


def _read_string(key: bytes, at: int) -> tuple[Value, int]:
    data, at = _read_escaped(key, at)
    return data.decode(), at


def _read_array(key: bytes, at: int) -> tuple[Value, int]:
    elements: list[Value] = []
    while key[at] != _END:
        value, at = _read(key, at)
        elements.append(_inner(value))
    return elements, at + 1


def _read_object(key: bytes, at: int) -> tuple[Value, int]:
    fields: dict[str, Value] = {}
    while key[at] != _END or key[at + 1 : at + 2] == b"\xff":
        if key[at] == _END:
            name, at = "", at + 2
        else:
            data, at = _read_escaped(key, at)
            name = data.decode()
        value, at = _read(key, at)
        fields[name] = _inner(value)
    return fields, at + 1


def _read_escaped(key: bytes, at: int) -> tuple[bytes, int]:
    """Bytes up to their end; a zero among them is followed by FF."""
    data = bytearray()
    while True:
        if key[at] != _END:
            data.append(key[at])
            at += 1
        elif at + 1 < len(key) and key[at + 1] == _ESCAPE:
            data.append(_END)
            at += 2
        else:
            return bytes(data), at + 1


def _inner(value: Value | Undefined) -> Value:
    if isinstance(value, Undefined):
        raise _Broken
    return value


def _exactly(key: bytes, at: int, count: int) -> bytes:
    data = key[at : at + count]
    if len(data) < count:
        raise _Broken
    return data


_READERS: Final[dict[int, Callable[[bytes, int], tuple[Value, int]]]] = {
    _FLOAT_TAG: _read_float,
    _STRING_TAG: _read_string,
    _BYTES_TAG: _read_escaped,
    _ARRAY_TAG: _read_array,
    _OBJECT_TAG: _read_object,
}
