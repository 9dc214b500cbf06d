"""The router: which routes it refuses and why, and which route answers a request."""

from typing import Any

import pytest

from pyconvex.functions.routing.error import RouteError
from pyconvex.functions.routing.route import RouteForm
from pyconvex.functions.routing.router import HttpRouter
from pyconvex.server import Request, Response, action, http_action, http_router, mutation, query


@http_action
async def handler(ctx: Any, request: Request) -> Response:
    return Response(None)


@http_action
async def other(ctx: Any, request: Request) -> Response:
    return Response(None)


async def plain(ctx: Any, request: Request) -> Response:
    return Response(None)


@mutation
async def change(ctx: Any) -> None: ...


@query
async def look(ctx: Any) -> None: ...


@action
async def act(ctx: Any) -> None: ...


async def asgi_app(scope: Any, receive: Any, send: Any) -> None: ...


def router() -> HttpRouter:
    http = http_router()
    http.route(path="/used", method="GET", handler=handler)
    http.route(path="/users/{id}", method="GET", handler=handler)
    http.route(path_prefix="/used/", method="GET", handler=handler)
    http.mount("/mounted/", asgi_app)
    return http


GOOD: dict[str, Any] = {"path": "/x", "method": "GET", "handler": handler}

REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    # in the order in which they are checked
    ({"handler": None}, "RouteWithoutHandler", "route requires handler", "leave handler out to decorate"),
    ({"handler": None, "method": None}, "RouteWithoutHandler", "route requires handler", ""),
    ({"method": None, "path": "x"}, "NoMethod", "route requires method", "method='GET'"),
    ({"method": "post"}, "InvalidMethod", "'post' is not an allowed HTTP method", "write POST"),
    ({"method": "HEAD"}, "InvalidMethod", "'HEAD' is not an allowed HTTP method", "register GET"),
    ({"method": "TRACE"}, "InvalidMethod", "(like GET, POST, PUT etc.)", "GET, POST, PUT, DELETE, OPTIONS, PATCH"),
    ({"method": 5}, "InvalidMethod", "'5' is not an allowed HTTP method", ""),
    (
        {"path_prefix": "/x/"},
        "PathAndPrefix",
        "Invalid httpRouter route: cannot contain both 'path' and 'path_prefix'",
        "",
    ),
    ({"path": "x"}, "PathWithoutSlash", "path 'x' does not start with a /", "write '/x'"),
    ({"path": ""}, "PathWithoutSlash", "path '' does not start with a /", ""),
    ({"path": "/.files"}, "ReservedPath", "path '/.files' is reserved", ""),
    ({"path": "/.files/x"}, "ReservedPath", "path '/.files/x' is reserved", ""),
    ({"path": "/used"}, "DuplicateRoute", "Path '/used' for method GET already in use", "remove one"),
    ({"path": "/users/{name}"}, "DuplicateRoute", "Path '/users/{name}' for method GET already in use", ""),
    ({"path": None, "path_prefix": "x/"}, "PathWithoutSlash", "path_prefix 'x/' does not start with a /", ""),
    ({"path": None, "path_prefix": "/x"}, "PrefixWithoutSlash", "path_prefix /x must end with a /", "write '/x/'"),
    ({"path": None, "path_prefix": "/.files/"}, "ReservedPath", "path_prefix '/.files/' is reserved", ""),
    ({"path": None, "path_prefix": "/used/"}, "DuplicateRoute", "GET path_prefix /used/ is already defined", ""),
    ({"path": None}, "NoPath", "Invalid httpRouter route entry: must contain either field 'path' or 'path_prefix'", ""),
    # what Convex leaves to chance
    ({"path": 5}, "InvalidPath", "path is a str that starts with /, not `5` (int)", ""),
    ({"path": "/x?y=1"}, "PathNeverMatches", "contains a ? or #", "request.url.search_params"),
    ({"path": "/straße"}, "PathNeverMatches", "a URL is sent with '/stra%C3%9Fe' instead", "write '/stra%C3%9Fe'"),
    ({"path": "/a/../b"}, "PathNeverMatches", "a URL is sent with '/b' instead", "write '/b'"),
    ({"path": "/a b/{id}"}, "PathNeverMatches", "never matches", "write it as it is sent"),
    ({"path": None, "path_prefix": "/u/{id}/"}, "InvalidPathPattern", "has parameters", "path='/u/{id}/{rest:path}'"),
    ({"path": "/{a}{b}"}, "InvalidPathPattern", "two parameters in one segment", "one in each segment"),
    ({"path": "/{a}/{a}"}, "InvalidPathPattern", "has the parameter `{a}` twice", ""),
    ({"path": "/{1}"}, "InvalidPathPattern", "no Python name", ""),
    ({"path": "/{}"}, "InvalidPathPattern", "no Python name", ""),
    ({"path": "/{a"}, "InvalidPathPattern", "braces that do not pair", ""),
    ({"path": "/a}"}, "InvalidPathPattern", "braces that do not pair", ""),
    ({"path": "/{a:float}"}, "InvalidPathPattern", "unknown converter `float`", "`{name:int}`"),
    ({"path": "/{a:}"}, "InvalidPathPattern", "unknown converter ``", ""),
    ({"path": "/{rest:path}/x"}, "InvalidPathPattern", "goes on after `{rest:path}`", ""),
    ({"path": "/{rest:path}.txt"}, "InvalidPathPattern", "goes on after `{rest:path}`", ""),
    # handlers
    ({"handler": plain}, "HandlerNotHttpAction", "`plain` is a plain function", "decorate it with @http_action"),
    ({"handler": change}, "HandlerNotHttpAction", "`change` is a mutation", "ctx.run_mutation(change, ...)"),
    ({"handler": look}, "HandlerNotHttpAction", "`look` is a query", "ctx.run_query(look, ...)"),
    ({"handler": act}, "HandlerNotHttpAction", "`act` is an action", "ctx.run_action(act, ...)"),
    ({"handler": "plain"}, "HandlerNotHttpAction", "the handler is `'plain'` (str)", "pass the function itself"),
    ({"handler": Response}, "HandlerNotHttpAction", "the handler is the class `Response`", ""),
]


