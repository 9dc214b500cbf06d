"""Whether the code of a route sets CORS headers, as far as can be told without running it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import cast

from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.function import RegisteredFunction
from pyconvex.functions.routing.middleware import Middleware
from pyconvex.functions.routing.route import Route

_HEADER = "access-control-allow-origin"
_FUNCTIONS_MAX = 100
"""Functions that are looked into for one route."""

_ITEMS_MAX = 100
"""Items of a collection that are looked at: headers are not more."""

_COLLECTIONS = frozenset({dict, frozenset, list, MappingProxyType, set, tuple})

# What a module holds is asked for its `type()`: `isinstance` would wake lazy objects.


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
        if type(function) is not FunctionType or id(function) in seen:
            continue
        seen.add(id(function))
        used = list(_used(function))
        if any(map(_is_header, used)):
            return True
        waiting += [value for value in used if _is_of(value, function)]
    return False


def _used(function: FunctionType) -> Iterator[object]:
    """Constants, variables of functions around it, and what its names stand for in its own module, or in another
    one of the project that it uses."""
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a variable without a value yet
            yield cell.cell_contents
    for code in _codes(function.__code__):
        yield from code.co_consts
        known = _named(code, function.__globals__)
        yield from known
        for module in known:
            if type(module) is ModuleType and _is_of(module, function):
                yield from _named(code, module.__dict__)


def _named(code: CodeType, namespace: dict[str, object]) -> list[object]:
    return [namespace[name] for name in code.co_names if name in namespace]


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_of(value: object, function: FunctionType) -> bool:
    """Whether it is a function or module of the same project."""
    return _package(value) is not None and _package(value) == _package(function)


def _package(value: object) -> str | None:
    kind = type(value)
    name: object = None
    if kind is FunctionType:
        name = cast("FunctionType", value).__module__
    elif kind is ModuleType:
        name = cast("ModuleType", value).__name__
    return name.partition(".")[0] if isinstance(name, str) else None


def _is_header(value: object, depth: int = 2) -> bool:
    """Whether it is the header's name, or holds it: in pairs, or as a key."""
    kind = type(value)
    if kind is str:
        return cast("str", value).lower() == _HEADER
    if kind is bytes:
        return cast("bytes", value).lower() == _HEADER.encode()
    if kind is Headers:
        return _HEADER in cast("Headers", value)
    if depth == 0 or kind not in _COLLECTIONS:
        return False
    return any(_is_header(item, depth - 1) for item in islice(cast("Iterable[object]", value), _ITEMS_MAX))
