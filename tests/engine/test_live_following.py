"""A session that follows gets each view without asking; one that has stopped hears of changes again."""

import asyncio
from pathlib import Path

from support.live import live, quiet, until

MODULE = """
@mutation
async def send(ctx, body: str):
    await ctx.db.insert("messages", {"body": body})

@query
async def count(ctx):
    return len(await ctx.db.query("messages").collect())
"""


def test_views_come_by_themselves_while_a_session_follows(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, {"m": MODULE}) as it:
            session = it.watcher("count", eager=False)
            await session.view()
            session.subscriptions.follows = True
            for number in range(1, 4):
                await it.value("send", body="x")
                await session.shows(0, number)
            assert session.told == 0
            assert [view.ts for view in session.views] == sorted({view.ts for view in session.views})

            session.subscriptions.follows = False
            seen = len(session.views)
            await it.value("send", body="x")
            await until(lambda: session.told == 1)
            await quiet()
            assert len(session.views) == seen
            await session.view()
            assert session.value() == 4

    asyncio.run(story())


def test_a_session_that_was_closed_follows_no_more(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, {"m": MODULE}) as it:
            session = it.watcher("count", eager=False)
            await session.view()
            session.subscriptions.follows = True
            await it.value("send", body="x")
            session.subscriptions.close()
            seen = len(session.views)
            await it.value("send", body="x")
            await quiet()
            assert len(session.views) == seen

    asyncio.run(story())
