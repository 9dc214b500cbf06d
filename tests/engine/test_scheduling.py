"""`ctx.scheduler`: what it takes and refuses, what it writes down, and how that goes with transactions."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine.logs.logs import Level
from pyconvex.settings import Limits
from pyconvex.testing import ConvexTest
from support.deployment import HEADER, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

MODULE = """
from datetime import UTC, datetime, timedelta

class Refused(Exception):
    pass

@internal_mutation
async def put(ctx, n: float = 0, text: str = ""):
    await ctx.db.insert("rows", {"n": n})

@internal_query
async def look(ctx):
    pass

def plain(ctx):
    pass

@internal_mutation
async def after(ctx, delay, fn="m:put", args={}):
    return await ctx.scheduler.run_after(eval(delay), fn, **args)

@internal_mutation
async def at(ctx, when, fn="m:put", args={}):
    return await ctx.scheduler.run_at(eval(when), fn, **args)

@action
async def act_after(ctx, delay, fn="m:put", args={}):
    return await ctx.scheduler.run_after(eval(delay), fn, **args)

@action
async def act_at(ctx, when, fn="m:put", args={}):
    return await ctx.scheduler.run_at(eval(when), fn, **args)

@internal_mutation
async def many(ctx, count: int, bytes: int = 0):
    for n in range(count):
        await ctx.scheduler.run_after(0, internal.m.put, n=n, text="x" * bytes)

@internal_mutation
async def cancel(ctx, id):
    return await ctx.scheduler.cancel(id)

@action
async def act_cancel(ctx, id):
    return await ctx.scheduler.cancel(id)

@query
async def jobs(ctx):
    return await ctx.db.system.query("_scheduled_functions").collect()

@query
async def job(ctx, id):
    return await ctx.db.system.get(id)

@query
async def page(ctx, opts):
    return await ctx.db.system.query("_scheduled_functions").order("desc").paginate(opts)

@query
async def ways(ctx, id):
    system = ctx.db.system
    def jobs():
        return system.query("_scheduled_functions")
    canceled = await jobs().filter(lambda q: q.eq(q.field("state.kind"), "canceled")).collect()
    return {
        "ids": [job["_id"] for job in await jobs().collect()],
        "filtered": [job["_id"] for job in canceled],
        "by time": (await jobs().with_index("by_creation_time").order("desc").first())["_id"],
        "id": system.normalize_id("_scheduled_functions", id),
        "private": await system.query("_jobs").collect(),
        "due": await system.query("_jobs").with_index("by_creation_time").collect(),
    }

@query
async def rows(ctx):
    return [row["n"] for row in await ctx.db.query("rows").collect()]

@query
async def by_query(ctx):
    await ctx.scheduler.run_after(0, put)

@internal_mutation
async def changed_args(ctx):
    given = {"text": "before"}
    await ctx.scheduler.run_after(0, internal.m.put, **given)
    inner = {"list": [1]}
    await ctx.scheduler.run_after(0, internal.m.anything, inner=inner)
    inner["list"].append(2)

@internal_mutation
async def anything(ctx, **args):
    pass

@internal_mutation
async def names_of_mine(ctx):
    await ctx.scheduler.run_after(0, internal.m.anything, delay=1, fn=2, when=3, self=4)

@internal_mutation
async def by_itself(ctx):
    await ctx.scheduler.run_after(0, put, n=1)

@internal_mutation
async def by_position(ctx):
    await ctx.scheduler.run_after(0, put, {"n": 1})

@internal_mutation
async def undone(ctx):
    await ctx.scheduler.run_after(0, put)
    raise Refused

@internal_mutation
async def part_undone(ctx):
    await ctx.scheduler.run_after(0, put, n=1)
    for _ in range(20):
        try:
            await ctx.run_mutation(internal.m.undone)
        except Refused:
            pass
    await ctx.run_mutation(internal.m.after, delay="5", args={"n": 2})

@internal_mutation
async def forgotten(ctx):
    ctx.scheduler.run_after(0, put, n=1)

@action
async def act_and_fail(ctx):
    await ctx.scheduler.run_after(0, put, n=1)
    raise Refused

@internal_mutation
async def schedule_and_cancel(ctx):
    id = await ctx.scheduler.run_after(0, put)
    await ctx.scheduler.cancel(id)
    return id

@internal_mutation
async def of_now(ctx):
    moment = datetime.now() + timedelta(hours=1)
    await ctx.scheduler.run_at(moment, put)
    await ctx.scheduler.run_at(moment.astimezone(UTC), put)
    await ctx.scheduler.run_after(timedelta(hours=1), put)
