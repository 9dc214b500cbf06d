from typing import Any, Literal, NotRequired, TypedDict

from pyconvex.server import PaginationOpts, PaginationResult
from pyconvex.values import Int64

from ._generated.data_model import Doc, Id
from ._generated.server import ActionCtx, MutationCtx, QueryCtx, action, internal_mutation, mutation, query


class Filter(TypedDict):
    role: Literal["admin", "guest"]
    named: NotRequired[str | None]


@query
async def list_all(ctx: QueryCtx) -> list[Doc.users]:
    return await ctx.db.query("users").collect()


@query
async def list_page(ctx: QueryCtx, paginationOpts: PaginationOpts, filter: Filter) -> PaginationResult[Doc.users]:  # noqa: N803
    """Users by name, a page at a time.

    The newest come first: */ ends no comment.
    """
    return await ctx.db.query("users").order("desc").paginate(paginationOpts)


@query
async def get_one(ctx: QueryCtx, id: Id.users) -> Doc.users | None:
    """One user, or null."""
    return await ctx.db.get(id)


@query
async def untyped(ctx, anything, maybe=None):
    return anything


@query
async def events_of(ctx: QueryCtx, user: Id.users, limit: int = 10) -> list[Doc.events]:
    return await ctx.db.query("events").take(limit)


@mutation
async def pay(
    ctx: MutationCtx, to: Id.users, amount: Int64, proof: bytes, notes: dict[str, str] | None = None
) -> Int64:
    return amount


@mutation
async def set_rank(ctx: MutationCtx, rank: Literal[1, 2, "none", True]) -> None:
    pass


@action
async def forward(ctx: ActionCtx, subject: str, **further: Any) -> dict[str, Any]:
    return {}


@action
async def count_words(ctx: ActionCtx, text: str = "", **counts: float) -> None:
    pass


@internal_mutation
async def forget_all(ctx: MutationCtx, before: float) -> int:
    return 0
