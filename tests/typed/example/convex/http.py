from pyconvex.server import Request, Response, http_router

from ._generated.server import ActionCtx
from .tables import upload

http = http_router()
http.route(path="/upload", method="POST", handler=upload)


@http.route(path="/hello", method="GET")
async def hello(ctx: ActionCtx, request: Request) -> Response:
    return Response(request.method)


default = http
