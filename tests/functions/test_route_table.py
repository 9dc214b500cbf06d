"""The arranged routes answer exactly as the rules say, whatever routes there are."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.functions.routing.error import RouteError
from pyconvex.functions.routing.pattern import Pattern
from pyconvex.functions.routing.route import METHODS, Route, RouteForm
from pyconvex.functions.routing.router import HttpRouter
from pyconvex.server import Request, Response, http_action, http_router


@http_action
async def handler(ctx: Any, request: Request) -> Response:
    return Response(None)


async def app(scope: Any, receive: Any, send: Any) -> None: ...


words = st.sampled_from(["a", "b", "7", "users"])
segments = st.lists(words, min_size=0, max_size=3)
parameters = st.lists(st.one_of(words, st.sampled_from(["{}", "{}:int", "x{}", "{}.json"])), min_size=1, max_size=3)


def path(parts: list[str], slash: str) -> str:
    return "/" + "/".join(parts) + slash


def prefix(parts: list[str]) -> str:
    return path(parts, "/" if parts else "")


def pattern(parts: list[str], rest: bool) -> str:
    """A path with numbered parameters."""
    made = [part.replace("{}:int", f"{{p{at}:int}}").replace("{}", f"{{p{at}}}") for at, part in enumerate(parts)]
    return "/" + "/".join([*made, "{rest:path}"] if rest else made)


paths = st.builds(path, segments, st.sampled_from(["", "/"]))
prefixes = st.builds(prefix, segments)
declarations = st.one_of(
    st.tuples(st.just("path"), st.sampled_from(["GET", "POST"]), paths),
    st.tuples(st.just("path"), st.sampled_from(["GET", "POST"]), st.builds(pattern, parameters, st.booleans())),
    st.tuples(st.just("prefix"), st.sampled_from(["GET", "POST"]), prefixes),
    st.tuples(st.just("mount"), st.just("*"), prefixes),
)
asked = st.builds(
    path,
    st.lists(st.sampled_from(["a", "b", "7", "users", "xa", "a.json", "", "%20"]), max_size=4),
    st.sampled_from(["", "/"]),
)


def declared(http: HttpRouter, form: str, method: str, path: str) -> None:
    try:
        if form == "mount":
            http.mount(path, app)
        elif form == "prefix":
            http.route(path_prefix=path, method=method, handler=handler)
        else:
            http.route(path=path, method=method, handler=handler)
    except RouteError as error:
        assert error.code == "DuplicateRoute", error


def expected(routes: tuple[Route, ...], path: str, method: str) -> set[Route]:
    """The routes that may win, looked for in the plainest way; several are equally specific patterns."""
    of_method = [route for route in routes if route.method in (method, "*")]
    if exact := [route for route in of_method if route.form is RouteForm.EXACT and route.path == path]:
        return set(exact)
    matching = [
        (Pattern(route.path).rank, route)
        for route in of_method
        if route.form is RouteForm.PATTERN and Pattern(route.path).match(path) is not None
    ]
    if matching:
        best = min(rank for rank, _ in matching)
        return {route for rank, route in matching if rank == best}
    below = [
        ((len(route.path), route.form is RouteForm.PREFIX), route)
        for route in of_method
        if route.form in (RouteForm.PREFIX, RouteForm.MOUNT) and path.startswith(route.prefix)
    ]
    return {max(below, key=lambda each: each[0])[1]} if below else set()


@given(st.lists(declarations, max_size=12), st.lists(asked, min_size=1, max_size=6), st.sampled_from(METHODS))
def test_look_ups_follow_the_rules(declarations: list[tuple[str, str, str]], asked: list[str], method: str) -> None:
    http = http_router()
    for form, of_method, path in declarations:
        declared(http, form, of_method, path)
    for path in asked:
        found = http.match(path, method)
        winners = expected(http.routes, path, method)
        assert (None if found is None else found.route) in (winners or {None})


@given(st.lists(declarations, max_size=12))
def test_the_order_of_registration_hardly_matters(declarations: list[tuple[str, str, str]]) -> None:
    forwards, backwards = http_router(), http_router()
    for each in declarations:
        declared(forwards, *each)
    shown = [str(route) for route in forwards.routes]
    for route in reversed(forwards.routes):
        form = {RouteForm.MOUNT: "mount", RouteForm.PREFIX: "prefix"}.get(route.form, "path")
        declared(backwards, form, route.method, route.path.removesuffix("*"))
    assert [str(route) for route in backwards.routes] == shown
    assert all(forwards.match(route.path.removesuffix("*"), "GET") is not None for route in forwards.routes
               if route.method in ("GET", "*") and route.form is not RouteForm.PATTERN)  # fmt: skip
