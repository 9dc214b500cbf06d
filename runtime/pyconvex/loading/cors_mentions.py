"""Whether the code of a route sets CORS headers, as far as can be told without running it."""

from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, FunctionType
from typing import cast

from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.function import RegisteredFunction
from pyconvex.functions.routing.middleware import Middleware
from pyconvex.functions.routing.route import Route

_HEADER = "access-control-allow-origin"
_FUNCTIONS_MAX = 100
"""Functions that are looked into for one route."""


def sends_cors_headers(route: Route, middleware: Sequence[Middleware]) -> bool:
    """Whether the handler, its middleware, or a function or constant of the project that they use, names
    `Access-Control-Allow-Origin`.

    Args:
        middleware: the router's.
    """
    handler = route.handler
    own = handler.handler if isinstance(handler, RegisteredFunction) else None
    return any(_names_it(function) for function in (own, *route.middleware, *middleware))


def _names_it(start: object) -> bool:
    waiting, seen = [start], set[int]()
    while waiting and len(seen) < _FUNCTIONS_MAX:
        function = waiting.pop()
        if not isinstance(function, FunctionType) or id(function) in seen:
            continue
        seen.add(id(function))
        for code in _codes(function.__code__):
            if any(_is_header(constant) for constant in code.co_consts):
                return True
            used = [function.__globals__[name] for name in code.co_names if name in function.__globals__]
            if any(_is_header(value) for value in used):
                return True
            waiting += [value for value in used if _is_of(value, function)]
    return False


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_of(value: object, function: FunctionType) -> bool:
    """Whether it is a function of the same project."""
    if not isinstance(value, FunctionType):
        return False
    return value.__module__.partition(".")[0] == function.__module__.partition(".")[0]


def _is_header(value: object) -> bool:
    match value:
        case str():
            return value.lower() == _HEADER
        case bytes():
            return value.lower() == _HEADER.encode()
        case tuple() | list() | frozenset():
            return any(map(_is_header, cast("list[object]", value)))
        case Headers():
            return _HEADER in value
        case Mapping():
            return any(map(_is_header, cast("Mapping[object, object]", value)))
        case _:
            return False
