"""Plain JSON for `Response.json`: what Python has and JSON has not is refused rather than bent."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import cast

import msgspec

from pyconvex.values import Int64, undefined

_DEPTH_MAX = 200


def json_text(data: object) -> bytes:
    """`data` as JSON, numbers as they are written in Python.

    Raises:
        TypeError: bytes, Int64, NaN, Infinity, a cycle, or an object without a JSON form; it says what and where.
    """
    try:
        text = msgspec.json.encode(data)
        says_the_same = msgspec.json.decode(text) == data  # the quickest way to see that nothing was bent
    except (TypeError, ValueError, RecursionError) as error:
        _look(data, "", 0)
        raise TypeError(f"The data is not JSON serializable: {error}") from None
    if not says_the_same:
        _look(data, "", 0)
    return text


def _look(value: object, path: str, depth: int) -> None:
    """Find what is not JSON, and raise.

    Raises:
        TypeError: found.
    """
    if problem := _problem(value, depth):
        raise TypeError(f"The data is not JSON serializable: {problem}{f' (at {path})' if path else ''}")
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[object, object]", value).items():
            if not isinstance(key, str | int | float):
                raise TypeError(
                    f"The data is not JSON serializable: the key {key!r:.40} is no text{path and f' (at {path})'}"
                )
            _look(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(cast("Iterable[object]", value)):
            _look(item, f"{path}[{index}]", depth + 1)


def _problem(value: object, depth: int) -> str | None:
    if depth > _DEPTH_MAX:
        return "it refers to itself or is nested too deeply"
    match value:
        case Int64():
            return f"JSON has no {value!r}, write `int(...)` or `str(...)` of it"
        case bytes() | bytearray() | memoryview():
            return "JSON has no bytes, encode them first (`base64.b64encode(data).decode()`)"
        case float() if not math.isfinite(value):
            return f"JSON has no {value!r}"
        case str() if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return "a text holds half a surrogate pair"
        case _ if value is undefined:
            return "undefined is no value, leave the field out"
        case _:
            return None
