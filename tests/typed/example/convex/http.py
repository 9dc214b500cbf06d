from typing import reveal_type

from pyconvex.server import Middleware, Next, Request, Response, http_router

from ._generated.server import ActionCtx
from .tables import upload

http = http_router()
http.route(path="/upload", method="POST", handler=upload, max_body_bytes=5 * 2**20)


@http.use
async def timed(ctx: ActionCtx, request: Request, next: Next) -> Response:
    response = await next(request)
    reveal_type(response)  # Response
    response.headers.set("x-path", request.url.pathname)
    return response


async def known(ctx: ActionCtx, request: Request, next: Next) -> Response:
    return await next(request) if "x-key" in request.headers else Response(None, status=401)


guard: Middleware = timed


@http.route(path="/hello", method="GET")
async def hello(ctx: ActionCtx, request: Request) -> Response:
    return Response(request.method)


@http.route(path="/known", method="GET", middleware=[known, timed])
async def greeted(ctx: ActionCtx, request: Request) -> Response:
    return Response("hello")


default = http
