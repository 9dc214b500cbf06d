"""Several hosts on one database: whose code runs the jobs, and what those with older code go by."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine.auth.identity import ANONYMOUS
from pyconvex.engine.execution import Call, Caller
from pyconvex.errors import LoadFailed, Remedy
from pyconvex.host import Host, HostOptions
from support.postgres import fresh_database, server
from support.served import write_modules

MODULE = """
    from pyconvex.server import internal_mutation, mutation, query
    from ._generated.api import internal

    @mutation
    async def schedule(ctx):
        await ctx.scheduler.run_after(0, internal.m.put)

    @internal_mutation
    async def put(ctx):
        await ctx.db.insert("rows", {"by": "VERSION"})

    @mutation
    async def wrong(ctx):
        await ctx.db.insert("rows", {"by": 5})

    @query
    async def rows(ctx):
        return [row["by"] for row in await ctx.db.query("rows").collect()]
"""
SCHEMA = """
    from pyconvex.server import define_schema, define_table
    from pyconvex.values import v
    default = define_schema({"rows": define_table({"by": v.string()})})
"""


def code(version: str, **more: str) -> dict[str, str]:
    return {"m": MODULE.replace("VERSION", version), **more}


async def call(host: Host, path: str, *, failing: bool = False) -> Any:
    outcome = await host.runner.call(path, {}, Call(Caller.TESTER, ANONYMOUS, "0" * 16), internal=True)
    if failing:
        assert outcome.failure is not None
        return outcome.failure.message
    assert outcome.failure is None, outcome.failure.text
    return outcome.value


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.005)


def run(tmp_path: Path, test: Callable[[Host, Host], Awaitable[None]]) -> None:
    """Two hosts on one database, with projects called `one` and `other` and nothing loaded."""

    async def main(url: str) -> None:
        async with AsyncExitStack() as closing:
            projects = [tmp_path / name for name in ("one", "other")]
            options = [HostOptions(project=project, database=url) for project in projects]
            for project in projects:
                project.mkdir()
            one, other = [await closing.enter_async_context(Host.open(each)) for each in options]
            await test(one, other)

    with fresh_database() as name:
        asyncio.run(main(server().database_url(name)))


def test_jobs_run_where_the_newest_code_is(tmp_path: Path) -> None:
    async def test(old: Host, new: Host) -> None:
        write_modules(old.options.project, code("first"))
        write_modules(new.options.project, code("second"))
        await old.reload()
        await new.reload()
        for host in (old, new):
            host.scheduler.start()
        assert new.deployments is not None and new.deployments.newest.number == 2
        for done in range(1, 5):
            await call(old, "m:schedule")

            async def are_all_there(done: int = done) -> bool:
                return len(await call(old, "m:rows")) == done

            await until(are_all_there)
        assert await call(old, "m:rows") == ["second"] * 4

        write_modules(old.options.project, code("second"))
        await old.reload()
        assert old.deployments is not None and old.deployments.is_newest and new.deployments.is_newest
        assert old.deployments.newest.number == 2

    run(tmp_path, test)


def test_older_code_goes_by_the_schema_of_the_newer_code(tmp_path: Path) -> None:
    async def test(old: Host, new: Host) -> None:
        write_modules(old.options.project, code("first"))
        write_modules(new.options.project, code("second", schema=SCHEMA))
        await old.reload()
        await new.reload()
        assert "does not match the schema" in await call(old, "m:wrong", failing=True)

    run(tmp_path, test)


def test_a_push_that_lost_to_a_later_one_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyconvex.store.schema import activation

    reached, go = asyncio.Event(), asyncio.Event()
    original = activation.Activation._check  # pyright: ignore[reportPrivateUsage]  # to stop a push on its way

    async def check(*given: Any) -> None:
        reached.set()
        await go.wait()
        await original(*given)

    monkeypatch.setattr(activation.Activation, "_check", check)

    async def test(one: Host, other: Host) -> None:
        write_modules(one.options.project, code("first", schema=SCHEMA))
        write_modules(other.options.project, code("second", schema=SCHEMA.replace("v.string()", "v.any()")))
        earlier = asyncio.create_task(one.reload())
        await reached.wait()
        reached.clear()
        later = asyncio.create_task(other.reload())
        await reached.wait()
        go.set()
        with pytest.raises(LoadFailed) as failed:
            await earlier
        (problem,) = failed.value.problems
        assert (problem.code, problem.remedy) == ("RaceDetected", Remedy.SAVE_FILE)
        assert problem.hint is not None and "several `pyconvex dev`" in problem.hint
        await later
        await call(other, "m:wrong")

    run(tmp_path, test)
