from typing import reveal_type

from pyconvex.values import Int64

from ._generated.api import api
from ._generated.data_model import Doc, Id
from ._generated.server import MutationCtx, mutation


@mutation
async def reference(ctx: MutationCtx, id: Id.list, other: Id.class_) -> Doc.list | None:
    await ctx.db.insert("class", {"list": id, "str": "x", "Any": ctx})
    await ctx.db.insert("class_", {"deep": {"not a name": "x", "__x": 1}})
    await ctx.db.insert("query", {"update": True, "values": {"a": [Int64(1)]}})
    await ctx.db.insert("unknown", {"anything": 1})
    await ctx.db.query("unknown").with_index("any").collect()
    await ctx.db.patch(id, {"items": ["x"]})
    reveal_type(await ctx.db.get(other))  # _class_ | None
    found = await ctx.db.get(id)
    return found if found and found["items"] else await ctx.run_mutation(api.reference.reference, id=id, other=other)


@mutation
async def second(ctx: MutationCtx, text: str) -> None:
    found = await ctx.run_mutation(api.reference.reference, id=Id.list(text), other=Id.class_(text))
    reveal_type(found)  # _list | None
    await ctx.db.delete(text)
