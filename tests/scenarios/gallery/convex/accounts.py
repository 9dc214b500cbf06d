from pyconvex.server import Request, Response

from ._generated.server import ActionCtx, http_action
from .images import open_to_the_client


@http_action
async def who_am_i(ctx: ActionCtx, request: Request) -> Response:
    try:
        identity = await ctx.auth.get_user_identity()
    except Exception as error:
        return Response(f"unknown: {error}", status=401, headers=open_to_the_client())
    name = "nobody" if identity is None else identity["name"]
    return Response.json({"name": name}, headers=open_to_the_client())
