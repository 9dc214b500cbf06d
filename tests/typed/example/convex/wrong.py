# ruff: noqa
# fmt: off
"""What has to be refused: every line with a comment, by the rule that the comment names; and no other line."""

from pyconvex.server import Next, Request, Response, auth_config, custom_jwt, http_router, oidc
from pyconvex.values import undefined

from ._generated.api import api, internal
from ._generated.data_model import Doc, Id, Patch, TableName
from ._generated.server import ActionCtx, MutationCtx, QueryCtx, query
from .users import create


async def reading(ctx: QueryCtx, user: Id.users, team: Id.teams, text: str) -> None:
    db = ctx.db
    db.get(text)  # reportArgumentType reportCallIssue
    db.get("teams", user)  # reportArgumentType reportCallIssue
    db.query("usrs")  # reportArgumentType reportCallIssue
    db.normalize_id("usrs", text)  # reportArgumentType reportCallIssue
    db.table("usrs")  # reportArgumentType reportCallIssue
    db.table("users").get(team)  # reportArgumentType
    db.insert("teams", {"title": "x"})  # reportAttributeAccessIssue reportUnknownMemberType
    users = db.query("users")
    users.with_index("by_nam")  # reportArgumentType reportCallIssue
    users.with_index("not_yet")  # reportArgumentType reportCallIssue
    users.with_index("by_name", lambda q: q.eq("nam", "x"))  # reportArgumentType
    users.with_index("by_name", lambda q: q.eq("name", 3))  # reportArgumentType
    users.with_index("by_name", lambda q: q.eq("name", undefined))  # reportArgumentType
    users.with_index("by_kind", lambda q: q.eq("kind", "plane"))  # reportArgumentType
    users.with_index("by_city", lambda q: q.eq("address.town", "x"))  # reportArgumentType
    users.with_index("by_team_and_age", lambda q: q.eq("age", 3))  # reportArgumentType
    users.with_index("by_team_and_age", lambda q: q.eq("team", user))  # reportArgumentType
    users.with_index("by_team_and_age", lambda q: q.gt("team", team).gt("age", 3))  # reportAttributeAccessIssue reportUnknownMemberType reportUnknownLambdaType
    users.with_index("by_name", lambda q: q.eq("name", "x").lt("_creationTime", "y"))  # reportArgumentType
    users.filter(lambda q: q.eq(q.field("nmae"), "x"))  # reportArgumentType
    users.filter(lambda q: q.eq(q.field("address.town"), "x"))  # reportArgumentType
    users.order("up")  # reportArgumentType
    users.with_search_index("search_nam", lambda q: q.search("name", "x"))  # reportArgumentType
    users.with_search_index("search_name", lambda q: q.search("email", "x"))  # reportArgumentType
    users.with_search_index("search_name", lambda q: q.search("name", "x").eq("age", 3))  # reportArgumentType reportCallIssue reportUnknownLambdaType
    users.with_search_index("search_name", lambda q: q.search("name", "x").eq("team", user))  # reportArgumentType reportCallIssue reportUnknownLambdaType
    users.with_search_index("search_name", lambda q: q)  # reportArgumentType
    db.query("from").with_search_index("any")  # reportAttributeAccessIssue reportUnknownMemberType
    found = await users.first()
    found["name"]  # reportOptionalSubscript
    found = await users.collect()
    found[0]["nmae"]  # reportGeneralTypeIssues
    found[0]["email"]  # reportTypedDictNotRequiredAccess
    db.system.query("users")  # reportArgumentType reportCallIssue


