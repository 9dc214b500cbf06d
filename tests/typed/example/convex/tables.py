"""Tables of all shapes."""

from typing import reveal_type

from pyconvex.server import Blob, Request, Response, StorageId
from pyconvex.values import Int64, undefined

from ._generated.api import api
from ._generated.data_model import Doc, Id, TableName
from ._generated.server import ActionCtx, MutationCtx, action, http_action, internal_mutation, mutation


@mutation
async def keyword(ctx: MutationCtx, id: Id.from_) -> Doc.from_ | None:
    await ctx.db.insert("from", {"class": "first"})
    await ctx.db.patch(id, {"import": undefined})
    first = ctx.db.query("from").with_index("by_class", lambda q: q.eq("class", "x"))
    reveal_type(await first.unique())  # _from | None
    return await ctx.db.get("from", id)


@mutation
async def union(ctx: MutationCtx, id: Id.events, user: Id.users) -> str:
    await ctx.db.insert("events", {"type": "joined", "user": user})
    await ctx.db.insert("events", {"type": "renamed", "user": user, "name": "Ada"})
    await ctx.db.patch(id, {"name": undefined})
    event = await ctx.db.get(id)
    ctx.db.query("events").with_search_index("search_new_name", lambda q: q.search("name", "Ada").eq("user", user))
    ctx.db.query("events").with_index("by_renamed", lambda q: q.gt("name", undefined))
    assert event is not None
    if event["type"] == "renamed":
        reveal_type(event["name"])  # str
        await ctx.db.replace(id, event)
        return event["name"]
    return event["type"]


@internal_mutation
async def free(ctx: MutationCtx, id: Id.anything) -> Doc.anything | None:
    await ctx.db.insert("anything", {"x": 1, "y": [1, "2"]})
    await ctx.db.query("anything").with_index("by_x", lambda q: q.eq("x", 1)).first()
    await ctx.db.patch(id, {"z": undefined})
    return await ctx.db.get(id)


@mutation
async def everything(ctx: MutationCtx, user: Id.users) -> None:
    new = await ctx.db.insert(
        "everything",
        {
            "bytes": b"",
            "whole": Int64(5),
            "flag": True,
            "nothing": None,
            "counts": {"a": 1, "b": 2.5},
            "seen": {user: True},
            "choice": 1,
            "deep": {"deeper": [{"deepest": None}, {"deepest": "x"}]},
            "metadata": {"author": "Ada"},
            "items": [1, 2.5],
        },
    )
    found = await ctx.db.get(new)
    assert found is not None
    reveal_type(found["choice"])  # Literal['x', 1, True] | None
    reveal_type(found["deep"]["deeper"][0]["deepest"])  # str | None
    reveal_type(found["whole"])  # Int64
    query = ctx.db.query("everything")
    query.with_index("by_whole", lambda q: q.gt("whole", Int64(3)))
    query.with_index("by_bytes", lambda q: q.eq("bytes", b"x"))
    query.with_index("by_metadata", lambda q: q.eq("metadata.author", "Ada"))
    query.with_index("by_choice", lambda q: q.eq("choice", None).lt("counts.total", 3))
    query.filter(lambda q: q.eq(q.field("metadata.author"), "Ada"))
    await ctx.db.insert("odd", {"str": "x", "Any": ["y"]})


@action
async def nearest(ctx: ActionCtx, vector: list[float]) -> list[Id.foods]:
    foods = await ctx.vector_search(
        "foods",
        "by_embedding",
        vector=vector,
        limit=16,
        filter=lambda q: q.or_(q.eq("cuisine", "French"), q.eq("cuisine", "Thai")),
    )
    pictures = await ctx.vector_search("pictures", "by_embedding", vector=vector)
    reveal_type(pictures)  # list[VectorMatch[pictures]]
    return [food["_id"] for food in foods]


@http_action
async def upload(ctx: ActionCtx, request: Request) -> Response:
    stored = await ctx.storage.store(Blob([await request.bytes()]))
    reveal_type(stored)  # StorageId
    reveal_type(await ctx.run_action(api.tables.nearest, vector=[1.0]))  # list[foods]
    return Response.json({"id": stored})


@mutation
async def logo(ctx: MutationCtx, team: Id.teams, stored: StorageId) -> float:
    await ctx.db.patch(team, {"logo": stored})
    file = await ctx.db.system.get(stored)
    files = ctx.db.system.table("_storage").query().with_index("by_id", lambda q: q.gt("_id", stored))
    reveal_type(await files.filter(lambda q: q.gt(q.field("size"), 10)).collect())  # list[StoredFile]
    names: list[TableName] = ["users", "from"]
    return len(names) if file is None else file["size"]
