"""Texts of `convex/http.py` that are wrong, and the problem that each one makes."""

from dataclasses import dataclass

from pyconvex.errors import Place

HANDLERS = """
    from pyconvex.server import Request, Response
    from ._generated.server import ActionCtx, http_action, internal_mutation, query, action

    @http_action
    async def get(ctx: ActionCtx, request: Request) -> Response:
        return Response("got")

    @query
    async def listed(ctx, limit: int): ...

    @internal_mutation
    async def send_one(ctx, body: str): ...

    @action
    async def sync(ctx): ...

    async def plain(ctx, request): ...
"""

ROUTER = "from pyconvex.server import http_router\n"


@dataclass(frozen=True)
class Row:
    """A text of `http.py`, and the problem it makes: code, message, place, hint, other places."""

    text: str
    code: str
    message: str
    place: str
    hint: str | None
    also: tuple[Place, ...] = ()


ROUTES = ROUTER + "from .messages import *\nhttp = http_router()\n"

ROWS = {
    "a router without default": Row(
        ROUTER + "\nhttp = http_router()\n",
        "HttpWithoutDefault",
        "`convex/http.py` makes an HttpRouter but does not export it",
        "convex/http.py:3:1",
        "add `default = http` as the last line",
    ),
    "several routers without default": Row(
        ROUTER + "http = http_router()\nadmin = http_router()\n",
        "HttpWithoutDefault",
        "`convex/http.py` has 2 HttpRouters, `http` and `admin`, but no `default`",
        "convex/http.py:2:1",
        "say which one is served: add `default = http`",
        (Place("convex/http.py", 3, 1),),
    ),
    "no router at all": Row(
        "PORT = 3211\n",
        "HttpWithoutDefault",
        "`convex/http.py` has no `default`: it must export an HttpRouter",
        "convex/http.py:1",
        "make it with `http = http_router()`, add routes, and end with `default = http`",
    ),
    "default is None": Row(
        "default = None\n",
        "HttpDefaultWrong",
        "the `default` of `convex/http.py` is None, not an HttpRouter",
        "convex/http.py:1:1",
        "make it with `http = http_router()`, add routes, and end with `default = http`",
    ),
    "default is a dict": Row(
        "default = {'/': 1}\n",
        "HttpDefaultWrong",
        "the `default` of `convex/http.py` is a dict, not an HttpRouter",
        "convex/http.py:1:1",
        "make it with `http = http_router()`, add routes, and end with `default = http`",
    ),
    "default is something else beside a router": Row(
        ROUTER + "http = http_router()\ndefault = [http]\n",
        "HttpDefaultWrong",
        "the `default` of `convex/http.py` is a list, not an HttpRouter",
        "convex/http.py:3:1",
        "write `default = http`",
    ),
    "default is a function": Row(
        ROUTER + "def routes():\n    return http_router()\n\ndefault = routes\n",
        "HttpDefaultWrong",
        "the `default` of `convex/http.py` is the function `routes`, not an HttpRouter",
        "convex/http.py:5:1",
        "make it with `http = http_router()`, add routes, and end with `default = http`",
    ),
    "default is a class": Row(
        "class Routes: ...\n\ndefault = Routes\n",
        "HttpDefaultWrong",
        "the `default` of `convex/http.py` is the class `Routes`, not an HttpRouter",
        "convex/http.py:3:1",
        "make it with `http = http_router()`, add routes, and end with `default = http`",
    ),
    "default is an ASGI app": Row(
        "class FastAPI:\n    async def __call__(self, scope, receive, send): ...\n\napp = FastAPI()\ndefault = app\n",
        "HttpDefaultWrong",
        "the `default` of `convex/http.py` is a FastAPI app, not an HttpRouter",
        "convex/http.py:5:1",
        'serve it below a path: `http = http_router()`, `http.mount("/", app)`, `default = http`',
    ),
    "default is an ASGI app beside a router": Row(
        ROUTER + "class Starlette:\n    async def __call__(self, scope, receive, send): ...\n\n"
        "http = http_router()\nsite = Starlette()\ndefault = site\n",
        "HttpDefaultWrong",
        "the `default` of `convex/http.py` is a Starlette app, not an HttpRouter",
        "convex/http.py:7:1",
        'serve it below a path: `http.mount("/", site)`, `default = http`',
    ),
    "default is a WSGI app": Row(
        "class Flask:\n    def wsgi_app(self, environ, start): ...\n    __call__ = wsgi_app\n\n"
        "app = Flask()\ndefault = app\n",
        "HttpDefaultWrong",
        "the `default` of `convex/http.py` is a Flask app, not an HttpRouter",
        "convex/http.py:6:1",
        'serve it below a path: `http = http_router()`, `http.mount("/", WsgiToAsgi(app))`, `default = http`; '
        "`WsgiToAsgi` is in the package `asgiref` (`asgiref.wsgi`)",
    ),
    "default is http_router, not called": Row(
        ROUTER + "default = http_router\n",
        "HttpNotCalled",
        "`default` is the function `http_router` itself, not an HttpRouter",
        "convex/http.py:2:1",
        "call it: `http = http_router()`, then `default = http`",
    ),
    "default is the class HttpRouter": Row(
        "from pyconvex.server import HttpRouter\ndefault = HttpRouter\n",
        "HttpNotCalled",
        "`default` is the class `HttpRouter` itself, not an HttpRouter",
        "convex/http.py:2:1",
        "call it: `http = http_router()`, then `default = http`",
    ),
    "http_router used without calling it": Row(
        ROUTER + 'http = http_router\nhttp.route(path="/", method="GET")\n',
        "AttributeError",
        "AttributeError: 'function' object has no attribute 'route'",
        "convex/http.py:3:1",
        "call it: `http_router()`",
    ),
    "handler is a plain function": Row(
        ROUTES + 'http.route(path="/x", method="GET", handler=plain)\ndefault = http\n',
        "HandlerNotHttpAction",
        "the handler `plain` is a plain function, not an HTTP action",
        "convex/http.py:4",
        "decorate it with @http_action: `@http_action` above `async def plain(ctx, request)`",
    ),
    "handler is a query": Row(
        ROUTES + 'http.route(path="/x", method="GET", handler=listed)\ndefault = http\n',
        "HandlerNotHttpAction",
        "the handler `listed` is a query, not an HTTP action",
        "convex/http.py:4",
        "write an `@http_action` that calls `await ctx.run_query(listed, ...)`",
        (Place("convex/messages.py", 9),),
    ),
    "handler is a mutation": Row(
        ROUTES + 'http.route(path="/x", method="POST", handler=send_one)\ndefault = http\n',
        "HandlerNotHttpAction",
        "the handler `send_one` is a mutation, not an HTTP action",
        "convex/http.py:4",
        "write an `@http_action` that calls `await ctx.run_mutation(send_one, ...)`",
        (Place("convex/messages.py", 12),),
    ),
    "handler is an action": Row(
        ROUTES + 'http.route(path="/x", method="POST", handler=sync)\ndefault = http\n',
        "HandlerNotHttpAction",
        "the handler `sync` is an action, not an HTTP action",
        "convex/http.py:4",
        "write an `@http_action` that calls `await ctx.run_action(sync, ...)`",
        (Place("convex/messages.py", 15),),
    ),
    "handler is None": Row(
        ROUTES + 'http.route(path="/x", method="POST", handler=None)\ndefault = http\n',
        "RouteWithoutHandler",
        "route requires handler",
        "convex/http.py:4",
        "pass an HTTP action as handler=, or leave handler out to decorate a function",
    ),
    "route() that decorates nothing": Row(
        ROUTES + 'http.route(path="/x", method="POST")\ndefault = http\n',
        "RouteWithoutHandler",
        "this `route()` has no handler and decorates no function",
        "convex/http.py:4",
        "pass `handler=`, or write it as `@http.route(...)` above an `async def`",
    ),
    "path without its slash": Row(
        ROUTES + 'http.route(path="x", method="GET", handler=get)\ndefault = http\n',
        "PathWithoutSlash",
        "path 'x' does not start with a /",
        "convex/http.py:4",
        "write '/x'",
    ),
    "prefix without its slash": Row(
        ROUTES + 'http.route(path_prefix="/x", method="GET", handler=get)\ndefault = http\n',
        "PrefixWithoutSlash",
        "path_prefix /x must end with a /",
        "convex/http.py:4",
        "write '/x/'",
    ),
    "both path and prefix": Row(
        ROUTES + 'http.route(path="/x", path_prefix="/x/", method="GET", handler=get)\ndefault = http\n',
        "PathAndPrefix",
        "Invalid httpRouter route: cannot contain both 'path' and 'path_prefix'",
        "convex/http.py:4",
        "keep `path` for one exact path, or `path_prefix` for everything below it",
    ),
    "neither path nor prefix": Row(
        ROUTES + 'http.route(method="GET", handler=get)\ndefault = http\n',
        "NoPath",
        "Invalid httpRouter route entry: must contain either field 'path' or 'path_prefix'",
        "convex/http.py:4",
        "write `path='/...'` or `path_prefix='/.../'`",
    ),
    "a reserved path": Row(
        ROUTES + 'http.route(path="/.files/x", method="GET", handler=get)\ndefault = http\n',
        "ReservedPath",
        "path '/.files/x' is reserved",
        "convex/http.py:4",
        "choose another path than /.files",
    ),
    "an unknown method": Row(
        ROUTES + 'http.route(path="/x", method="FETCH", handler=get)\ndefault = http\n',
        "InvalidMethod",
        "'FETCH' is not an allowed HTTP method (like GET, POST, PUT etc.)",
        "convex/http.py:4",
        "methods of routes are GET, POST, PUT, DELETE, OPTIONS, PATCH",
    ),
    "a lower-case method": Row(
        ROUTES + 'http.route(path="/x", method="get", handler=get)\ndefault = http\n',
        "InvalidMethod",
        "'get' is not an allowed HTTP method (like GET, POST, PUT etc.)",
        "convex/http.py:4",
        "methods are upper-case: write GET",
    ),
    "the same route twice": Row(
        ROUTES + 'for _ in range(1):\n    http.route(path="/x", method="GET", handler=get)\n'
        '\nhttp.route(path="/x", method="GET", handler=get)\ndefault = http\n',
        "DuplicateRoute",
        "Path '/x' for method GET already in use",
        "convex/http.py:7",
        "remove one of the two routes, or give it another method",
        (Place("convex/http.py", 5),),
    ),
    "the same prefix twice": Row(
        ROUTES + 'http.route(path_prefix="/x/", method="GET", handler=get)\n'
        'http.route(path_prefix="/x/", method="GET", handler=get)\ndefault = http\n',
        "DuplicateRoute",
        "GET path_prefix /x/ is already defined",
        "convex/http.py:5",
        "remove one of the two routes, or give it another prefix",
        (Place("convex/http.py", 4),),
    ),
    "middleware that is no async def": Row(
        ROUTES + "\n\n@http.use\ndef timed(ctx, request, next):\n    return next(request)\n\n\ndefault = http\n",
        "InvalidMiddleware",
        "the middleware `timed` is no `async def`",
        "convex/http.py:6",
        "write `async def timed(ctx, request, next)`",
        (Place("convex/http.py", 7),),
    ),
    "middleware of other parameters": Row(
        ROUTES + "\n\nasync def known(ctx, request): ...\n\n\n"
        'http.route(path="/x", method="GET", handler=get, middleware=[known])\ndefault = http\n',
        "InvalidMiddleware",
        "the middleware `known` does not take the three arguments ctx, request and next",
        "convex/http.py:9",
        "write `async def known(ctx, request, next)`, and go on with `return await next(request)`",
        (Place("convex/http.py", 6),),
    ),
    "a body limit that is no number": Row(
        ROUTES + 'http.route(path="/x", method="POST", handler=get, max_body_bytes="5MB")\ndefault = http\n',
        "InvalidBodyLimit",
        "max_body_bytes is a whole number of bytes, not `'5MB'` (str)",
        "convex/http.py:4",
        "write max_body_bytes=5 * 2**20 for 5 MiB, or leave it out for the deployment's own limit",
    ),
}