@pytest.mark.parametrize(("changes", "code", "message", "hint"), REFUSED)
def test_a_bad_route_is_refused_where_it_stands(changes: dict[str, Any], code: str, message: str, hint: str) -> None:
    http = router()
    before = http.routes
    with pytest.raises(RouteError) as caught:
        http.route(**{**GOOD, **changes})
    error = caught.value
    assert isinstance(error, ValueError)
    assert error.code == code
    assert message in error.message
    assert hint in (error.hint or "")
    assert error.place is not None
    assert (error.place.file, error.place.line) == (__file__, caught.traceback[0].lineno + 1)
    assert code != "DuplicateRoute" or error.other is not None
    assert http.routes == before


def test_both_places_of_a_duplicate_are_known() -> None:
    http = http_router()
    http.route(path="/x", method="GET", handler=handler)
    first = http.routes[0].place
    with pytest.raises(RouteError) as caught:
        http.route(path="/x", method="GET", handler=other)
    assert caught.value.other == first
    assert caught.value.place is not None
    assert caught.value.place.line == first.line + 3


MOUNTS_REFUSED: list[tuple[Any, Any, str, str]] = [
    ("api/", asgi_app, "PathWithoutSlash", "prefix 'api/' does not start with a /"),
    ("/api", asgi_app, "PrefixWithoutSlash", "prefix /api must end with a /"),
    ("/.files/", asgi_app, "ReservedPath", "prefix '/.files/' is reserved"),
    ("/mounted/", asgi_app, "DuplicateRoute", "mount '/mounted/' is already defined"),
    (5, asgi_app, "InvalidPath", "prefix is a str"),
    ("/api/", None, "NotAnAsgiApp", "takes an ASGI application, not `None`"),
    ("/api/", handler, "NotAnAsgiApp", "takes an ASGI application"),
]


