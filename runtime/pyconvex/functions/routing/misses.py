"""Why no route takes a request, and which one it may have meant: for people, never for clients."""

import difflib
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote

from .pattern import Pattern
from .route import ANY_METHOD, METHODS, Route
from .table import RouteTable

_COMPARED_MAX = 200
"""Letters of a path that are compared with those of other paths."""

_LIKE_ENOUGH = 0.6
_UNQUOTED = "/!$&'()*+,;=:@~"
_CASE = "letter case differs"
_WRONG_METHOD = "wrong method"


class Miss(NamedTuple):
    """The route that is nearest to a request, and in words what sets the request apart from it."""

    nearest: Route
    why: str

    def text(self, place: str) -> str:
        """`GET /hello (http.py:9): letter case differs`, with the place of the nearest route."""
        return f"{self.nearest} ({place})" + (f": {self.why}" if self.why else "")


def explain_miss(table: RouteTable, path: str, method: str, *, guess: bool = True) -> Miss | None:
    """What a request without a route may have meant; None when nothing is near.

    Args:
        path: as sent, percent-encoded, without the query.
        guess: whether to look for similar paths too, which takes milliseconds with hundreds of routes.
    """
    if methods := table.methods_at(path):
        found = table.match(path, methods[0])
        assert found is not None, "this method has a route there"
        return Miss(found.route, f"{_WRONG_METHOD}, it takes {_listed(methods)}")
    registered = "GET" if method == "HEAD" else method
    return (
        _respelled(table, path, registered)
        or _in_other_case(table, path, registered)
        or _not_a_number(table, path, registered)
        or (_similar(table, path, registered) if guess else None)
    )


def _respelled(table: RouteTable, path: str, method: str) -> Miss | None:
    for wanted in (method, *METHODS):
        for spelling, why in _spellings(path):
            if found := table.match(spelling, wanted):
                return _miss(found.route, method, why)
    return None


def _spellings(path: str) -> Iterator[tuple[str, str]]:
    """What the path may have been meant to be, and what is different."""
    yield path + "/", "the slash at the end is missing"
    yield path.rstrip("/"), "it has no slash at the end"
    yield path.lower(), _CASE
    if "//" in path:
        yield re.sub("/+", "/", path), "it has no doubled slash"
    if "%" in path:
        yield (
            quote(unquote(path, errors="surrogateescape"), _UNQUOTED, errors="surrogateescape"),
            "percent-encoding differs",
        )
    if path.startswith("/http/"):
        yield path.removeprefix("/http"), "/http belongs to the API address"


def _in_other_case(table: RouteTable, path: str, method: str) -> Miss | None:
    wanted = _plain(path)
    same = (route for route in _of_method_first(table, method) if _plain(route.path.removesuffix("*")) == wanted)
    nearest = next(same, None)
    return None if nearest is None else _miss(nearest, method, _CASE)


def _not_a_number(table: RouteTable, path: str, method: str) -> Miss | None:
    """The pattern that would match if its numbers could be text."""
    for pattern, route in table.patterns:
        if route.method == method and ":int}" in pattern.path:
            as_text = Pattern(pattern.path.replace(":int}", "}"))
            if as_text.match(path) is not None:
                return Miss(route, "{name:int} takes whole numbers only")
    return None


def _similar(table: RouteTable, path: str, method: str) -> Miss | None:
    routes = _of_method_first(table, method)
    plain = [_plain(route.path) for route in routes]
    close = difflib.get_close_matches(_plain(path)[:_COMPARED_MAX], plain, 1, _LIKE_ENOUGH)
    return _miss(routes[plain.index(close[0])], method, "") if close else None


def _of_method_first(table: RouteTable, method: str) -> list[Route]:
    return sorted(table.routes, key=lambda route: route.method not in (method, ANY_METHOD))


def _miss(route: Route, method: str, why: str) -> Miss:
    is_other = route.method not in (method, ANY_METHOD)
    return Miss(route, ", ".join(filter(None, (why, _WRONG_METHOD if is_other else ""))))


def _plain(path: str) -> str:
    return path.lower().rstrip("/")


def _listed(words: tuple[str, ...]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
