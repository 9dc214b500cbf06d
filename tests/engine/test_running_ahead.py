"""Mutations of users that read while the disk still works for the batch before: they wait, and notice nothing."""

import asyncio
import threading
from pathlib import Path

import pytest

from pyconvex.clock import SystemClock
from pyconvex.store.sqlite.connection import SqliteWriter
from pyconvex.store.sqlite.persistence import SqlitePersistence
from support.deployment import deployment

PATIENCE_SECONDS = 10

COUNTER = """
@mutation
async def create(ctx):
    return await ctx.db.insert("counters", {"n": 0})

@mutation
async def increment(ctx, id: str):
    counter = await ctx.db.get(id)
    await ctx.db.patch(id, {"n": counter["n"] + 1})
    return counter["n"] + 1

@mutation
async def patch_only(ctx, id: str):
    ctx.db.patch(id, {"m": 1})

@mutation
async def both(ctx, id: str):
    one, other = await asyncio.gather(ctx.db.get(id), ctx.db.get(id))
    return [one["n"], other["n"], await ctx.run_mutation(api.m.increment, id=id)]
"""


def test_functions_that_read_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, go_on = threading.Event(), threading.Event()
    go_on.set()
    commit = SqliteWriter.commit

    def slow(writer: SqliteWriter) -> None:
        at_work.set()
        assert go_on.wait(PATIENCE_SECONDS)
        commit(writer)

    monkeypatch.setattr(SqliteWriter, "commit", slow)

    async def test() -> None:
        clock = SystemClock()
        persistence = SqlitePersistence(tmp_path / "x.db", clock=clock)
        async with deployment(tmp_path, COUNTER, clock=clock, persistence=persistence) as t:
            counter = await t.value("create")
            for ahead, expected in (("increment", 2), ("both", [3, 3, 4]), ("patch_only", None)):
                at_work.clear()
                go_on.clear()
                held = asyncio.create_task(t.value("increment", id=counter))
                while not at_work.is_set():
                    await asyncio.sleep(0.001)
                begun = asyncio.create_task(t.value(ahead, id=counter))
                await asyncio.sleep(0)
                waiting = asyncio.create_task(t.value("create"))
                for _ in range(5):
                    await asyncio.sleep(0)
                assert not begun.done() and not waiting.done()
                go_on.set()
                await asyncio.gather(held, waiting)
                assert await begun == expected
            assert await t.value("increment", id=counter) == 6

    asyncio.run(test())