"""


def story(tmp_path: Path, tell: Callable[[ConvexTest], Coroutine[Any, Any, None]], **options: Any) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "m.py").write_text(HEADER + MODULE)

    async def whole() -> None:
        async with ConvexTest(tmp_path / "convex", **options) as t:
            await tell(t)

    asyncio.run(whole())


def test_a_job_is_written_down_as_convex_does(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        scheduled = await t.mutation("m:after", delay="1500", args={"n": 1, "text": "hi"})
        job = await t.query("m:job", id=scheduled)
        assert job == {
            "_id": scheduled,
            "_creationTime": pytest.approx(job["scheduledTime"] - 1500),
            "name": "m.js:put",
            "args": [{"n": 1, "text": "hi"}],
            "scheduledTime": job["scheduledTime"],
            "state": {"kind": "pending"},
        }
        assert isinstance(job["scheduledTime"], float)
        assert await t.query("m:jobs") == [job]

    story(tmp_path, tell)


def test_jobs_are_read_like_any_documents_and_never_written(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        ids = [await t.mutation("m:after", delay="1000") for _ in range(3)]
        await t.mutation("m:cancel", id=ids[1])
        assert await t.query("m:ways", id=ids[0]) == {
            "ids": ids,
            "filtered": [ids[1]],
            "by time": ids[2],
            "id": ids[0],
            "private": [],
            "due": [],
        }
        first = await t.query("m:page", opts={"numItems": 1, "cursor": None})
        rest = await t.query("m:page", opts={"numItems": 5, "cursor": first["continueCursor"]})
        assert [[job["_id"] for job in each["page"]] for each in (first, rest)] == [[ids[2]], [ids[1], ids[0]]]
        with pytest.raises(Exception, match="read-only"):
            await t.run(lambda ctx: ctx.db.delete(ids[0]))

    story(tmp_path, tell)


@pytest.mark.parametrize("function", ["after", "act_after"])
@pytest.mark.parametrize(
    ("delay", "message"),
    [
        ("'1'", "`delay` must be a number"),
        ("None", "`delay` must be a number"),
        ("True", "`delay` must be a number"),
        ("float('nan')", "`delay` must be a finite number"),
        ("float('inf')", "`delay` must be a finite number"),
        ("10 ** 400", "`delay` must be a finite number"),
        ("-1", "`delay` must be non-negative"),
        ("-timedelta(microseconds=1)", "`delay` must be non-negative"),
        ("timedelta(days=5 * 366)", "more than 5 years in the future"),
    ],
)
def test_delays_that_are_none(tmp_path: Path, function: str, delay: str, message: str) -> None:
    async def tell(t: ConvexTest) -> None:
        call = t.mutation if function == "after" else t.action
        with pytest.raises(Exception, match=message):
            await call(f"m:{function}", delay=delay)
        assert await t.query("m:jobs") == []

    story(tmp_path, tell)


@pytest.mark.parametrize("function", ["at", "act_at"])
@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("'now'", "The invoke time must be a datetime or a timestamp"),
        ("None", "The invoke time must be a datetime or a timestamp"),
        ("timedelta(1)", "The invoke time must be a datetime or a timestamp"),
        ("float('nan')", "The invoke time must be a datetime or a timestamp"),
        ("datetime.now(UTC) + timedelta(days=5 * 366)", "more than 5 years in the future"),
        ("0", "more than 5 years in the past"),
    ],
)
def test_moments_that_are_none(tmp_path: Path, function: str, when: str, message: str) -> None:
    async def tell(t: ConvexTest) -> None:
        call = t.mutation if function == "at" else t.action
        with pytest.raises(Exception, match=message):
            await call(f"m:{function}", when=when)
        assert await t.query("m:jobs") == []

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        ("nowhere:put", "Attempted to schedule function at nonexistent path: nowhere.py"),
        (
            "m:missing",
            "no exported function missing found in the file: m.py. Did you forget to export it?",
        ),
        ("m", "no exported function default found in the file: m.py"),
        ("m:plain", "no exported function plain found in the file: m.py"),
        (5, "A function is named by a reference"),
    ],
)
def test_functions_must_exist_when_they_are_scheduled(tmp_path: Path, fn: object, message: str) -> None:
    async def tell(t: ConvexTest) -> None:
        for call in (t.mutation("m:after", delay="0", fn=fn), t.action("m:act_after", delay="0", fn=fn)):
            with pytest.raises(Exception, match=message):
                await call

    story(tmp_path, tell)


def test_moments_and_delays_of_every_kind_mean_the_same(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        await t.mutation("m:of_now")
        for each in await t.query("m:jobs"):
            assert each["scheduledTime"] - each["_creationTime"] == pytest.approx(3_600_000, abs=0.01)

    story(tmp_path, tell)


def test_a_time_that_is_past_stays_what_it_is(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        scheduled = await t.mutation("m:at", when="1_785_000_000_000.5")
        await t.finish_scheduled_functions()
        job = await t.query("m:job", id=scheduled)
        assert (job["scheduledTime"], job["state"]) == (1_785_000_000_000.5, {"kind": "success"})

    story(tmp_path, tell)


def test_arguments_are_copied_and_no_name_is_taken(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        await t.mutation("m:changed_args")
        await t.mutation("m:names_of_mine")
        await t.mutation("m:by_itself")
        assert [job["args"] for job in await t.query("m:jobs")] == [
            [{"text": "before"}],
            [{"inner": {"list": [1]}}],
            [{"delay": 1, "fn": 2, "when": 3, "self": 4}],
            [{"n": 1}],
        ]

    story(tmp_path, tell)


def test_arguments_must_be_values_given_by_name(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        with pytest.raises(Exception, match="Functions take their arguments by name"):
            await t.mutation("m:by_position")
        with pytest.raises(TypeError, match="object"):
            await t.run(lambda ctx: ctx.scheduler.run_after(0, "m:anything", x=object()))
        assert await t.query("m:jobs") == []

    story(tmp_path, tell)


def test_a_query_cannot_schedule(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        with pytest.raises(AttributeError, match="Queries cannot schedule functions"):
            await t.query("m:by_query")

    story(tmp_path, tell)


def test_what_is_rolled_back_was_never_scheduled(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        with pytest.raises(Exception, match=r"^$"):
            await t.mutation("m:undone")
        assert await t.query("m:jobs") == []
        await t.mutation("m:part_undone")
        assert [job["args"][0]["n"] for job in await t.query("m:jobs")] == [1, 2]
        await t.advance(seconds=1)
        assert await t.query("m:rows") == [1, 2]

    # What was undone does not count: 22 are scheduled here, 20 of them for nothing.
    story(tmp_path, tell, limits=Limits(scheduled_functions=3))


def test_what_an_action_schedules_outlives_its_failure(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        with pytest.raises(Exception, match=r"^$"):
            await t.action("m:act_and_fail")
        await t.finish_scheduled_functions()
        assert await t.query("m:rows") == [1]

    story(tmp_path, tell)


def test_a_forgotten_await_schedules_and_warns(tmp_path: Path) -> None:
    async def main() -> None:
        async with deployment(tmp_path, MODULE) as d:
            assert (await d.call("forgotten")).failure is None
            [job] = await d.value("jobs")
            assert job["args"] == [{"n": 1}]
            [warning] = [line for entry in d.completions for line in entry.log_lines]
            assert warning.level is Level.WARN
            assert "`ctx.scheduler.run_after` at convex/m.py:" in warning.text()

    asyncio.run(main())


def test_limits_of_one_mutation(tmp_path: Path) -> None:
    async def main() -> None:
        limits = Limits(scheduled_functions=10, scheduled_args_bytes=10_000)
        async with deployment(tmp_path, MODULE, limits=limits) as d:
            assert await d.error("many", count=11) == (
                "Uncaught LimitExceeded: Too many functions scheduled by this mutation (limit: 10)"
            )
            assert "Too large total size of the arguments of scheduled functions from this mutation" in (
                await d.error("many", count=5, bytes=2000)
            )
            assert await d.value("jobs") == []
            assert (await d.call("many", count=8)).log_lines == []
            assert (await d.call("many", count=9)).log_lines == [
                "[WARN] Many functions scheduled by this mutation (actual: 9, limit: 10)"
            ]
            [line] = (await d.call("many", count=1, bytes=9000)).log_lines
            assert line.startswith("[WARN] Large total size of the arguments of scheduled functions from this mutation")

    asyncio.run(main())


def test_scheduling_takes_nothing_from_what_a_mutation_may_write(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        await t.mutation("m:many", count=5)
        assert len(await t.query("m:jobs")) == 5

    story(tmp_path, tell, limits=Limits(write_documents=1, write_bytes=1, read_ranges=1))


@pytest.mark.parametrize("cancel", ["cancel", "act_cancel"])
def test_cancelling(tmp_path: Path, cancel: str) -> None:
    async def tell(t: ConvexTest) -> None:
        call = t.mutation if cancel == "cancel" else t.action
        pending = await t.mutation("m:after", delay="1000")
        assert await call(f"m:{cancel}", id=pending) is None
        job = await t.query("m:job", id=pending)
        assert job["state"] == {"kind": "canceled"}
        assert job["completedTime"] == pytest.approx(job["scheduledTime"] - 1000)

        done = await t.mutation("m:after", delay="1000")
        await t.advance(seconds=2)
        assert await t.query("m:rows") == [0]
        for ended in (pending, done):
            before = await t.query("m:job", id=ended)
            await call(f"m:{cancel}", id=ended)
            assert await t.query("m:job", id=ended) == before

        row = await t.run(lambda ctx: ctx.db.insert("rows", {"n": 1}))
        for bad in (row, "nonsense", "", None, 5):
            with pytest.raises(Exception, match=r"Invalid scheduled function ID\. The ID must be an ID on the"):
                await call(f"m:{cancel}", id=bad)

    story(tmp_path, tell)


def test_cancelling_within_the_mutation_that_scheduled(tmp_path: Path) -> None:
    async def tell(t: ConvexTest) -> None:
        scheduled = await t.mutation("m:schedule_and_cancel")
        await t.advance(seconds=1)
        assert (await t.query("m:job", id=scheduled))["state"] == {"kind": "canceled"}
        assert await t.query("m:rows") == []

    story(tmp_path, tell)
