"""Which texts are paths of functions, and which function a call means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pyconvex.errors import BareError, DeveloperError, RequestRefused
from pyconvex.functions.references import function_path

if TYPE_CHECKING:
    from pyconvex.functions.function import Function
    from pyconvex.loading.registry import Registry

COMPONENT_LENGTH_MAX: Final = 64

_COMPONENT = re.compile(r"[A-Za-z0-9_.]*[A-Za-z0-9][A-Za-z0-9_.]*", re.ASCII)
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SUFFIXES: Final = ("", "js", "py")


def check_path(path: str) -> None:
    """Raises `RequestRefused` 400 `BadConvexFunctionIdentifier` for a text that cannot be the path of a function."""
    problem = _problem(path)
    if problem is not None:
        raise RequestRefused(
            400,
            "BadConvexFunctionIdentifier",
            f"{path[:200]} is not a valid path to a Convex function. {problem}",
        )


def not_found(path: str, what: str) -> BareError:
    """The error about a function that is not there, or that the caller must not know of."""
    hint = " Did you forget to run `pyconvex dev`?" if what == "function" else ""
    return BareError("FunctionNotFound", f"Could not find {what} for '{path}'.{hint}")


def find_function(registry: Registry, fn: object) -> Function:
    """The function that `ctx.run_*` was given: a reference, a path, or the registered function itself.

    Raises `BareError` `FunctionNotFound`, `InvalidReference` for what names no function; `DeveloperError`
    `HttpActionCalled`.
    """
    named = function_path(fn)
    if isinstance(named, str):
        function = registry.find(named)
        if function is None:
            raise not_found(named, "function")
        return function
    path = registry.handlers.get(id(named))
    if path is None:
        raise DeveloperError(
            "FunctionNotFound",
            f"`{named.name}` is no function of the deployed version: no module of `convex/` has it under a name.",
            hint="Define it at the top level of a module, and import it from there.",
        )
    function = registry.functions.get(path)
    if function is None:
        raise DeveloperError(
            "HttpActionCalled",
            f"`{named.name}` is an HTTP action: requests reach it through the router, functions do not call it.",
            hint="Put what both need into an action or a plain function, and call that.",
        )
    return function


def _problem(path: str) -> str | None:
    module, colon, name = path.rpartition(":")
    if not colon:
        module, name = path, "default"
    if not _FUNCTION.fullmatch(name):
        return f"The function name {name!r} is not an identifier."
    *folders, file = module.split("/")
    stem, _, suffix = file.partition(".")
    if suffix not in _SUFFIXES:
        return f"The module has the extension .{suffix}; leave it out."
    for component in (*folders, stem):
        if len(component) > COMPONENT_LENGTH_MAX:
            return f"The path component {component[:40]!r}… is longer than {COMPONENT_LENGTH_MAX} characters."
        if not _COMPONENT.fullmatch(component):
            return (
                f"The path component {component!r} can only contain alphanumeric characters, underscores, or periods, "
                "at least one of them alphanumeric."
            )
    return None
