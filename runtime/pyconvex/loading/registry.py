"""One version of the user's app, immutable: what a running call may look up."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr

from pyconvex.errors import Place
from pyconvex.functions.auth_config import NO_AUTH, AuthConfig
from pyconvex.functions.function import Function
from pyconvex.functions.references import snake
from pyconvex.functions.routing.router import HttpRouter, Route
from pyconvex.schema import EMPTY_SCHEMA, Schema

_SUFFIXES = (".py", ".js")
_NO_TEXTS: Final[Mapping[str, str]] = MappingProxyType({})
_NO_NAMES: Final[Mapping[int, str]] = MappingProxyType({})
_NO_FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType({})


class Registry(Struct, frozen=True, weakref=True, eq=False):
    """A loaded version.

    `root` is the project's folder and `folder` the one with the functions; `modules` goes by module path
    (`admin/reports`). `sources` is the text this very version was compiled from, by file name relative to the root,
    and `hashes` its SHA-256; `handlers` names registered functions by identity.
    """

    version: int
    functions: Mapping[str, Function]
    router: HttpRouter | None
    schema: Schema
    root: Path
    modules: Mapping[str, ModuleType]
    folder: Path = Path("convex")
    auth: AuthConfig = NO_AUTH
    sources: Mapping[str, str] = _NO_TEXTS
    hashes: Mapping[str, str] = _NO_TEXTS
    handlers: Mapping[int, str] = _NO_NAMES
    _spellings: Mapping[str, Function] = _NO_FUNCTIONS

    def __post_init__(self) -> None:
        by_spelling = {snake(path): function for path, function in self.functions.items()}
        force_setattr(self, "_spellings", by_spelling)

    def find(self, path: str) -> Function | None:
        """The function called `path`, in either spelling: `messages:send_one`, `messages.py:sendOne`, `messages`.

        No `:` means the module's `default`; a file suffix of the module is dropped
        (https://docs.convex.dev/functions/query-functions#query-names).
        """
        function = self.functions.get(path)
        return function if function is not None else self._spellings.get(snake(canonical_path(path)))


def canonical_path(path: str) -> str:
    """`path` with its function named and without the file suffix: `messages.js` is `messages:default`."""
    module, _, name = path.partition(":")
    for suffix in _SUFFIXES:
        module = module.removesuffix(suffix)
    return f"{module}:{name or 'default'}"


def empty_registry(root: Path, folder: Path) -> Registry:
    """What is served before anything was loaded: version 0, no functions, no routes."""
    return Registry(
        version=0,
        functions=MappingProxyType({}),
        router=None,
        schema=EMPTY_SCHEMA,
        root=root,
        modules=MappingProxyType({}),
        folder=folder,
    )


def handler_name(registry: Registry, route: Route) -> str:
    """The route's handler as tables and logs name it: `messages:post_message`, or `http:app` for a mounted app."""
    known = registry.handlers.get(id(route.handler))
    if known is not None:
        return known
    name = getattr(route.handler, "name", None) or getattr(route.handler, "__name__", None)
    return f"http:{name or type(route.handler).__name__}"


def route_place(registry: Registry, route: Route) -> Place:
    """Where the route was registered, relative to the project."""
    return route.place.relative_to(registry.root)
