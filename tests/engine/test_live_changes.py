"""What makes live queries run again besides commits into their ranges: new code, variables, tables, missed commits."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path

from pyconvex.settings import Limits
from pyconvex.store.keys import Commit
from support.live import live, quiet, until

MODULE = """
@mutation
async def send(ctx, body: str):
    await ctx.db.insert("messages", {"body": body})

@query
async def texts(ctx):
    return [message["body"] for message in await ctx.db.query("messages").collect()]

@query
async def later(ctx):
    return len(await ctx.db.query("not_there_yet").collect())

@mutation
async def make(ctx):
    await ctx.db.insert("not_there_yet", {})

@query
async def key(ctx):
    return os.environ.get("API_KEY")

@query
async def key_slowly(ctx):
    for _ in range(20):
        sum(range(400_000))
        await ctx.db.query("messages").first()
    return os.environ.get("API_KEY")

@query
async def all_names(ctx):
    return sorted(name for name in os.environ if name.startswith("MINE_"))

@query
async def echo(ctx, n: float):
    return n
"""


def test_new_code_runs_everything_again(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULE) as it:
            session = it.watcher("texts")
            session.ask(1, "echo", n=3.0)
            await session.view()
            it.load(MODULE.replace("return n", "return -n"))
            await session.shows(1, -3.0)
            assert session.value() == []
            assert len({view.ts for view in session.views}) == 1, "nothing was committed"

    asyncio.run(story())


def test_functions_may_go_come_and_change_under_their_queries(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULE) as it:
            session = it.watcher("echo", n=3.0)
            await session.view()
            it.load(MODULE.replace("async def echo(", "async def other("))
            await until(lambda: not session.views[-1].results[0].ok)
            assert session.error().startswith("Could not find public function for 'm:echo'")
            it.load(MODULE.replace("n: float):\n    return n", "n: str):\n    return n"))
            await until(lambda: session.error().startswith("ArgumentValidationError"))
            it.load(MODULE.replace("@query\nasync def echo", "@mutation\nasync def echo"))
            await until(lambda: "it is defined as Mutation" in session.error())
            it.load(MODULE.replace("@query\nasync def echo", "@internal_query\nasync def echo"))
            await until(lambda: session.error().startswith("Could not find public function"))
            it.load(MODULE)
            await session.shows(0, 3.0)

    asyncio.run(story())


def test_new_code_is_noticed_even_if_nobody_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULE) as it:
            session = it.watcher("echo", n=3.0)
            await session.view()
            it.deployment.load({"m": MODULE.replace("return n", "return -n")})
            await session.view()
            assert session.value() == -3.0

    asyncio.run(story())


def test_replaced_code_is_freed(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULE) as it:
            session = it.watcher("texts")
            await session.view()
            replaced = weakref.ref(it.deployment.versions.current)
            it.load(MODULE.replace("return n", "return -n"))
            await until(lambda: len(session.views) == 2)
            await quiet(5)
            gc.collect()
            assert replaced() is None

    asyncio.run(story())


def test_a_variable_that_was_read(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULE) as it:
            session, other = it.watcher("key"), it.watcher("texts")
            session.ask(1, "all_names")
            await session.view()
            await other.view()
            assert session.value() is None
            await it.deployment.environment.set_many({"API_KEY": "one", "MINE_A": "x"})
            await session.shows(0, "one")
            await session.shows(1, ["MINE_A"])
            runs = it.runs("key")
            await it.deployment.environment.set_many({"MINE_B": "x"})
            await session.shows(1, ["MINE_A", "MINE_B"])
            await it.deployment.environment.set_many({"API_KEY": "one"})
            await quiet()
            assert it.runs("key") == runs, "the same value again changes nothing"
            await it.deployment.environment.set_many({"API_KEY": None})
            await until(lambda: it.runs("key") == runs + 1)
            assert (other.told, it.runs("texts")) == (0, 1)

    asyncio.run(story())


def test_no_view_shows_a_variable_before_and_after_its_change(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULE, limits=Limits(query_seconds=60.0)) as it:
            await it.deployment.environment.set_many({"API_KEY": "old"})
            session = it.watcher("key")
            session.ask(1, "key_slowly")
            shown: list[tuple[object, object]] = []
            session.shown = lambda _: shown.append((session.value(0), session.value(1)))
            session.subscriptions.refresh()
            await until(lambda: it.runs("key") == 1)
            await it.deployment.environment.set_many({"API_KEY": "new"})
            assert not session.views, "the slow one is still at work"
            await session.shows(0, "new")
            assert shown == [("new", "new")]

    asyncio.run(story())


def test_a_table_that_is_made_later(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULE) as it:
            session = it.watcher("later")
            await session.view()
            assert session.value() == 0
            await it.value("make")
            await session.shows(0, 1.0)

    asyncio.run(story())


def test_commits_that_nobody_heard_of(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULE) as it:
            sessions = [it.watcher("texts"), it.watcher("echo", n=1.0)]
            for session in sessions:
                await session.view()
            async with it.deployment.store.snapshot() as opened:
                newest = opened.ts
            it.queries.table.hear(Commit.missed(newest))
            await until(lambda: it.runs("texts") == 2 and it.runs("echo") == 2)
            await quiet()
            assert (it.runs("texts"), it.runs("echo")) == (2, 2)

    asyncio.run(story())
