from urllib.parse import unquote

from pyconvex.server import Request, Response

from ._generated.api import api, internal
from ._generated.data_model import Doc
from ._generated.server import ActionCtx, MutationCtx, QueryCtx, http_action, internal_mutation, query


@http_action
async def post_message(ctx: ActionCtx, request: Request) -> Response:
    message = await request.json()
    await ctx.run_mutation(
        internal.messages.send_one,
        body=f"Sent via HTTP action: {message['body']}",
        author=message["author"],
    )
    return Response(None, status=200)


@http_action
async def get_by_author(ctx: ActionCtx, request: Request) -> Response:
    author = request.url.search_params.get("author")
    if author is None:
        return Response("Say whose messages: /getMessagesByAuthor?author=Ada", status=400)
    return Response.json(await ctx.run_query(api.messages.by_author, author=author))


@http_action
async def get_by_author_suffix(ctx: ActionCtx, request: Request) -> Response:
    author = unquote(request.url.pathname.removeprefix("/getAuthorMessages/"))
    return Response.json(await ctx.run_query(api.messages.by_author, author=author))


@internal_mutation
async def send_one(ctx: MutationCtx, body: str, author: str) -> None:
    await ctx.db.insert("messages", {"body": body, "author": author})


@query
async def by_author(ctx: QueryCtx, author: str) -> list[Doc.messages]:
    return await (
        ctx.db.query("messages").with_index("by_author", lambda q: q.eq("author", author)).order("desc").take(10)
    )
