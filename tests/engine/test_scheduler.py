"""The scheduler: when jobs run, how they end, and what becomes of those that cannot be run."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyconvex.clock import Clock, ManualClock
from pyconvex.engine.jobs import jobs
from pyconvex.engine.jobs.scheduler import CONFLICT_MS, FAILURE_MS, TEND_MS, Scheduler
from pyconvex.settings import Limits
from pyconvex.store.persistence import Conflict, StoreFailed
from pyconvex.store.schema.catalog import table_of_index
from pyconvex.values.ids import decode_id
from support.deployment import Deployment, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

PATIENCE_SECONDS = 20.0

MODULE = """
from pyconvex.server import internal_action

started = []
gates = {}

def gate(name):
    return gates.setdefault(name, asyncio.Event())

@internal_mutation
async def put(ctx, n: int):
    await ctx.db.insert("rows", {"n": n})

@internal_mutation
async def after(ctx, delay: float, fn="m:put", args={}):
    return await ctx.scheduler.run_after(delay, fn, **args)

@internal_mutation
async def many(ctx, count: int, fn="m:put", delay: float = 0):
    for n in range(count):
        await ctx.scheduler.run_after(delay, fn, n=n)

@internal_mutation
async def cancel(ctx, id: str):
    await ctx.scheduler.cancel(id)

@query
async def rows(ctx):
    return [row["n"] for row in await ctx.db.query("rows").collect()]

@query
async def jobs(ctx):
    return await ctx.db.system.query("_scheduled_functions").collect()

@query
async def state(ctx, id):
    return (await ctx.db.system.get(id))["state"]

@query
async def look(ctx):
    pass

@internal_mutation
async def fails(ctx, data=None):
    await ctx.db.insert("rows", {"n": -1})
    raise ValueError("no") if data is None else ConvexError(data)

@internal_mutation
async def own_state(ctx):
    [job] = await ctx.db.system.query("_scheduled_functions").collect()
    request = await ctx.meta.get_request_metadata()
    print(job["state"], await ctx.auth.get_user_identity(), request["scheduledFunctionId"] == job["_id"])

@internal_mutation
async def cancels_itself(ctx):
    [job] = await ctx.db.system.query("_scheduled_functions").collect()
    await ctx.scheduler.cancel(job["_id"])

@internal_mutation
async def forever(ctx):
    while True:
        pass

@internal_action
async def waits(ctx, n: int = 0):
    started.append(n)
    await gate("go").wait()
    await ctx.run_mutation(internal.m.put, n=n)

@internal_action
async def fails_in_action(ctx):
    await ctx.run_mutation(internal.m.put, n=1)
    await ctx.run_mutation(internal.m.fails)

@internal_action
async def schedules_everywhere(ctx):
    await ctx.scheduler.run_after(0, put, n=1)
    started.append("first")
    await gate("go").wait()
    await ctx.scheduler.run_after(0, put, n=2)
    await ctx.run_mutation(internal.m.after, delay=0, args={"n": 3})
    await ctx.run_action(internal.m.schedules, n=4)
    await ctx.run_mutation(internal.m.put, n=5)

@internal_action
async def schedules(ctx, n: int):
    await ctx.scheduler.run_after(0, put, n=n)