@pytest.mark.parametrize(("prefix", "app", "code", "message"), MOUNTS_REFUSED)
def test_a_bad_mount_is_refused(prefix: Any, app: Any, code: str, message: str) -> None:
    with pytest.raises(RouteError) as caught:
        router().mount(prefix, app)
    assert caught.value.code == code
    assert message in caught.value.message
    assert caught.value.place is not None
    assert caught.value.place.file == __file__


def full() -> HttpRouter:
    http = http_router()
    for method in ("GET", "POST"):
        http.route(path="/exact", method=method, handler=handler)
    http.route(path="/a", method="POST", handler=handler)
    for prefix in ("/", "/a/", "/a/b/"):
        http.route(path_prefix=prefix, method="GET", handler=handler)
    http.route(path="/users/me", method="GET", handler=handler)
    http.route(path="/users/{name}", method="GET", handler=handler)
    http.route(path="/users/{id:int}", method="GET", handler=handler)
    http.route(path="/users/{id:int}/posts/{post}", method="GET", handler=handler)
    http.route(path="/files/{rest:path}", method="GET", handler=handler)
    http.route(path="/docs/{name}", method="GET", handler=handler)
    http.route(path="/docs/{name}.json", method="GET", handler=handler)
    http.route(path="/docs/v{version:int}", method="GET", handler=handler)
    http.route(path="/{anything}/here", method="GET", handler=handler)
    http.mount("/a/", asgi_app)
    http.mount("/a/b/c/", asgi_app)
    http.mount("/only/", asgi_app)
    return http


MATCHES: list[tuple[str, str, str | None, dict[str, object]]] = [
    ("GET", "/exact", "/exact", {}),
    ("HEAD", "/exact", "/exact", {}),
    ("POST", "/exact", "/exact", {}),
    ("POST", "/exact/", None, {}),
    ("GET", "/Exact", "/*", {}),
    ("GET", "/exact/", "/*", {}),
    ("GET", "/ex%61ct", "/*", {}),
    ("PUT", "/exact", None, {}),
    ("TRACE", "/exact", None, {}),
    ("get", "/exact", None, {}),
    ("GET", "/", "/*", {}),
    ("GET", "/a", "/*", {}),  # registered for POST only: a GET falls through to its prefixes
    ("GET", "/a/", "/a/*", {}),  # a prefix beats a mount of the same length
    ("POST", "/a/x", "/a/*", {}),  # the mount: there is no POST prefix
    ("GET", "/a/b", "/a/*", {}),
    ("GET", "/a/b/x", "/a/b/*", {}),
    ("GET", "/a/b/c/d", "/a/b/c/*", {}),  # the longest wins, prefix or mount
    ("GET", "/a//b", "/a/*", {}),
    ("GET", "/only", "/*", {}),
    ("DELETE", "/only/x", "/only/*", {}),
    ("GET", "/users/me", "/users/me", {}),
    ("GET", "/users/7", "/users/{id:int}", {"id": 7}),
    ("GET", "/users/-7", "/users/{id:int}", {"id": -7}),
    ("GET", "/users/7x", "/users/{name}", {"name": "7x"}),
    ("GET", "/users/A%20b%2Fc", "/users/{name}", {"name": "A b/c"}),
    ("GET", "/users/%ff", "/users/{name}", {"name": "\ufffd"}),
    ("GET", "/users/", "/*", {}),
    ("GET", "/users/a/b", "/*", {}),
    ("GET", "/users/7/posts/x", "/users/{id:int}/posts/{post}", {"id": 7, "post": "x"}),
    ("GET", "/users/x/posts/x", "/*", {}),
    ("GET", "/docs/a", "/docs/{name}", {"name": "a"}),
    ("GET", "/docs/a.json", "/docs/{name}.json", {"name": "a"}),  # more of it is literal
    ("GET", "/docs/v2", "/docs/v{version:int}", {"version": 2}),
    ("GET", "/docs/here", "/docs/{name}", {"name": "here"}),  # a literal segment beats a parameter
    ("GET", "/else/here", "/{anything}/here", {"anything": "else"}),
    ("GET", "/files/a.txt", "/files/{rest:path}", {"rest": "a.txt"}),
    ("GET", "/files/a/b%20c", "/files/{rest:path}", {"rest": "a/b c"}),
    ("GET", "/files/", "/files/{rest:path}", {"rest": ""}),
    ("GET", "/files/a\nb", "/files/{rest:path}", {"rest": "a\nb"}),
    ("GET", "/users/" + "9" * 5000, "/users/{name}", {"name": "9" * 5000}),
]


