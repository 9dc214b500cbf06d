"""What `ctx.auth.get_user_identity()` answers."""

from typing import reveal_type

from pyconvex.server import UserIdentity

from ._generated.server import ActionCtx, QueryCtx, action, query


def display_name(identity: UserIdentity) -> str:
    return identity.get("name") or identity.get("email", "somebody")


@query
async def me(ctx: QueryCtx) -> str | None:
    identity = await ctx.auth.get_user_identity()
    if identity is None:
        return None
    reveal_type(identity["tokenIdentifier"])  # str
    reveal_type(identity["email"])  # str
    reveal_type(identity.get("email"))  # str | None
    reveal_type(identity.get("emailVerified"))  # bool | None
    reveal_type(identity.get("emailVerified", False))  # bool
    reveal_type(identity["org"]["role"])  # Any
    reveal_type(identity.get("subject"))  # str
    return display_name(identity)


@action
async def claims(ctx: ActionCtx) -> list[str]:
    identity = await ctx.auth.get_user_identity()
    return sorted(identity or {})
