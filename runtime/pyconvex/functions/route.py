"""One HTTP route: its forms, its path pattern, and what is wrong with it."""

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import unquote

from pyconvex.errors import Place, PyconvexError, Remedy

from .fetch.request import PathParams
from .function import RegisteredFunction

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application (https://asgi.readthedocs.io/en/latest/specs/main.html): `await app(scope, receive, send)`."""

Handler: TypeAlias = "RegisteredFunction[..., Any] | AsgiApp"

METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
"""Methods that routes can have. HEAD runs GET."""

ANY_METHOD = "*"
"""The method of a mount."""


class RouteForm(StrEnum):
    """The forms of a route, the one that wins first."""

    EXACT = "exact"
    PATTERN = "pattern"
    PREFIX = "prefix"
    MOUNT = "mount"


@dataclass(frozen=True, slots=True)
class Route:
    """One registered route; `path` is as shown: `/users`, `/users/{id:int}`, `/files/*`.

    `place` is the `route(...)` or `mount(...)` call, with the file as the loader compiled it.
    """

    path: str
    method: str
    handler: Handler
    place: Place
    form: RouteForm

    @property
    def prefix(self) -> str:
        """What a path has to begin with, for a prefix or mount."""
        return self.path[:-1]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Match:
    """The route that won, what its parameters are, and in words why it won."""

    route: Route
    path_params: PathParams
    why: str


class RouteError(PyconvexError, ValueError):
    """A route that cannot be registered; `other` is the place of the route it collides with."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        place: Place | None = None,
        other: Place | None = None,
    ) -> None:
        super().__init__(code, message, hint=hint, place=place, remedy=Remedy.SAVE_FILE)
        self.other = other


_PARAMETER = re.compile(r"\{([^{}]*)\}")
_CONVERTERS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {  # converter → regular expression, and rank: the smaller, the more specific
        "int": (r"-?[0-9]{1,300}", 1),
        "": (r"[^/]+", 2),
        "path": (r".*", 3),
    }
)


class Pattern:
    """A path with parameters, compiled: `{name}` is one segment, `{name:int}` a number, `{name:path}` the rest.

    Raises:
        RouteError: braces that do not pair, a name that is no identifier or used twice, an unknown converter, two
            parameters in one segment, or `:path` before the end.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.rank: tuple[int, ...] = ()
        self._integers: set[str] = set()
        self._names: set[str] = set()
        segments = path.split("/")
        expression = "/".join(self._segment(part, at == len(segments) - 1) for at, part in enumerate(segments))
        self._expression = re.compile(expression, re.DOTALL)
        self.shape = re.sub(r"\(\?P<\w+>", "(", expression)
        """Equal for patterns that match the same paths."""

    def match(self, path: str) -> PathParams | None:
        """The parameters found in `path`, percent-decoded, or None."""
        found = self._expression.fullmatch(path)
        if found is None:
            return None
        texts = found.groupdict()
        return {
            name: int(text) if name in self._integers else unquote(text, errors="replace")
            for name, text in texts.items()
        }

    def _segment(self, segment: str, is_last: bool) -> str:
        found = list(_PARAMETER.finditer(segment))
        rest = _PARAMETER.sub("", segment)
        if "{" in rest or "}" in rest:
            raise self._wrong(f"has braces that do not pair in `{segment}`")
        if not found:
            self.rank += (0,)
            return re.escape(segment)
        if len(found) > 1:
            raise self._wrong(f"has two parameters in one segment, `{segment}`")
        parameter = found[0]
        name, _, converter = parameter[1].partition(":")
        self._check(name, converter, is_last and segment.endswith("}"), colon=":" in parameter[1])
        expression, rank = _CONVERTERS[converter]
        self.rank += (rank,)
        before, after = re.escape(segment[: parameter.start()]), re.escape(segment[parameter.end() :])
        return f"{before}(?P<{name}>{expression}){after}"

    def _check(self, name: str, converter: str, is_end: bool, *, colon: bool) -> None:
        if not name.isidentifier() or not name.isascii():
            raise self._wrong(f"has the parameter `{{{name}}}`, whose name is no Python name")
        if name in self._names:
            raise self._wrong(f"has the parameter `{{{name}}}` twice")
        if converter not in _CONVERTERS or (colon and not converter):
            raise self._wrong(f"has the unknown converter `{converter}` in `{{{name}:{converter}}}`")
        if converter == "path" and not is_end:
            raise self._wrong(f"goes on after `{{{name}:path}}`, which takes all the rest")
        self._names.add(name)
        if converter == "int":
            self._integers.add(name)

    def _wrong(self, what: str) -> RouteError:
        return RouteError(
            "InvalidPathPattern",
            f"path '{self.path}' {what}",
            hint="parameters are `{name}`, `{name:int}` and, at the end, `{name:path}`; one in each segment",
        )
