"""What `use()` and `middleware=` take, and what they refuse at its line."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pyconvex.functions.routing.error import RouteError
from pyconvex.server import Next, Request, Response, http_action, http_router, query


@http_action
async def handler(ctx: Any, request: Request) -> Response:
    return Response(None)


async def good(ctx: Any, request: Request, next: Next) -> Response:
    return await next(request)


async def with_more(ctx: Any, request: Request, next: Next, *, verbose: bool = False) -> Response:
    return await next(request)


class Callee:
    async def __call__(self, ctx: Any, request: Request, next: Next) -> Response:
        return await next(request)


def plain(ctx: Any, request: Request, next: Next) -> Awaitable[Response]:
    return next(request)


async def two(ctx: Any, request: Request) -> Response:
    return Response(None)


async def keywords(*, ctx: Any, request: Request, next: Next) -> Response:
    return await next(request)


@query
async def look(ctx: Any) -> None: ...


REFUSED: list[tuple[Any, str, str]] = [
    (plain, "the middleware `plain` is no `async def`", "write `async def plain(ctx, request, next)`"),
    (two, "the middleware `two` does not take the three arguments ctx, request and next", "await next(request)"),
    (keywords, "the middleware `keywords` does not take the three arguments", "async def keywords(ctx, request, next)"),
    (look, "the middleware `look` is a query", "take the decorator away"),
    (handler, "the middleware `handler` is an HTTP action", "take the decorator away"),
    (Callee, "not the class `Callee`", "middleware of ASGI goes around an application that is mounted"),
    (None, "not `None`", "pass `async def"),
    ("good", "not `'good'` (str)", ""),
    (lambda *given: given[2](given[1]), "`<lambda>` is no `async def`", ""),  # pyright: ignore[reportUnknownLambdaType]
]


@pytest.mark.parametrize(("middleware", "message", "hint"), REFUSED)
def test_what_is_no_middleware(middleware: Any, message: str, hint: str) -> None:
    http = http_router()
    calls: list[Callable[[], object]] = [
        lambda: http.use(middleware),
        lambda: http.route(path="/x", method="GET", handler=handler, middleware=[middleware]),
    ]
    for call in calls:
        with pytest.raises(RouteError) as caught:
            call()
        error = caught.value
        assert (error.code, message in error.message, hint in (error.hint or "")) == ("InvalidMiddleware", True, True)
        assert error.place is not None
        assert (error.place.file, error.place.line) == (__file__, caught.traceback[1].lineno + 1)
    assert (http.middleware, http.routes) == ((), ())


def test_middleware_is_given_as_a_list() -> None:
    http = http_router()
    single: Any = good
    with pytest.raises(RouteError, match="middleware= takes a list, not `<function good") as caught:
        http.route(path="/x", method="GET", handler=handler, middleware=single)
    assert caught.value.hint == "write middleware=[good]"


def test_middleware_of_a_route_is_checked_with_the_decorator_form() -> None:
    http = http_router()
    wrong: Any = plain
    with pytest.raises(RouteError, match="no `async def`"):
        http.route(path="/x", method="GET", middleware=[wrong])
    assert http.pending == ()


def test_what_is_middleware() -> None:
    http = http_router()
    callee = Callee()
    assert http.use(good) is good, "so that it is a decorator"
    http.use(callee)
    http.route(path="/x", method="GET", handler=handler, middleware=(with_more,))
    http.mount("/m/", asgi_app)
    assert http.middleware == (good, callee)
    http.freeze()
    exact, mount = http.routes
    assert (exact.handler, exact.middleware) == (handler, (with_more,))
    assert exact.layered is not None
    assert mount.layered is None, "mounted applications have middleware of their own"
    with pytest.raises(RouteError, match="while requests are served"):
        http.use(good)


async def asgi_app(scope: Any, receive: Any, send: Any) -> None: ...


def test_a_route_without_middleware_costs_nothing_more() -> None:
    http = http_router()
    http.route(path="/x", method="GET", handler=handler)
    before = http.routes
    http.freeze()
    assert http.routes == before
    assert http.routes[0].layered is None


LIMITS: list[Any] = [-1, 1.5, True, "5MB"]


@pytest.mark.parametrize("limit", LIMITS)
def test_body_limits_are_whole_numbers_of_bytes(limit: Any) -> None:
    http = http_router()
    for call in (
        lambda: http.route(path="/x", method="POST", handler=handler, max_body_bytes=limit),
        lambda: http.mount("/m/", asgi_app, max_body_bytes=limit),
    ):
        with pytest.raises(RouteError, match="max_body_bytes is a whole number of bytes") as caught:
            call()
        assert caught.value.code == "InvalidBodyLimit"
        assert caught.value.place is not None
    http.route(path="/x", method="POST", handler=handler, max_body_bytes=0)
    assert [route.max_body_bytes for route in http.routes] == [0]
