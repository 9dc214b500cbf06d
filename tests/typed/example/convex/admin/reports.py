"""Functions of a module that imports a module that imports this one, all through `api`."""

from .._generated.api import api
from .._generated.server import ActionCtx, QueryCtx, action, query


@query
async def daily(ctx: QueryCtx, day: int):
    users = await ctx.run_query(api.users.reads, name="Ada", team=await team_of(ctx), either=await team_of(ctx))
    return dict.fromkeys(users, day)


async def team_of(ctx: QueryCtx):
    team = await ctx.db.query("teams").first()
    assert team is not None
    return team["_id"]


@action
async def weekly(ctx: ActionCtx) -> list[dict[str, int]]:
    return [await ctx.run_query(api.admin.reports.daily, day=day) for day in range(7)]