@pytest.mark.parametrize(("method", "path", "shown", "params"), MATCHES)
def test_the_route_that_answers(method: str, path: str, shown: str | None, params: dict[str, object]) -> None:
    http = full()
    match = http.match(path, method)
    if shown is None:
        assert match is None
        assert http.lookup(path, method) is None
    else:
        assert match is not None
        assert (match.route.path, dict(match.path_params)) == (shown, params)
        assert match.why
        looked_up = http.lookup(path, method)
        assert looked_up == (match.route.handler, "GET" if method == "HEAD" else method, shown)


def test_prefix_and_mount_of_equal_length() -> None:
    http = full()
    assert http.lookup("/a/", "GET") == (handler, "GET", "/a/*")
    assert http.lookup("/a/", "POST") == (asgi_app, "POST", "/a/*")


def test_the_order_of_routes_shown() -> None:
    http = http_router()
    http.mount("/z/", asgi_app)
    http.route(path_prefix="/p/", method="POST", handler=handler)
    http.route(path_prefix="/q/", method="GET", handler=handler)
    http.route(path_prefix="/o/", method="POST", handler=handler)
    http.route(path="/u/{id}", method="GET", handler=handler)
    http.route(path="/b", method="POST", handler=handler)
    http.route(path="/b", method="GET", handler=other)
    http.route(path="/a", method="POST", handler=handler)
    assert http.get_routes() == [
        ("/a", "POST", handler),
        ("/b", "GET", other),
        ("/b", "POST", handler),
        ("/u/{id}", "GET", handler),
        ("/q/*", "GET", handler),
        ("/o/*", "POST", handler),
        ("/p/*", "POST", handler),
        ("/z/*", "*", asgi_app),
    ]
    forms = [route.form for route in http.routes]
    assert forms == [RouteForm.EXACT] * 3 + [RouteForm.PATTERN] + [RouteForm.PREFIX] * 3 + [RouteForm.MOUNT]
    assert [str(route) for route in http.routes][-1] == "* /z/*"


def test_the_decorator_makes_http_actions() -> None:
    http = http_router()

    @http.route(path="/one", method="GET")
    @http.route(path="/two", method="POST")
    async def both(ctx: Any, request: Request) -> Response:
        return Response("both")

    assert http.get_routes() == [("/one", "GET", both), ("/two", "POST", both)]
    assert both.kind == "http_action"
    assert http.route(path="/three", method="GET")(handler) is handler
    assert http.pending == ()


def test_a_route_that_decorates_nothing_is_pending() -> None:
    http = http_router()
    decorate = http.route(path="/x", method="GET")
    assert [place.file for place in http.pending] == [__file__]
    assert http.routes == ()
    with pytest.raises(RouteError, match="is a mutation"):
        decorate(change)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - the mistake
    decorate(plain)
    assert http.pending == ()
    with pytest.raises(RouteError, match="already in use"):
        decorate(plain)


def test_a_frozen_router_takes_no_routes() -> None:
    http = http_router()
    late = http.route(path="/late", method="GET")
    http.freeze()
    for add in (
        lambda: http.route(path="/x", method="GET", handler=handler),
        lambda: http.mount("/x/", asgi_app),
        lambda: late(plain),
    ):
        with pytest.raises(RouteError) as caught:
            add()
        assert caught.value.code == "RouterFrozen"
        assert caught.value.place is not None
    assert http.routes == ()


def test_an_empty_router_knows_nothing() -> None:
    http = http_router()
    assert (http.match("/x", "GET"), http.methods_at("/x"), http.routes) == (None, (), ())
    assert full().methods_at("/exact") == ("GET", "POST")
    assert full().methods_at("/only/x") == ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
