"""Reading and writing: what has to be understood as it stands. `reveal_type` says what a type checker must find."""

from datetime import timedelta
from typing import reveal_type

from pyconvex.server import PaginationOpts, PaginationResult
from pyconvex.values import undefined

from ._generated.api import api, internal
from ._generated.data_model import Doc, Fields, Id, Patch
from ._generated.server import MutationCtx, QueryCtx, internal_mutation, mutation, query


@query
async def get(ctx: QueryCtx, id: Id.users) -> Doc.users | None:
    return await ctx.db.get(id)


@query
async def inferred(ctx: QueryCtx, id: Id.users, limit: int = 10):
    user = await ctx.db.get("users", id)
    if user is None or "team" not in user:
        return None
    team = user["team"]
    reveal_type(team)  # teams
    return await (
        ctx.db.query("users").with_index("by_team_and_age", lambda q: q.eq("team", team).gte("age", 18)).take(limit)
    )


@query
async def page(ctx: QueryCtx, opts: PaginationOpts) -> PaginationResult[Doc.users]:
    return await ctx.db.query("users").order("desc").paginate(opts)


@query
async def reads(ctx: QueryCtx, name: str, team: Id.teams, either: Id.users | Id.teams) -> list[str]:
    users = ctx.db.query("users")
    reveal_type(await users.with_index("by_name", lambda q: q.eq("name", name)).unique())  # users | None
    reveal_type(await users.with_index("by_name").collect())  # list[users]
    with_a = users.with_index("by_city", lambda q: q.gte("address.city", "A").lt("address.city", "B"))
    reveal_type(await with_a.first())  # users | None
    reveal_type(await users.with_index("by_id", lambda q: q.gt("_id", Id.users("x"))).take(3))  # list[users]
    users.with_index("by_name", lambda q: q.eq("name", name).gt("_creationTime", 1_700_000_000_000))
    users.with_index("by_creation_time", lambda q: q.lt("_creationTime", 3))
    users.with_index("by_team_and_age", lambda q: q.eq("team", undefined))
    users.with_index("by_kind", lambda q: q.eq("kind", "fancy"))
    matching = users.filter(lambda q: q.and_(q.eq(q.field("address.zip"), undefined), q.gt(q.field("age"), 18)))
    async for user in matching.order("asc"):
        reveal_type(user["kind"])  # Literal['plain', 'fancy']
    found = await users.with_search_index(
        "search_name", lambda q: q.search("name", "ada").eq("team", team).eq("kind", "plain")
    ).take(5)
    reveal_type(found)  # list[users]
    reveal_type(await ctx.db.get(either))  # users | teams | None
    reveal_type(ctx.db.normalize_id("users", name))  # users | None
    reveal_type(await ctx.db.table("teams").get(team))  # teams | None
    reveal_type(await ctx.db.table("users").query().with_index("by_name").first())  # users | None
    return [user["name"] for user in found]


@mutation
async def writes(ctx: MutationCtx, id: Id.users, email: str | None, fields: Fields.users) -> Id.users:
    created = await ctx.db.insert(
        "users",
        {
            "name": "Ada",
            "age": 36,
            "address": {"city": "London"},
            "kind": "plain",
            "tags": ["a", "b"],
            "email": email or undefined,
        },
    )
    reveal_type(created)  # users
    await ctx.db.insert("users", fields)
    await ctx.db.patch(id, {"age": 37, "team": undefined})
    await ctx.db.patch("users", id, {"address": {"city": "Paris", "zip": "75001"}})
    changes: Patch.users = {}
    if email is not None:
        changes["email"] = email
    await ctx.db.patch(id, changes)
    user = await ctx.db.get(id)
    assert user is not None
    await ctx.db.replace(id, user)
    await ctx.db.replace(id, {**user, "name": "Grace"})
    await ctx.db.replace("users", id, fields)
    await ctx.db.table("users").patch(id, {"age": 38})
    await ctx.db.table("users").replace(id, fields)
    reveal_type(await ctx.db.table("users").insert(fields))  # users
    await ctx.db.delete(id)
    await ctx.db.delete("users", created)
    return created


@internal_mutation
async def create(ctx: MutationCtx, name: str, age: float = 0) -> Id.users:
    return await ctx.db.insert(
        "users", {"name": name, "age": age, "address": {"city": "?"}, "kind": "fancy", "tags": []}
    )


@mutation
async def calls(ctx: MutationCtx, id: Id.users) -> None:
    reveal_type(await ctx.run_query(api.users.get, id=id))  # users | None
    reveal_type(await ctx.run_query(api.users.inferred, id=id, limit=3))  # list[users] | None
    reveal_type(await ctx.run_mutation(internal.users.create, name="Ada"))  # users
    reveal_type(await ctx.run_mutation(create, name="Ada", age=3))  # users
    reveal_type(await create(ctx, name="Ada"))  # users
    reveal_type(await ctx.run_query(api.admin.reports.daily, day=3))  # dict[str, int]
    reveal_type(await ctx.run_query("users:get", id=id))  # Any
    job = await ctx.scheduler.run_after(timedelta(minutes=5), internal.users.create, name="later")
    await ctx.scheduler.run_at(0, create, name="now", age=1)
    await ctx.scheduler.run_after(0, "users:create", name="untyped")
    await ctx.scheduler.cancel(job)
    reveal_type(await ctx.db.system.get(job))  # ScheduledFunction | None
    await helper(ctx)


async def helper(ctx: QueryCtx) -> int:
    """Shared by queries and mutations."""
    return len(await ctx.db.query("users").collect())
