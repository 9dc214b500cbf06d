"""Several nodes on one database: every one would run every job, and each is run once."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine.jobs.jobs import LOST
from pyconvex.engine.jobs.scheduler import Scheduler
from pyconvex.store.keys import Commit
from pyconvex.store.persistence import Committed, Persistence, Work
from pyconvex.store.sqlite.persistence import SqlitePersistence
from support.deployment import Deployment, deployment

PATIENCE_SECONDS = 60.0

MODULE = """
from pyconvex.server import internal_action

began = []

@internal_mutation
async def put(ctx, table: str, n: int):
    await ctx.db.insert(table, {"n": n})

@internal_action
async def act(ctx, n: int):
    began.append(n)
    await ctx.run_mutation(internal.m.put, table="acted", n=n)
    await asyncio.sleep(0.001)

@internal_action
async def forever(ctx):
    began.append("forever")
    await asyncio.Event().wait()

@internal_mutation
async def enqueue(ctx, start: int, count: int):
    for n in range(start, start + count):
        await ctx.scheduler.run_after(n % 20, internal.m.put, table="rows", n=n)
        await ctx.scheduler.run_after(n % 20, internal.m.act, n=n)

@internal_mutation
async def after(ctx, delay: float, fn: str, args={}):
    return await ctx.scheduler.run_after(delay, fn, **args)

@query
async def everything(ctx):
    tables = {table: [row["n"] for row in await ctx.db.query(table).collect()] for table in ("rows", "acted")}
    jobs = await ctx.db.system.query("_scheduled_functions").collect()
    return {**tables, "kinds": [job["state"]["kind"] for job in jobs]}

@query
async def state(ctx, id):
    return (await ctx.db.system.get(id))["state"]
"""


class SharedSqlite:
    """One of several nodes in this process that use one SQLite engine, as if each had it for itself."""

    def __init__(self, engine: SqlitePersistence, node: int, alive: set[int]) -> None:
        self.node = node
        self._engine = engine
        self._alive = alive
        self._alive.add(node)

    async def living(self) -> frozenset[int]:
        return frozenset(self._alive)

    async def open(self) -> None: ...

    async def close(self) -> None:
        self._alive.discard(self.node)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def transact(self, work: Work[Any], *, patient: bool = False) -> Coroutine[Any, Any, Committed[Any]]:
        return self._engine.transact(work, patient=patient)

    def on_commit(self, callback: Callable[[Commit], None]) -> None:
        self._engine.on_commit(callback)

    def snapshot(self) -> Any:
        return self._engine.snapshot()

    async def hear(self, ts: int) -> None:
        await self._engine.hear(ts)

    async def lift(self, ts: int) -> None:
        await self._engine.lift(ts)


@dataclass
class Node:
    d: Deployment
    scheduler: Scheduler

    @property
    def began(self) -> list[Any]:
        return self.d.versions.current.modules["m"].__dict__["began"]


async def until(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def nodes(engine: str, root: Path, count: int) -> AsyncGenerator[list[Node]]:
    async with AsyncExitStack() as closing:
        found: list[Node] = []
        for persistence in [each async for each in _persistences(engine, count, closing)]:
            folder = root / str(len(found))
            d = await closing.enter_async_context(deployment(folder, MODULE, persistence=persistence))
            node = Node(d, Scheduler(d.runner))
            closing.push_async_callback(node.scheduler.close)
            found.append(node)
        yield found


async def _persistences(engine: str, count: int, closing: AsyncExitStack) -> AsyncGenerator[Persistence]:
    if engine == "sqlite":
        shared, alive = SqlitePersistence(None), set[int]()
        await shared.open()
        closing.push_async_callback(shared.close)
        for number in range(1, count + 1):
            yield SharedSqlite(shared, number, alive)
        return
    postgres = pytest.importorskip("support.postgres")
    from pyconvex.store.postgres.persistence import PostgresPersistence

    name = closing.enter_context(postgres.fresh_database())
    for _ in range(count):
        yield PostgresPersistence(postgres.server().database_url(name))


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_all_nodes_run_jobs_and_none_is_run_twice(tmp_path: Path, engine: str) -> None:
    async def main() -> None:
        async with nodes(engine, tmp_path, 3) as found:
            for node in found:
                node.scheduler.start()
            for number, node in enumerate(found):
                assert (await node.d.call("enqueue", start=number * 20, count=20)).failure is None

            async def done() -> bool:
                kinds = (await found[0].d.value("everything"))["kinds"]
                return len(kinds) == 120 and {"pending", "inProgress"}.isdisjoint(kinds)

            await until(done)
            everything = await found[0].d.value("everything")
            assert Counter(everything["kinds"]) == {"success": 120}
            assert sorted(everything["rows"]) == sorted(everything["acted"]) == list(range(60))
            assert all(node.began for node in found)
            assert sorted(n for node in found for n in node.began) == list(range(60))

    asyncio.run(main())


def test_one_node_does_the_work_of_another_that_does_not(tmp_path: Path, engine: str) -> None:
    async def main() -> None:
        async with nodes(engine, tmp_path, 2) as found:
            found[0].scheduler.start()
            await found[1].d.value("enqueue", start=0, count=10)

            async def done() -> bool:
                return set((await found[0].d.value("everything"))["kinds"]) == {"success"}

            await until(done)
            assert sorted(found[0].began) == list(range(10))

    asyncio.run(main())


def test_an_action_of_a_dead_node_is_given_up_by_the_others(tmp_path: Path, engine: str) -> None:
    async def main() -> None:
        async with nodes(engine, tmp_path, 2) as found:
            alive, dying = found
            dying.scheduler.start()
            scheduled = await dying.d.value("after", delay=0, fn="m:forever")

            async def begun() -> bool:
                return bool(dying.began)

            await until(begun)
            await alive.scheduler.tend()
            assert await alive.d.value("state", id=scheduled) == {"kind": "inProgress"}
            await dying.d.store.close()

            async def given_up() -> bool:
                await alive.scheduler.tend()
                return await alive.d.value("state", id=scheduled) == {"kind": "failed", "error": LOST}

            await until(given_up)
            assert alive.began == []

    asyncio.run(main())