async def writing(ctx: MutationCtx, user: Id.users, team: Id.teams, doc: Doc.teams, text: str) -> None:
    db = ctx.db
    await db.insert("teams", {})  # reportArgumentType reportCallIssue
    await db.insert("teams", {"title": 3})  # reportArgumentType reportCallIssue
    await db.insert("teams", {"title": "x", "titel": "y"})  # reportArgumentType reportCallIssue
    await db.insert("teams", {"title": undefined})  # reportArgumentType reportCallIssue
    await db.insert("teams", {"title": "x", "_id": team})  # reportArgumentType reportCallIssue
    await db.insert("team", {"title": "x"})  # reportArgumentType reportCallIssue
    await db.insert("events", {"type": "left", "user": user})  # reportArgumentType reportCallIssue
    await db.patch(team, {"titel": "x"})  # reportArgumentType reportCallIssue
    await db.patch(team, {"title": 3})  # reportArgumentType reportCallIssue
    await db.patch(team, {"title": undefined})  # reportArgumentType reportCallIssue
    await db.patch("users", team, {"title": "x"})  # reportArgumentType reportCallIssue
    await db.replace(team, {"logo": undefined})  # reportArgumentType reportCallIssue
    await db.replace(user, doc)  # reportArgumentType reportCallIssue
    await db.delete(text)  # reportArgumentType reportCallIssue
    await db.delete("users", team)  # reportArgumentType reportCallIssue
    await db.table("teams").insert({"titel": "x"})  # reportArgumentType
    changes: Patch.teams = {"titel": "x"}  # reportAssignmentType
    names: list[TableName] = ["usrs"]  # reportAssignmentType
    print(changes, names)


async def calling(ctx: ActionCtx, user: Id.users, team: Id.teams) -> None:
    await ctx.run_query(api.users.get, id=team)  # reportArgumentType reportCallIssue
    await ctx.run_query(api.users.get, user=user)  # reportCallIssue
    await ctx.run_query(api.users.get)  # reportCallIssue
    await ctx.run_query(api.users.gte, id=user)  # reportAttributeAccessIssue reportUnknownMemberType reportUnknownArgumentType
    await ctx.run_query(api.user.get, id=user)  # reportAttributeAccessIssue reportUnknownMemberType reportUnknownArgumentType
    await ctx.run_mutation(api.users.create, name="x")  # reportAttributeAccessIssue reportUnknownMemberType reportUnknownArgumentType
    await ctx.run_mutation(internal.users.writes, id=user)  # reportAttributeAccessIssue reportUnknownMemberType reportUnknownArgumentType
    await ctx.run_mutation(create, nam="x")  # reportCallIssue
    await ctx.scheduler.run_after(0, create, name=3)  # reportArgumentType reportCallIssue
    await ctx.scheduler.run_after("soon", create, name="x")  # reportArgumentType reportCallIssue
    await ctx.run_mutation(internal.users.create, name="x", age="3")  # reportArgumentType reportCallIssue
    count: int = await ctx.run_mutation(internal.users.create, name="x")  # reportAssignmentType
    print(count, ctx.db)  # reportAttributeAccessIssue reportUnknownMemberType reportUnknownArgumentType
    await ctx.vector_search("users", "by_embedding", vector=[1.0])  # reportArgumentType reportCallIssue
    await ctx.vector_search("foods", "by_stars", vector=[1.0])  # reportArgumentType reportCallIssue
    await ctx.vector_search("foods", "by_embedding", vector=[1.0], filter=lambda q: q.eq("stars", 3))  # reportArgumentType


@query
async def not_the_document(ctx: QueryCtx, id: Id.users) -> Doc.teams | None:
    return await ctx.db.get(id)  # reportReturnType


@query  # reportArgumentType reportCallIssue reportUntypedFunctionDecorator
async def with_the_wrong_ctx(ctx: MutationCtx) -> None: ...


async def who(ctx: QueryCtx) -> None:
    identity = await ctx.auth.get_user_identity()
    identity["email"]  # reportOptionalSubscript
    if identity is not None:
        identity.get("email").lower()  # reportOptionalMemberAccess
    oidc(domain="https://auth.test")  # reportCallIssue
    oidc("https://auth.test", "app")  # reportCallIssue
    custom_jwt(issuer="x", jwks="https://x.test/keys", algorithm="HS256")  # reportArgumentType
    auth_config({"domain": "https://auth.test", "applicationID": "app"})  # reportArgumentType


def plain(ctx: ActionCtx, request: Request, next: Next) -> Response:
    return Response(None)


async def without_next(ctx: ActionCtx, request: Request) -> Response:
    return Response(None)


async def no_response(ctx: ActionCtx, request: Request, next: Next) -> None:
    await next("x")  # reportArgumentType


def routing() -> None:
    http = http_router()
    http.use(plain)  # reportArgumentType
    http.use(without_next)  # reportArgumentType
    http.route(path="/x", method="GET", middleware=[no_response])  # reportArgumentType
    http.route(path="/x", method="GET", max_body_bytes="5MB")  # reportArgumentType
