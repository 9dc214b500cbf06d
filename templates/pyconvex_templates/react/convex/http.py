from pyconvex.server import Request, Response, http_router
from pyconvex.values import ConvexError

from ._generated.api import api
from ._generated.server import ActionCtx

http = http_router()


@http.route(path="/messages", method="POST")
async def post_message(ctx: ActionCtx, request: Request) -> Response:
    message = await request.json()
    try:
        await ctx.run_mutation(api.messages.send, author=message["author"], body=message["body"])
    except ConvexError as refused:
        return Response.json({"error": refused.data}, status=400)
    return Response(None, status=204)


default = http
