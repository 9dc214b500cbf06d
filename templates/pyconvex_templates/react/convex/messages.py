from pyconvex.values import ConvexError

from ._generated.data_model import Doc
from ._generated.server import MutationCtx, QueryCtx, mutation, query

SHOWN = 50
AUTHOR_LENGTH_MAX = 30
BODY_LENGTH_MAX = 500


@query
async def latest(ctx: QueryCtx) -> list[Doc.messages]:
    """The latest messages, the newest last."""
    newest_first = await ctx.db.query("messages").order("desc").take(SHOWN)
    return newest_first[::-1]


@mutation
async def send(ctx: MutationCtx, author: str, body: str) -> None:
    """Send a message. The sender is told why one is refused."""
    author, body = author.strip(), body.strip()
    if not author:
        raise ConvexError("Say who you are first.")
    if not body:
        raise ConvexError("There is nothing in this message.")
    if len(author) > AUTHOR_LENGTH_MAX or len(body) > BODY_LENGTH_MAX:
        raise ConvexError(f"A message has at most {BODY_LENGTH_MAX} characters, a name {AUTHOR_LENGTH_MAX}.")
    await ctx.db.insert("messages", {"author": author, "body": body})