"""


@dataclass
class Scene:
    """A deployment whose jobs are run by a scheduler in the background."""

    d: Deployment
    scheduler: Scheduler

    @property
    def module(self) -> Any:
        return self.d.versions.current.modules["m"]

    def open_gate(self) -> None:
        self.module.gate("go").set()

    async def until(self, condition: Callable[[], Coroutine[Any, Any, Any] | Any]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                holds = condition()
                if await holds if asyncio.iscoroutine(holds) else holds:
                    return
                await asyncio.sleep(0.001)

    async def until_state(self, scheduled: str, kind: str) -> dict[str, Any]:
        await self.until(lambda: self._is(scheduled, kind))
        return await self.d.value("state", id=scheduled)

    async def until_attempted(self) -> None:
        """Until no attempt at a job is going on, and the scheduler has taken note of it."""
        await self.until(lambda: not any(task.get_name().startswith("job ") for task in asyncio.all_tasks()))
        await asyncio.sleep(0.001)

    async def until_idle(self) -> None:
        """Until no job waits or runs."""

        async def idle() -> bool:
            return all(job["state"]["kind"] not in ("pending", "inProgress") for job in await self.d.value("jobs"))

        await self.until(idle)

    async def has_rows(self, expected: list[int]) -> bool:
        """Whether there are all of these, in any order as they run at once; there must never be others."""
        found = await self.d.value("rows")
        assert set(found) <= set(expected)
        return sorted(found) == sorted(expected)

    async def _is(self, scheduled: str, kind: str) -> bool:
        return (await self.d.value("state", id=scheduled))["kind"] == kind


@asynccontextmanager
async def scene(
    root: Path, *, limits: Limits | None = None, clock: Clock | None = None, module: str = MODULE, start: bool = True
) -> AsyncGenerator[Scene]:
    async with deployment(root, module, limits=limits, clock=clock) as d:
        scheduler = Scheduler(d.runner)
        if start:
            scheduler.start()
        try:
            yield Scene(d, scheduler)
        finally:
            await scheduler.close()


def play(root: Path, tell: Callable[[Scene], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with scene(root, **options) as s:
            await tell(s)

    asyncio.run(whole())


# --- when


def test_jobs_run_when_their_time_comes_and_not_before(tmp_path: Path) -> None:
    clock = ManualClock()

    async def tell(s: Scene) -> None:
        for delay in (3000, 1000, 2000):
            await s.d.value("after", delay=delay, args={"n": delay})
        for ms, expected in ((999, []), (1001, [1000, 2000]), (900, [1000, 2000]), (200, [1000, 2000, 3000])):
            clock.advance(ms / 1000)
            await asyncio.sleep(0.02)
            await s.until(lambda expected=expected: s.has_rows(expected))

    play(tmp_path, tell, clock=clock)


def test_a_job_that_is_due_at_once_runs_after_the_commit(tmp_path: Path) -> None:
    async def tell(s: Scene) -> None:
        await s.d.value("many", count=3)
        await s.until_idle()
        assert sorted(await s.d.value("rows")) == [0, 1, 2]

    play(tmp_path, tell)


def test_only_so_many_run_at_once(tmp_path: Path) -> None:
    async def tell(s: Scene) -> None:
        await s.d.value("many", count=5, fn="m:waits")
        await s.until(lambda: len(s.module.started) == 2)
        await asyncio.sleep(0.05)
        kinds = [job["state"]["kind"] for job in await s.d.value("jobs")]
        assert kinds == ["inProgress", "inProgress", "pending", "pending", "pending"]
        s.open_gate()
        await s.until_idle()
        assert sorted(s.module.started) == [0, 1, 2, 3, 4]

    play(tmp_path, tell, limits=Limits(scheduled_jobs=2))


def test_one_after_another_they_run_in_their_order(tmp_path: Path) -> None:
    async def tell(s: Scene) -> None:
        s.open_gate()
        await s.d.value("many", count=5, fn="m:waits")
        await s.until_idle()
        assert s.module.started == [0, 1, 2, 3, 4]

    play(tmp_path, tell, limits=Limits(scheduled_jobs=1))


def test_at_rest_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, looks = ManualClock(), list[float]()
    looked = jobs.waiting

    async def counted(*args: Any) -> Any:
        looks.append(clock.now_ms())
        return await looked(*args)

    monkeypatch.setattr(jobs, "waiting", counted)

    async def tell(s: Scene) -> None:
        await s.d.value("after", delay=600_000, args={"n": 1})
        await asyncio.sleep(0.1)
        looks.clear()
        await s.d.value("put", n=5)  # A commit that concerns no job.
        clock.advance(TEND_MS / 1000 - 1)
        await asyncio.sleep(0.1)
        assert looks == []
        clock.advance(1.001)
        await asyncio.sleep(0.1)
        assert len(looks) == 1

    play(tmp_path, tell, clock=clock)


def test_nothing_runs_before_there_are_functions_or_while_it_must_not(tmp_path: Path) -> None:
    async def main() -> None:
        allowed = False
        async with deployment(tmp_path, MODULE) as d:
            await d.value("after", delay=0, args={"n": 1})
            scheduler = Scheduler(d.runner, eligible=lambda: allowed)
            scheduler.start()
            s = Scene(d, scheduler)
            await asyncio.sleep(0.05)
            assert await d.value("rows") == []
            allowed = True
            scheduler.wake()
            await s.until_idle()
            assert await d.value("rows") == [1]
            await scheduler.close()

    asyncio.run(main())


# --- how


def test_a_mutation_and_its_success_are_one_commit(tmp_path: Path) -> None:
    async def tell(s: Scene) -> None:
        commits: list[set[int]] = []
        s.d.store.on_commit(lambda commit: commits.append({table_of_index(key.index) for key in commit.written}))
        await s.d.value("after", delay=0, args={"n": 1})
        await s.until_idle()
        await s.until(lambda: len(commits) > 1)  # a snapshot may show a commit a moment before it is told of
        number = s.d.store.catalog.table("rows")
        assert number is not None
        assert [tables >= {number.number, 517, 539} for tables in commits] == [False, True]

    play(tmp_path, tell)


def test_what_a_job_is_told_and_what_the_log_says_of_it(tmp_path: Path) -> None:
    async def tell(s: Scene) -> None:
        scheduled = await s.d.value("after", delay=0, fn="m:own_state")
        await s.until(lambda: any(entry.job for entry in s.d.completions))
        [entry] = [entry for entry in s.d.completions if entry.job]
        assert [line.text() for line in entry.log_lines] == ["[LOG] { kind: 'inProgress' } null true"]
        assert (entry.identifier, entry.udf_type, entry.caller, entry.identity_type, entry.job) == (
            "m:own_state",
            "Mutation",
            "Scheduler",
            "unknown",
            scheduled,
        )
        # What a job reads and writes of itself is not its function's doing.
        assert entry.usage_stats.database_write_documents == 0
        assert entry.usage_stats.database_read_documents == 1

    play(tmp_path, tell)


def test_calls_of_an_action_belong_to_its_job_too(tmp_path: Path) -> None:
    async def tell(s: Scene) -> None:
        scheduled = await s.d.value("after", delay=0, fn="m:waits", args={"n": 7})
        s.open_gate()
        await s.until_state(scheduled, "success")
        assert await s.d.value("rows") == [7]
        entries = {entry.identifier: entry for entry in s.d.completions if entry.job == scheduled}
        assert entries.keys() == {"m:waits", "m:put"}
        assert entries["m:put"].parent_execution_id == entries["m:waits"].execution_id
        assert (entries["m:waits"].caller, entries["m:put"].caller) == ("Scheduler", "Action")

    play(tmp_path, tell)


@pytest.mark.parametrize(
    ("fn", "args", "error"),
    [
        ("fails", {}, "Uncaught ValueError: no"),
        ("fails", {"data": {"code": 5}}, 'Uncaught ConvexError: {"code":5}'),
        ("put", {}, "ArgumentValidationError: Object is missing the required field `n`"),
        ("look", {}, "Unsupported function type: m:look is a Query. Only mutations and actions can be scheduled."),
        ("cancels_itself", {}, "Uncaught Error: A mutation cannot cancel itself"),
        ("forever", {}, "Function execution timed out (maximum duration: 0.2s)"),
        ("fails_in_action", {}, "Uncaught ValueError: no"),
    ],
)
def test_how_jobs_fail(tmp_path: Path, fn: str, args: dict[str, Any], error: str) -> None:
    async def tell(s: Scene) -> None:
        scheduled = await s.d.value("after", delay=0, fn=f"m:{fn}", args=args)
        state = await s.until_state(scheduled, "failed")
        assert state["error"].startswith(error)
        assert await s.d.value("rows") == ([1] if fn == "fails_in_action" else [])
        await s.until(lambda: any(entry.job == scheduled and entry.caller == "Scheduler" for entry in s.d.completions))
        [entry] = [entry for entry in s.d.completions if entry.job == scheduled and entry.parent_execution_id is None]
        assert entry.error is not None
        assert entry.error.startswith(error)

    play(tmp_path, tell, limits=Limits(mutation_seconds=0.2))


def test_a_function_that_is_gone_when_its_time_comes(tmp_path: Path) -> None:
    clock = ManualClock()

    async def tell(s: Scene) -> None:
        scheduled = await s.d.value("after", delay=1000, args={"n": 1})
        s.d.load({"m": MODULE.replace("async def put(", "async def put_it(")})
        clock.advance(2)
        state = await s.until_state(scheduled, "failed")
        assert state["error"].startswith("Could not find function for 'm:put'.")

    play(tmp_path, tell, clock=clock)


def test_a_job_keeps_the_version_it_began_on(tmp_path: Path) -> None:
    async def tell(s: Scene) -> None:
        scheduled = await s.d.value("after", delay=0, fn="m:waits", args={"n": 1})
        old = s.module
        await s.until(lambda: old.started == [1])
        s.d.load({"m": MODULE.replace("n=n)", "n=100)")})
        old.gate("go").set()
        await s.until_state(scheduled, "success")
        # The action is the old one; what it calls by path comes from its version, too.
        assert await s.d.value("rows") == [1]

    play(tmp_path, tell)


def test_cancelling_an_action_that_runs(tmp_path: Path) -> None:
    async def tell(s: Scene) -> None:
        scheduled = await s.d.value("after", delay=0, fn="m:schedules_everywhere")
        await s.until(lambda: s.module.started == ["first"])
        await s.until(lambda: s.d.value("rows"))
        await s.d.value("cancel", id=scheduled)
        assert await s.d.value("state", id=scheduled) == {"kind": "canceled"}
        s.open_gate()
        await s.until(lambda: any(entry.identifier == "m:schedules_everywhere" for entry in s.d.completions))
        assert await s.d.value("rows") == [1, 5]
        states = {job["args"][0].get("n"): job["state"]["kind"] for job in await s.d.value("jobs")}
        assert states == {None: "canceled", 1: "success", 2: "canceled", 3: "canceled", 4: "canceled"}

    play(tmp_path, tell)


# --- what goes wrong


def test_a_mutation_that_meets_conflicts_is_run_until_it_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()

    async def tell(s: Scene) -> None:
        scheduled = await s.d.value("after", delay=1000, args={"n": 1})
        attempts = failing(s, monkeypatch, Conflict, times=9)
        clock.advance(1)
        for attempt in range(1, 10):
            await s.until(lambda attempt=attempt: attempts[0] == attempt)
            await s.until_attempted()
            clock.advance(CONFLICT_MS[0] * 2 ** (attempt - 1) / 1000 / 2 - 0.001)
            await asyncio.sleep(0.01)
            assert attempts[0] == attempt, "not before half of its pause is over"
            clock.advance(min(CONFLICT_MS[0] * 2 ** (attempt - 1), CONFLICT_MS[1]) / 1000)
        await s.until_state(scheduled, "success")
        assert await s.d.value("rows") == [1]
        await s.until(lambda: sum(entry.job == scheduled for entry in s.d.completions) == 10)
        assert [entry.will_retry for entry in s.d.completions if entry.job == scheduled] == [True] * 9 + [False]

    play(tmp_path, tell, clock=clock)


def test_a_job_that_cannot_be_run_waits_and_is_run_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()

    async def tell(s: Scene) -> None:
        scheduled = await s.d.value("after", delay=1000, args={"n": 1})
        attempts = failing(s, monkeypatch, lambda: StoreFailed("DiskFull", "the disk is full"), times=3)
        clock.advance(1)
        for attempt in range(1, 4):
            await s.until(lambda attempt=attempt: attempts[0] == attempt)
            await s.until_attempted()
            assert await s.d.value("state", id=scheduled) == {"kind": "pending"}
            clock.advance(FAILURE_MS[0] * 2 ** (attempt - 1) / 1000)
        await s.until_state(scheduled, "success")
        assert await s.d.value("rows") == [1]

    play(tmp_path, tell, clock=clock)


def test_how_an_action_ended_is_written_down_whatever_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()

    async def tell(s: Scene) -> None:
        scheduled = await s.d.value("after", delay=0, fn="m:waits")
        await s.until(lambda: s.module.started == [0])
        ended = jobs.end
        attempts = 0

        async def end(*args: Any) -> bool:
            nonlocal attempts
            attempts += 1
            if attempts <= 3:
                raise StoreFailed("DiskFull", "the disk is full")
            return await ended(*args)

        monkeypatch.setattr(jobs, "end", end)
        s.open_gate()
        # It is not known when a pause begins, so time goes on until no pause is left.
        await s.until(lambda: attempts == 4 or clock.advance(60))
        await s.until_state(scheduled, "success")
        assert await s.d.value("rows") == [0]

    play(tmp_path, tell, clock=clock)


def test_the_scheduler_outlives_its_own_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()

    async def tell(s: Scene) -> None:
        looked, broken = jobs.waiting, [0]

        async def waiting(*args: Any) -> Any:
            broken[0] += 1
            if broken[0] <= 2:
                raise RuntimeError("a bug")
            return await looked(*args)

        monkeypatch.setattr(jobs, "waiting", waiting)
        scheduled = await s.d.value("after", delay=0, args={"n": 1})
        for attempt in (1, 2):
            await s.until(lambda attempt=attempt: broken[0] >= attempt)
            clock.advance(TEND_MS / 1000)
        await s.until_state(scheduled, "success")

    play(tmp_path, tell, clock=clock)


@pytest.mark.parametrize("node", ["another", "this one"])
def test_actions_that_nobody_runs_any_more_have_failed(tmp_path: Path, node: str) -> None:
    async def tell(s: Scene) -> None:
        lost = await s.d.value("after", delay=0, fn="m:waits")
        number = s.d.store.node + (node == "another")
        await s.d.store.mutate(lambda transaction: jobs.take(transaction, decode_id(lost), number))
        s.scheduler.start()
        running = await s.d.value("after", delay=0, fn="m:waits", args={"n": 1})
        state = await s.until_state(lost, "failed")
        assert state == {"kind": "failed", "error": "Transient error while executing action"}
        await s.until(lambda: any(entry.job for entry in s.d.completions))
        [entry] = [entry for entry in s.d.completions if entry.job]
        assert (entry.job, entry.error, entry.identifier) == (lost, state["error"], "m:waits")
        await s.until_state(running, "inProgress")
        await s.scheduler.tend()
        assert await s.d.value("state", id=running) == {"kind": "inProgress"}
        await s.until(lambda: s.module.started)
        assert s.module.started == [1]

    play(tmp_path, tell, start=False)


def test_closing_ends_actions_and_leaves_what_has_not_begun(tmp_path: Path) -> None:
    async def tell(s: Scene) -> None:
        running = await s.d.value("after", delay=0, fn="m:waits")
        waiting = await s.d.value("after", delay=100_000, args={"n": 1})
        await s.until(lambda: s.module.started == [0])
        await s.scheduler.close()
        assert (await s.d.value("state", id=running))["error"] == "Transient error while executing action"
        assert await s.d.value("state", id=waiting) == {"kind": "pending"}
        await s.d.value("many", count=2)
        await asyncio.sleep(0.05)
        assert await s.d.value("rows") == []

    play(tmp_path, tell)


def test_jobs_are_forgotten_a_week_after_they_ended(tmp_path: Path) -> None:
    clock = ManualClock()

    async def tell(s: Scene) -> None:
        await s.d.value("many", count=150)
        await s.until_idle()
        clock.advance(6.9 * 86_400)
        pending = await s.d.value("after", delay=86_400_000, args={"n": 1})
        await asyncio.sleep(0.05)
        assert len(await s.d.value("jobs")) == 151
        clock.advance(0.2 * 86_400)

        async def left() -> bool:
            return [job["_id"] for job in await s.d.value("jobs")] == [pending]

        await s.until(left)
        async with s.d.store.snapshot() as transaction:
            assert len(await jobs.waiting(transaction, 1000)) == 1
            assert await jobs.forgettable(transaction, clock.now_ms(), 1000) == []

    play(tmp_path, tell, clock=clock)


def failing(s: Scene, monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], *, times: int) -> list[int]:
    """Makes the first `times` mutations of jobs fail when they commit; the answer counts the attempts."""
    attempts = [0]
    take = jobs.take

    async def fail(*args: Any) -> Any:
        attempts[0] += 1
        if attempts[0] <= times:
            raise error()
        return await take(*args)

    monkeypatch.setattr(jobs, "take", fail)
    return attempts
