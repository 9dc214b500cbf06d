from typing import Any
from urllib.parse import unquote

from pyconvex.server import Request, Response

from ._generated.api import api, internal
from ._generated.server import ActionCtx, MutationCtx, QueryCtx, http_action, internal_mutation, mutation, query


@query
async def latest(ctx: QueryCtx) -> list[Any]:
    """Messages, those that are images with the address of the image."""
    newest_first = await ctx.db.query("messages").order("desc").take(50)
    return [
        {**message, "url": await ctx.storage.get_url(message["body"]) if message["format"] == "image" else None}
        for message in reversed(newest_first)
    ]


@query
async def by_author(ctx: QueryCtx, author: str) -> list[Any]:
    return await ctx.db.query("messages").with_index("by_author", lambda q: q.eq("author", author)).collect()


@mutation
async def send(ctx: MutationCtx, author: str, body: str) -> None:
    await ctx.db.insert("messages", {"format": "text", "author": author, "body": body})


@internal_mutation
async def send_image(ctx: MutationCtx, author: str, storage_id: str) -> None:
    await ctx.db.insert("messages", {"format": "image", "author": author, "body": storage_id})


@mutation
async def remove_images(ctx: MutationCtx, author: str) -> int:
    """The messages and the files, in one transaction."""
    images = await ctx.db.query("messages").filter(lambda q: q.eq(q.field("format"), "image")).collect()
    mine = [message for message in images if message["author"] == author]
    for message in mine:
        await ctx.storage.delete(message["body"])
        await ctx.db.delete(message["_id"])
    return len(mine)


@mutation
async def new_upload_url(ctx: MutationCtx) -> str:
    return await ctx.storage.generate_upload_url()


@mutation
async def keep_upload(ctx: MutationCtx, author: str, storage_id: str) -> None:
    await ctx.run_mutation(internal.messages.send_image, author=author, storage_id=storage_id)


@http_action
async def post_message(ctx: ActionCtx, request: Request) -> Response:
    message = await request.json()
    await ctx.run_mutation(api.messages.send, author=message["author"], body=f"Sent via HTTP action: {message['body']}")
    return Response(None, status=200)


@http_action
async def get_by_author(ctx: ActionCtx, request: Request) -> Response:
    author = request.url.search_params.get("author") or unquote(request.url.pathname.rpartition("/")[2])
    return Response.json(await ctx.run_query(api.messages.by_author, author=author))
