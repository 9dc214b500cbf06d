import os

from pyconvex.server import Request, Response

from ._generated.server import ActionCtx, http_action


@http_action
async def send_image(ctx: ActionCtx, request: Request) -> Response:
    storage_id = await ctx.storage.store(await request.blob())
    return Response.json({"storageId": storage_id}, headers=cors_headers())


@http_action
async def get_image(ctx: ActionCtx, request: Request) -> Response:
    storage_id = request.url.search_params.get("storageId")
    image = None if storage_id is None else await ctx.storage.get(storage_id)
    if image is None:
        return Response("There is no such image", status=404)
    return Response(image)


@http_action
async def allow_send_image(ctx: ActionCtx, request: Request) -> Response:
    """Answers the preflight: a browser asks it before a page of another origin may post an image."""
    headers = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Content-Type, Digest",
        "Access-Control-Max-Age": "86400",
    }
    return Response(None, status=204, headers=cors_headers() | headers)


def cors_headers() -> dict[str, str]:
    """Let pages of CLIENT_ORIGIN read the answer; without that variable no foreign page may."""
    origin = os.environ.get("CLIENT_ORIGIN")
    if origin is None:
        print("CLIENT_ORIGIN is not set, so browsers refuse this to pages of other origins. Set it with:")
        print("pyconvex env set CLIENT_ORIGIN http://localhost:5173")
        return {}
    return {"Access-Control-Allow-Origin": origin, "Vary": "origin"}
