"""Values as text for people: in log lines as a debugger shows them, in error messages as Convex writes them."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, cast

from .int64 import Int64
from .kinds import Undefined
from .names import is_identifier

ERROR_CHARACTERS_MAX: Final = 4096
"""Where values inside error messages are cut."""

_DEPTH_MAX = 100
_INT_BITS_MAX = 1024
_QUOTE_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in range(32)},
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord("'"): "\\'",
    ord("\\"): "\\\\",
}


def display(value: object) -> str:
    """`value` as a log line shows it: `'a'`, `42`, `null`, `5n` for Int64, `[ 'a', 42 ]`, `{ a: 1 }`.

    An object that holds an array or object takes one line per field. What is no Convex value is shown by its `repr`.
    """
    return _inspect(value, ())


def display_in_error(value: object) -> str:
    """`value` as error messages write it: `"a"`, `5.0`, `5n` for Int64, `{a: [1.0, null]}`; cut when long."""
    text = ""
    for piece in _notation(value, _DEPTH_MAX):
        text += piece
        if len(text) > ERROR_CHARACTERS_MAX:
            return text[:ERROR_CHARACTERS_MAX] + "…"
    return text


def display_path(steps: Iterable[str | int]) -> str:
    """Keys and positions as a path inside a value: `.messages[2].body`."""
    return "".join(_step(step) for step in steps)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if is_identifier(step) else f"[{_double_quoted(step)}]"


def _inspect(value: object, around: tuple[int, ...]) -> str:
    if isinstance(value, str):
        return f"'{value.translate(_QUOTE_ESCAPES)}'"
    if type(value) is dict:
        return _inspect_object(cast("dict[object, object]", value), around)
    if type(value) is list:
        return _inspect_array(cast("list[object]", value), around)
    if type(value) is float or type(value) is int:
        return _number(value, whole="{}")
    return _scalar(value)


def _inspect_array(elements: list[object], around: tuple[int, ...]) -> str:
    if not elements:
        return "[]"
    if id(elements) in around or len(around) >= _DEPTH_MAX:
        return "[Circular]"
    inside = (*around, id(elements))
    texts = [_inspect(element, inside) for element in elements]
    if any("\n" in text for text in texts):
        return f"[\n{_indented(texts)}\n]"
    return f"[ {', '.join(texts)} ]"


def _inspect_object(fields: dict[object, object], around: tuple[int, ...]) -> str:
    if not fields:
        return "{}"
    if id(fields) in around or len(around) >= _DEPTH_MAX:
        return "[Circular]"
    inside = (*around, id(fields))
    texts = [f"{_inspect_key(key)}: {_inspect(value, inside)}" for key, value in fields.items()]
    if any(type(value) is dict or type(value) is list for value in fields.values()):
        return f"{{\n{_indented(texts)}\n}}"
    return f"{{ {', '.join(texts)} }}"


def _inspect_key(key: object) -> str:
    return key if isinstance(key, str) and is_identifier(key) else _inspect(key, ())


def _indented(texts: list[str]) -> str:
    return "  " + ",\n".join(texts).replace("\n", "\n  ")


def _notation(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield _double_quoted(value)
    elif isinstance(value, float) or type(value) is int:
        yield _number(value, whole="{}.0")
    elif depth == 0:
        yield "…"
    elif isinstance(value, Mapping):
        fields = cast("Mapping[object, object]", value)
        yield from _listed(
            "{", (chain(_notation_key(key), _notation(item, depth - 1)) for key, item in fields.items()), "}"
        )
    elif isinstance(value, list | tuple):
        elements = cast("Iterable[object]", value)
        yield from _listed("[", (_notation(element, depth - 1) for element in elements), "]")
    else:
        yield _scalar(value)


def _notation_key(key: object) -> Iterator[str]:
    if isinstance(key, str) and is_identifier(key):
        yield key
    else:
        yield from _notation(key, 1)
    yield ": "


def _listed(opening: str, items: Iterable[Iterator[str]], closing: str) -> Iterator[str]:
    separator = opening
    for item in items:
        yield separator
        yield from item
        separator = ", "
    yield closing if separator != opening else opening + closing


def _number(value: float, *, whole: str) -> str:
    if isinstance(value, int):
        return whole.format(value) if value.bit_length() <= _INT_BITS_MAX else f"<integer of {value.bit_length()} bits>"
    if math.isfinite(value):
        return float.__repr__(value)
    return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")


def _scalar(value: object) -> str:
    match value:
        case None:
            return "null"
        case True:
            return "true"
        case False:
            return "false"
        case Int64():
            return f"{value}n"
        case Undefined():
            return "undefined"
        case _:
            return display_object(value)


def display_object(value: object) -> str:
    """The `repr` of any object; without its address, and never failing."""
    if type(value).__repr__ is object.__repr__:
        return f"<{type(value).__qualname__}>"
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__qualname__}, whose repr raises {type(error).__name__}>"


_double_quoted: Callable[[str], str] = json.JSONEncoder(ensure_ascii=False).encode
