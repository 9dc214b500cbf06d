"""A module beside a folder of its name, with a function that is spelled like a module in there."""

from ._generated.server import QueryCtx, query


@query
async def dailyReports(ctx: QueryCtx) -> str:  # noqa: N802
    return ""
