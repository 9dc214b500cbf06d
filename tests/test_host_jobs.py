"""Scheduled functions over the life of a deployment: stops, starts, and commands that only look in."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from pyconvex.engine.auth.identity import ANONYMOUS
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.jobs.jobs import LOST
from pyconvex.host import Host, HostOptions
from support.served import Served, run, served

MODULES = {
    "m": """
        import asyncio
        from pyconvex.server import internal_action, internal_mutation, mutation, query
        from ._generated.api import internal

        @mutation
        async def after(ctx, delay: float, name: str, args: dict = {}):
            return await ctx.scheduler.run_after(delay, f"m:{name}", **args)

        @internal_mutation
        async def put(ctx, n: int):
            await ctx.db.insert("rows", {"n": n})

        @internal_action
        async def forever(ctx):
            await asyncio.Event().wait()

        @query
        async def rows(ctx):
            return [row["n"] for row in await ctx.db.query("rows").collect()]

        @query
        async def states(ctx):
            return [job["state"] for job in await ctx.db.system.query("_scheduled_functions").collect()]
    """
}


async def call(host: Host, path: str, **args: Any) -> Any:
    outcome = await host.runner.call(path, args, Call(Caller.TESTER, ANONYMOUS, "0" * 16), internal=True)
    assert outcome.failure is None, outcome.failure.text
    return outcome.value


async def until(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    while not await condition():
        await asyncio.sleep(0.005)


def test_overdue_jobs_run_after_a_start_but_not_for_a_command_that_looks_in(tmp_path: Path) -> None:
    async def in_passing(tell: Callable[[Host], Coroutine[Any, Any, None]]) -> None:
        async with Host.open(HostOptions(project=tmp_path)) as host:
            await host.reload()
            await tell(host)

    async def schedule(host: Host) -> None:
        for n in range(20):
            await call(host, "m:after", delay=n, name="put", args={"n": n})

    async def look(host: Host) -> None:
        await asyncio.sleep(0.1)
        assert await call(host, "m:rows") == []

    async def story() -> None:
        async with served(tmp_path, MODULES, memory=False):
            pass
        await in_passing(schedule)
        await in_passing(look)
        async with served(tmp_path, MODULES, memory=False) as server:
            await until(lambda: _succeeded(server, 20))
            assert await call(server.host, "m:rows") == list(range(20))

    run(story)


def test_stopping_does_not_wait_for_an_action_and_says_what_became_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES, memory=False) as server:
            await call(server.host, "m:after", delay=0, name="forever")
            await until(lambda: _all(server, {"kind": "inProgress"}))
            began = time.perf_counter()
        assert time.perf_counter() - began < 1.5
        async with served(tmp_path, MODULES, memory=False) as server:
            assert await call(server.host, "m:states") == [{"kind": "failed", "error": LOST}]

    run(story)


def test_a_save_brings_the_function_that_a_job_runs(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            await call(server.host, "m:after", delay=300, name="put", args={"n": 1})
            module = tmp_path / "convex" / "m.py"
            module.write_text(module.read_text().replace('{"n": n}', '{"n": n * 100}'))
            await server.host.reload()
            await until(lambda: _succeeded(server, 1))
            assert await call(server.host, "m:rows") == [100]

    run(story)


async def _succeeded(server: Served, count: int) -> bool:
    states = await call(server.host, "m:states")
    return states == [{"kind": "success"}] * count


async def _all(server: Served, state: dict[str, str]) -> bool:
    return set(map(str, await call(server.host, "m:states"))) == {str(state)}
