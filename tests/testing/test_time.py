"""Time in a `ConvexTest`, and the scheduled functions that wait for it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pyconvex.errors import PyconvexError
from pyconvex.testing import ConvexTest
from support.served import run, write_modules

MODULES = {
    "m": """
        import asyncio, time
        from pyconvex.server import action, internal_action, internal_mutation, mutation, query
        from ._generated.api import internal

        gate = asyncio.Event()

        @query
        async def now(ctx):
            return time.time()

        @query
        async def rows(ctx):
            return [row["at"] for row in await ctx.db.query("rows").collect()]

        @query
        async def states(ctx):
            return [job["state"]["kind"] for job in await ctx.db.system.query("_scheduled_functions").collect()]

        @mutation
        async def tick(ctx, every: float, times: int):
            await ctx.db.insert("rows", {"at": time.time()})
            if times > 1:
                await ctx.scheduler.run_after(every, internal.m.tick_again, every=every, times=times - 1)

        @internal_mutation
        async def tick_again(ctx, every: float, times: int):
            await ctx.run_mutation("m:tick", every=every, times=times)

        @mutation
        async def forever(ctx):
            await ctx.scheduler.run_after(0, "m:forever")

        @mutation
        async def begin(ctx):
            await ctx.scheduler.run_after(0, internal.m.waits)

        @internal_action
        async def waits(ctx):
            await gate.wait()
            await ctx.run_mutation("m:tick", every=0, times=2)
    """
}


def exercise(tmp_path: Path, story: Callable[[ConvexTest], Coroutine[Any, Any, None]]) -> None:
    write_modules(tmp_path, MODULES)

    async def whole() -> None:
        async with ConvexTest(tmp_path / "convex") as t:
            await story(t)

    run(whole)


def test_time_stands_still_until_it_is_told_to_move(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        begun = await t.query("m:now")
        assert begun == pytest.approx(time.time(), abs=60)
        await asyncio.sleep(0.01)
        assert await t.query("m:now") == begun
        await t.advance(seconds=3600.5)
        assert await t.query("m:now") == pytest.approx(begun + 3600.5, abs=1e-3)

    exercise(tmp_path, story)


def test_nothing_scheduled_runs_until_time_moves(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        await t.mutation("m:tick", every=0, times=2)
        await asyncio.sleep(0.05)
        assert await t.query("m:states") == ["pending"]
        await t.advance(seconds=0)
        assert await t.query("m:states") == ["success"]

    exercise(tmp_path, story)


def test_each_function_runs_at_its_own_time(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        begun = await t.query("m:now")
        await t.mutation("m:tick", every=10_000, times=10)
        await t.with_identity({"name": "Ada"}).advance(seconds=35)
        after = [at - begun for at in await t.query("m:rows")]
        assert after == pytest.approx([0, 10, 20, 30], abs=1e-3)
        await t.finish_scheduled_functions()
        assert len(await t.query("m:rows")) == 4, "the next one is due later"
        await t.advance(seconds=3600)
        assert len(await t.query("m:rows")) == 10

    exercise(tmp_path, story)


def test_finishing_waits_for_what_runs_and_for_chains(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        await t.mutation("m:begin")
        advancing = asyncio.create_task(t.advance(seconds=0))
        while await t.query("m:states") != ["inProgress"]:
            await asyncio.sleep(0.001)
        finishing = asyncio.create_task(t.finish_scheduled_functions())
        await asyncio.sleep(0.02)
        assert not finishing.done()
        t.module("m").gate.set()
        await finishing
        assert await t.query("m:states") == ["success", "success"]
        await advancing

    exercise(tmp_path, story)


@pytest.mark.parametrize("end", ["finish", "advance"])
def test_functions_that_schedule_themselves_for_ever_are_found_out(tmp_path: Path, end: str) -> None:
    async def story(t: ConvexTest) -> None:
        await t.mutation("m:forever")
        with pytest.raises(PyconvexError, match="Check for infinitely recursive scheduled functions") as caught:
            await (t.finish_scheduled_functions(max_iterations=10) if end == "finish" else t.advance(seconds=1))
        assert caught.value.code == "EndlessScheduling"

    exercise(tmp_path, story)


@pytest.mark.parametrize("now", [datetime(2001, 2, 3, tzinfo=UTC), 981_158_400_000, 981_158_400_000.0])
def test_a_test_may_say_what_time_it_is(tmp_path: Path, now: datetime | float) -> None:
    write_modules(tmp_path, MODULES)

    async def story() -> None:
        async with ConvexTest(tmp_path / "convex", now=now) as t:
            assert await t.query("m:now") == 981_158_400
            await t.advance(seconds=60)
            assert await t.query("m:now") == 981_158_460

    run(story)


def test_jobs_that_ended_are_kept_for_a_week(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        await t.mutation("m:tick", every=0, times=2)
        await t.advance(seconds=6 * 86_400)
        assert await t.query("m:states") == ["success"]
        await t.advance(seconds=86_401)
        assert await t.query("m:states") == []

    exercise(tmp_path, story)
