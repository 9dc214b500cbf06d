"""Nothing is known of the tables: ids are `str`, documents `dict[str, Any]`, and nothing is wrong."""

from typing import Any, reveal_type

from pyconvex.server import PaginationOpts
from pyconvex.values import undefined

from ._generated.api import api
from ._generated.server import ActionCtx, MutationCtx, QueryCtx, action, mutation, query


@query
async def read(ctx: QueryCtx, id: str, author: str) -> list[dict[str, Any]]:
    reveal_type(await ctx.db.get(id))  # dict[str, Any] | None
    reveal_type(ctx.db.normalize_id("notes", id))  # str | None
    notes = ctx.db.query("notes").with_index("by_author", lambda q: q.eq("author", author).gte("_creationTime", 0))
    ctx.db.query("notes").with_search_index("search_text", lambda q: q.search("text", "x").eq("author", author))
    async for note in notes.order("desc").filter(lambda q: q.not_(q.eq(q.field("text"), ""))):
        reveal_type(note)  # dict[str, Any]
    return await ctx.db.table("notes").query().collect()


@query
async def page(ctx: QueryCtx, opts: PaginationOpts):
    result = await ctx.db.query("notes").paginate(opts)
    return result["page"]


@mutation
async def write(ctx: MutationCtx, id: str, fields: dict[str, Any]) -> str:
    await ctx.db.patch(id, {"text": undefined, **fields})
    await ctx.db.replace("notes", id, fields)
    await ctx.db.delete(id)
    await ctx.db.table("notes").patch(id, {"n": 1})
    await ctx.scheduler.run_after(1000, write, id=id, fields={})
    return await ctx.db.insert("notes", {"text": "x", "n": [1, {"deep": None}]})


@action
async def call(ctx: ActionCtx, vector: list[float]) -> str:
    found = await ctx.vector_search("notes", "by_vector", vector=vector, filter=lambda q: q.eq("author", "Ada"))
    reveal_type(await ctx.run_query(api.notes.page, opts={"numItems": 3, "cursor": None}))  # list[dict[str, Any]]
    reveal_type(await ctx.run_mutation(api.notes.write, id=found[0]["_id"], fields={}))  # str
    return await ctx.run_mutation("notes:write", id="", fields={})
