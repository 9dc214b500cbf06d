import os

from pyconvex.server import Request, Response

from ._generated.api import internal
from ._generated.server import ActionCtx, http_action


@http_action
async def send_image(ctx: ActionCtx, request: Request) -> Response:
    digest = request.headers.get("digest")
    sha256 = None if digest is None else digest.removeprefix("sha-256=")
    storage_id = await ctx.storage.store(await request.blob(), sha256=sha256)
    author = request.url.search_params["author"]
    await ctx.run_mutation(internal.messages.send_image, author=author, storage_id=storage_id)
    return Response.json({"storageId": storage_id}, headers=open_to_the_client())


@http_action
async def get_image(ctx: ActionCtx, request: Request) -> Response:
    blob = await ctx.storage.get(request.url.search_params["storageId"])
    return Response("Image not found", status=404) if blob is None else Response(blob)


@http_action
async def preflight(ctx: ActionCtx, request: Request) -> Response:
    """Only a real preflight gets the headers that let a page of the client's origin go on."""
    asked = ("origin", "access-control-request-method", "access-control-request-headers")
    if not all(name in request.headers for name in asked):
        return Response(None)
    allowed = {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Content-Type, Digest, Authorization",
        "Access-Control-Max-Age": "86400",
    }
    return Response(None, headers=open_to_the_client() | allowed)


def open_to_the_client() -> dict[str, str]:
    return {"Access-Control-Allow-Origin": os.environ["CLIENT_ORIGIN"], "Vary": "origin"}
