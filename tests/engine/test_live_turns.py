"""Slow queries, many queries and many sessions at once: nobody waits for what is not his own."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

from pyconvex.engine.live.queries import ROUNDS_MAX
from pyconvex.settings import Limits
from support.live import Watcher, live, quiet, until

MODULE = """
@mutation
async def send(ctx, to: str):
    await ctx.db.insert("messages", {"to": to})

@query
async def count(ctx, to: str):
    found = ctx.db.query("messages").with_index("by_to", lambda q: q.eq("to", to))
    return len(await found.collect())

@query
async def slow(ctx, to: str, turns: int):
    for _ in range(turns):
        sum(range(400_000))
        await ctx.db.query("messages").with_index("by_to", lambda q: q.eq("to", "nobody")).first()
    found = ctx.db.query("messages").with_index("by_to", lambda q: q.eq("to", to))
    return len(await found.collect())
"""
SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v
default = define_schema({"messages": define_table({"to": v.string()}).index("by_to", ["to"])})
"""
MODULES = {"m": MODULE, "schema": SCHEMA}
TURNS = 25
PATIENT = Limits(query_seconds=60.0)


async def longest_turn(story: asyncio.Future[None]) -> float:
    """The longest that the event loop worked, in seconds, before it had a turn for others, until `story` had ended."""
    longest = 0.0
    gc.disable()  # its turns are not ours
    try:
        while not story.done():
            begun = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - begun)
    finally:
        gc.enable()
    await story
    return longest


def test_a_slow_query_holds_up_its_own_session_only(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES, limits=PATIENT) as it:
            slow, quick = it.watcher("slow", to="a", turns=TURNS), it.watcher("count", to="a")
            slow.ask(1, "count", to="a")
            slow.subscriptions.refresh()
            quick.subscriptions.refresh()
            await until(lambda: bool(quick.views))
            assert not slow.views
            shown = 0
            while not slow.views and shown < 10:
                await it.value("send", to="a")
                shown += 1
                await quick.shows(0, float(shown))
            assert shown > 1, "the other one has been shown several commits while it ran"
            await until(lambda: bool(slow.views))
            assert slow.value(0) == slow.value(1), "and what it shows is of one snapshot nevertheless"
            await slow.shows(0, float(shown))
            await slow.shows(1, float(shown))

    asyncio.run(story())


def test_sessions_that_want_the_same_slow_query_wait_for_one_run(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES, limits=PATIENT) as it:
            sessions: list[Watcher] = []
            for _ in range(10):
                sessions.append(it.watcher("slow", to="a", turns=TURNS // 3))
                sessions[-1].subscriptions.refresh()
                await asyncio.sleep(0.002)
            await until(lambda: all(session.views for session in sessions))
            assert it.runs("slow") == 1

    asyncio.run(story())


def test_more_slow_queries_than_rounds(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES, limits=PATIENT) as it:
            sessions: list[Watcher] = []
            for number in range(ROUNDS_MAX + 3):
                sessions.append(it.watcher("slow", to=str(number), turns=4))
                sessions[-1].subscriptions.refresh()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            await until(lambda: all(session.views for session in sessions))
            for number, session in enumerate(sessions):
                await it.value("send", to=str(number))
                await session.shows(0, 1.0)

    asyncio.run(story())


def test_a_session_may_end_while_its_query_runs(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES, limits=PATIENT) as it:
            leaves, stays = (it.watcher("slow", to="a", turns=TURNS // 3) for _ in range(2))
            for session in (leaves, stays):
                session.subscriptions.refresh()
            await quiet(3)
            leaves.subscriptions.close()
            await until(lambda: bool(stays.views))
            await quiet(3)
            assert not leaves.views

    asyncio.run(story())


def test_the_end_does_not_wait_for_slow_queries(every_engine: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES, limits=PATIENT) as it:
            sessions = [it.watcher("slow", to=str(number), turns=10 * TURNS) for number in range(3)]
            for session in sessions:
                session.subscriptions.refresh()
                await quiet(3)
            await it.queries.close()
            await it.value("send", to="a")
            assert not any(session.views for session in sessions)

    asyncio.run(story())


def test_everybody_has_his_turn_while_many_queries_run(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES, limits=PATIENT) as it:
            sessions = [it.watcher() for _ in range(2)]
            for number, session in enumerate(sessions):
                for query_id in range(1_000):
                    session.ask(query_id, "count", to=f"{number}-{query_id}")
                session.subscriptions.refresh()
            longest = await longest_turn(asyncio.ensure_future(until(lambda: all(each.views for each in sessions))))
            assert it.runs("count") == 2_000
            assert longest < 0.05, "all of it together takes a multiple of that"

    asyncio.run(story())


def test_who_has_very_many_queries_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES, limits=PATIENT) as it:
            large, small = it.watcher(), it.watcher("count", to="small")
            for query_id in range(500):
                large.ask(query_id, "count", to=f"large-{query_id}")
            large.subscriptions.refresh()
            small.subscriptions.refresh()
            await until(lambda: bool(small.views))
            assert not large.views
            assert it.runs("count") < 250
            await until(lambda: bool(large.views))
            assert it.runs("count") == 501

    asyncio.run(story())


def test_one_of_very_many_queries_is_touched(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES, limits=PATIENT) as it:
            sessions = [it.watcher() for _ in range(20)]
            for number, session in enumerate(sessions):
                for query_id in range(100):
                    session.ask(query_id, "count", to=f"{number}-{query_id}")
                await session.view()
            for number in (3, 7):
                await it.value("send", to=f"{number}-42")
                await sessions[number].shows(42, 1.0)
            await quiet()
            assert it.runs("count") == 2_002
            assert [session.told for session in sessions] == [int(number in (3, 7)) for number in range(20)]

    asyncio.run(story())
