"""What a save changed: the difference of two registries, function by function, route by route, provider by provider."""

from collections.abc import Callable, Mapping
from types import CodeType
from typing import TypeVar

from msgspec import Struct

from pyconvex.functions.auth_config import Provider
from pyconvex.functions.function import Function, RegisteredFunction
from pyconvex.functions.routing.route import Handler, Route
from pyconvex.loading.registry import Registry, handler_name

T = TypeVar("T")


class Difference(Struct, frozen=True):
    """Names in alphabetical order: paths of functions, routes as `POST /path`, or issuers of tokens."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


class Changes(Struct, frozen=True):
    functions: Difference = Difference()
    routes: Difference = Difference()
    auth: Difference = Difference()

    def __bool__(self) -> bool:
        return bool(self.functions or self.routes or self.auth)


def changes_between(old: Registry | None, new: Registry) -> Changes:
    """What is different in `new`; everything is added when there is no `old`.

    A function has changed when its code, its kind or its validators have; moving it, or editing another function of
    its module, is no change. A route has changed when it has another handler, or its handler's code has changed.
    """
    touched = {module for module, sha256 in new.hashes.items() if old is None or sha256 != old.hashes.get(module)}
    before: Mapping[str, Function] = {} if old is None else old.functions
    return Changes(
        _difference(before, new.functions, lambda one, two: _function_differs(one, two, touched)),
        _difference(
            _routes(old), _routes(new), lambda one, two: old is not None and _route_differs(one, two, old, new, touched)
        ),
        _difference(_providers(old), _providers(new), lambda one, two: one != two),
    )


def _difference(old: Mapping[str, T], new: Mapping[str, T], differs: Callable[[T, T], bool]) -> Difference:
    return Difference(
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(name for name in new if name in old and differs(old[name], new[name]))),
        tuple(sorted(old.keys() - new.keys())),
    )


def _function_differs(old: Function, new: Function, touched: set[str]) -> bool:
    if (old.kind, old.visibility, old.args, old.returns) != (new.kind, new.visibility, new.args, new.returns):
        return True
    is_touched = new.path.partition(":")[0] in touched
    return is_touched and fingerprint(old.handler) != fingerprint(new.handler)


def _routes(registry: Registry | None) -> dict[str, Route]:
    if registry is None or registry.router is None:
        return {}
    return {str(route): route for route in registry.router.routes}


def _route_differs(old: Route, new: Route, before: Registry, after: Registry, touched: set[str]) -> bool:
    name = handler_name(after, new)
    if name != handler_name(before, old):
        return True
    return name.partition(":")[0] in touched and _handler_print(old.handler) != _handler_print(new.handler)


def _providers(registry: Registry | None) -> dict[str, tuple[Provider, ...]]:
    """By issuer, which may be that of several."""
    providers = () if registry is None else registry.auth.providers
    return {each.issuer: tuple(one for one in providers if one.issuer == each.issuer) for each in providers}


def _handler_print(handler: Handler) -> object:
    return fingerprint(handler.handler) if isinstance(handler, RegisteredFunction) else type(handler).__qualname__


def fingerprint(function: Callable[..., object]) -> object:
    """What a function does, without where it stands: equal for equal code, also across versions."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return repr(type(function))
    defaults = getattr(function, "__defaults__", None), getattr(function, "__kwdefaults__", None)
    return _code_print(code), repr(defaults)


def _code_print(code: CodeType) -> tuple[object, ...]:
    constants = tuple(map(_constant_print, code.co_consts))
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_name, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, constants, counts, names


def _constant_print(constant: object) -> object:
    return _code_print(constant) if isinstance(constant, CodeType) else (type(constant), repr(constant))
