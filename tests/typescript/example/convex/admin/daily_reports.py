from typing import Any

from pyconvex.server import internal_query, query
from pyconvex.values import v


@query(returns=v.union(v.literal("é\u2028"), v.literal(1.5), v.literal(2.0), v.null(), v.array(v.object({}))))
async def default(ctx: Any) -> Any:
    return None


@query(args={"from": v.string(), "with-dash": v.optional(v.id("import"))})
async def new(ctx: Any, **arguments: Any) -> Any:
    return arguments


@internal_query(args=v.any(), returns=v.union())
async def take_2(ctx: Any, **arguments: Any) -> Any:
    return arguments
