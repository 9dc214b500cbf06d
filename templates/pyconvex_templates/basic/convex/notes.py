from pyconvex.server import Request, Response

from ._generated.api import api
from ._generated.data_model import Doc
from ._generated.server import ActionCtx, MutationCtx, QueryCtx, http_action, mutation, query


@query
async def by_author(ctx: QueryCtx, author: str) -> list[Doc.notes]:
    return await ctx.db.query("notes").with_index("by_author", lambda q: q.eq("author", author)).order("desc").take(10)


@mutation
async def add(ctx: MutationCtx, author: str, text: str) -> str:
    return await ctx.db.insert("notes", {"author": author, "text": text})


@http_action
async def post_note(ctx: ActionCtx, request: Request) -> Response:
    note = await request.json()
    note_id = await ctx.run_mutation(api.notes.add, author=note["author"], text=note["text"])
    return Response.json({"id": note_id}, status=201)
