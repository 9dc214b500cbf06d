"""The same calls in a small table and in a large one, in turn: how much slower the large one is."""

import os
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import projects
from benchmarks.databases import ENGINES, database
from benchmarks.measure import Goal, Row, Samples, ratio, raw
from pyconvex.engine.auth.identity import ADMIN
from pyconvex.engine.execution import Call, Caller
from pyconvex.host import Host, HostOptions
from pyconvex.host import run as run_loop

SMALL = 1_000
LARGE = int(os.environ.get("PYCONVEX_BENCH_DOCUMENTS", "1000000"))
SEED_DOCUMENTS = 2_000
ROUNDS, CALLS = 7, 300
READS = Goal(1.5)


def run(scratch: Path) -> list[Row]:
    return [row for engine in ENGINES for row in _run(engine, scratch)]


def _run(engine: str, scratch: Path) -> list[Row]:
    with database(engine) as small, database(engine) as large:
        return run_loop(_measure(engine, scratch, {SMALL: small, LARGE: large}))


async def _measure(engine: str, scratch: Path, databases: dict[int, str]) -> list[Row]:
    async with AsyncExitStack() as closing:
        tables: dict[str, Table] = {}
        for size, place in databases.items():
            folder = projects.growing(scratch / f"{engine}-{size}")
            host = await closing.enter_async_context(Host.open(HostOptions(project=folder, database=place)))
            await host.reload()
            tables[f"{size:,}"] = table = Table(host, size)
            await table.fill()
        small, large = tables
        rows: list[Row] = []
        for name, goal in (("get", READS), ("take", READS), ("page", READS), ("insert", None)):
            samples: Samples = {size: [] for size in tables}
            for _ in range(ROUNDS):
                for size, table in tables.items():
                    samples[size].append(await table.microseconds(name))
            rows.append(Row(f"{engine}: {name}", ratio(samples, large, small), goal, raw(samples, "µs")))
        return rows


class Table:
    """A deployment with one table of `size` documents."""

    def __init__(self, host: Host, size: int) -> None:
        self._host = host
        self._size = size
        self._inserted = size
        self._chance = Random(3)
        self._ids: list[str] = []

    async def fill(self) -> None:
        for first in range(0, self._size, SEED_DOCUMENTS):
            await self._call("seed", first=first, count=min(SEED_DOCUMENTS, self._size - first))
        for _ in range(100):
            self._ids += await self._call("some_ids", number=self._chance.randrange(self._size - 10))

    async def microseconds(self, name: str) -> float:
        """The median time of one call."""
        call: Callable[[], Awaitable[object]] = getattr(self, f"_{name}")
        times: list[float] = []
        for _ in range(CALLS):
            begun = time.perf_counter()
            await call()
            times.append(time.perf_counter() - begun)
        return statistics.median(times) * 1e6

    async def _get(self) -> object:
        return await self._call("get", id=self._chance.choice(self._ids))

    async def _take(self) -> object:
        return await self._call("take", author=f"author {self._chance.randrange(100)}")

    async def _page(self) -> object:
        """A first page somewhere, and the one behind it."""
        number = self._chance.randrange(self._size - 50)
        first: Any = await self._call("page", number=number, cursor=None)
        return await self._call("page", number=number, cursor=first["continueCursor"])

    async def _insert(self) -> object:
        self._inserted += 1
        return await self._call("seed", first=self._inserted, count=1)

    async def _call(self, function: str, **arguments: Any) -> Any:
        call = Call(caller=Caller.TESTER, identity=ADMIN, request_id="0" * 16)
        outcome = await self._host.runner.call(f"growing:{function}", arguments, call, internal=True)
        assert outcome.failure is None, outcome.failure.text
        return outcome.value
