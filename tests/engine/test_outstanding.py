"""How many scheduled functions may wait at once, in the whole deployment."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pyconvex.clock import Clock, ManualClock
from pyconvex.engine.jobs.jobs import KEPT_MS, outstanding_change
from pyconvex.engine.jobs.outstanding import Outstanding
from pyconvex.engine.jobs.scheduler import GRACE_MS, Scheduler
from pyconvex.settings import Limits
from pyconvex.store.keys import Commit
from pyconvex.store.transaction import Transaction
from support.deployment import Deployment, deployment
from support.stores import LASTING, database_of

HOUR_MS = 3_600_000.0
PATIENCE_SECONDS = 20
REFUSED = "Too many scheduled functions that have not run yet (limit: 5)"

MODULE = """
from pyconvex.server import internal_action

gate = asyncio.Event()

@internal_mutation
async def nothing(ctx):
    pass

@internal_action
async def waits(ctx):
    await gate.wait()

@internal_mutation
async def schedule(ctx, count: int = 1, delay: float = 3_600_000, fn="m:nothing"):
    return [await ctx.scheduler.run_after(delay, fn) for _ in range(count)]

@internal_mutation
async def try_to(ctx, count: int):
    try:
        await ctx.run_mutation("m:schedule", count=count)
    except Exception:
        pass
    await ctx.scheduler.run_after(3_600_000, nothing)

@action
async def act(ctx):
    await ctx.scheduler.run_after(3_600_000, nothing)

@internal_mutation
async def cancel(ctx, ids: list[str]):
    for id in ids:
        await ctx.scheduler.cancel(id)

@query
async def states(ctx):
    return sorted([job["state"]["kind"] for job in await ctx.db.system.query("_scheduled_functions").collect()])
"""


@asynccontextmanager
async def limited(root: Path, clock: Clock | None = None, **options: object) -> AsyncGenerator[Deployment]:
    limits = Limits(outstanding_functions=5)
    async with deployment(root, MODULE, limits=limits, clock=clock, **options) as d:  # type: ignore[arg-type]
        yield d


@asynccontextmanager
async def scheduled_by(d: Deployment) -> AsyncGenerator[Scheduler]:
    scheduler = Scheduler(d.runner)
    scheduler.start()
    try:
        yield scheduler
    finally:
        await scheduler.close()


async def until_states(d: Deployment, *expected: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await d.value("states") != sorted(expected):
            await asyncio.sleep(0.001)


async def until_scheduled(d: Deployment, count: int) -> None:
    """A commit is visible a moment before the node has heard that it makes room."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await d.call("schedule", count=count)).failure is not None:
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("every_engine")
def test_beyond_the_limit_nothing_more_is_scheduled(tmp_path: Path) -> None:
    async def main() -> None:
        async with limited(tmp_path) as d:
            [first, *_] = await d.value("schedule", count=3)
            assert await d.error("schedule", count=3) == f"Uncaught LimitExceeded: {REFUSED}"
            assert await d.value("states") == ["pending"] * 3
            await d.value("try_to", count=3)
            await d.value("act")
            for full in ("schedule", "act"):
                assert REFUSED in await d.error(full)
            await d.value("cancel", ids=[first])
            await d.value("schedule")
            assert REFUSED in await d.error("schedule")
            assert await d.value("states") == ["canceled", *["pending"] * 5]

    asyncio.run(main())


@pytest.mark.usefixtures("every_engine")
def test_mutations_at_the_same_moment_do_not_pass_it_together(tmp_path: Path) -> None:
    async def main() -> None:
        async with limited(tmp_path) as d:
            await d.value("schedule")
            outcomes = await asyncio.gather(*[d.call("schedule", count=2) for _ in range(6)])
            refused = [outcome.failure.message for outcome in outcomes if outcome.failure is not None]
            assert refused == [f"Uncaught LimitExceeded: {REFUSED}"] * 4
            [kept] = [outcome.value for outcome in outcomes if outcome.failure is None][:1]
            assert isinstance(kept, list)
            assert await d.value("states") == ["pending"] * 5
            ends = await asyncio.gather(d.call("cancel", ids=kept[:1]), *[d.call("act") for _ in range(3)])
            assert sum(outcome.failure is None for outcome in ends) <= 2
            assert (await d.value("states")).count("pending") <= 5

    asyncio.run(main())


def test_nor_do_those_of_several_nodes(tmp_path: Path) -> None:
    async def main() -> None:
        with database_of("postgres", tmp_path) as database:
            async with (
                limited(tmp_path / "a", persistence=database.persistence()) as own,
                limited(tmp_path / "b", persistence=database.persistence()) as other,
            ):
                for d in (own, other):
                    await d.value("cancel", ids=await d.value("schedule"))  # both have counted
                calls = [d.call("schedule", count=3) for d in (own, other) for _ in range(3)]
                outcomes = await asyncio.gather(*calls)
                assert [outcome.failure is None for outcome in outcomes].count(True) == 1
                assert (await own.value("states")).count("pending") == 3

    asyncio.run(main())


@pytest.mark.usefixtures("every_engine")
def test_what_has_run_makes_room_and_what_runs_does_not(tmp_path: Path) -> None:
    async def main() -> None:
        clock = ManualClock()
        async with limited(tmp_path, clock) as d, scheduled_by(d):
            await d.value("schedule", count=2)
            await d.value("schedule", count=3, delay=0, fn="m:waits")
            await until_states(d, "pending", "pending", "inProgress", "inProgress", "inProgress")
            assert REFUSED in await d.error("schedule")
            d.versions.current.modules["m"].__dict__["gate"].set()
            await until_states(d, "pending", "pending", "success", "success", "success")
            await until_scheduled(d, 3)
            clock.advance(HOUR_MS / 1000 + 1)
            await until_states(d, *["success"] * 8)
            await until_scheduled(d, 5)
            assert REFUSED in await d.error("schedule")

    asyncio.run(main())


@pytest.mark.usefixtures("every_engine")
def test_they_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    count = Outstanding._counted  # pyright: ignore[reportPrivateUsage]

    async def counting(self: Outstanding, transaction: Transaction) -> int:
        counted.append(await count(self, transaction))
        return counted[-1]

    monkeypatch.setattr(Outstanding, "_counted", counting)

    async def main() -> None:
        async with limited(tmp_path) as d:
            for _ in range(10):
                [scheduled] = await d.value("schedule")
                await d.value("cancel", ids=[scheduled])
            await d.value("schedule", count=5)
            for _ in range(5):
                await d.error("schedule")
            assert counted == [0]

    asyncio.run(main())


@pytest.mark.parametrize("kind", LASTING)
def test_those_from_before_a_restart_count(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        with database_of(kind, tmp_path) as database:
            async with limited(tmp_path, persistence=database.persistence()) as d:
                await d.value("schedule", count=4)
            async with limited(tmp_path, persistence=database.persistence()) as d:
                assert REFUSED in await d.error("schedule", count=2)
                await d.value("schedule")
                assert REFUSED in await d.error("schedule")

    asyncio.run(main())


def test_what_other_nodes_do_counts_and_is_understood_as_they_do(tmp_path: Path) -> None:
    async def main() -> None:
        with database_of("postgres", tmp_path) as database:
            clock = ManualClock()
            async with (
                limited(tmp_path / "a", clock, persistence=database.persistence(clock)) as own,
                limited(tmp_path / "b", clock, persistence=database.persistence(clock)) as other,
            ):
                here, there = changes_heard(own), changes_heard(other)
                await other.value("cancel", ids=await other.value("schedule"))
                waiting = await own.value("schedule", count=4)
                async with scheduled_by(own) as scheduler:
                    await own.value("schedule", delay=0, fn="m:waits")
                    clock.advance(2 * GRACE_MS / 1000)  # the other node, which goes first perhaps, runs no jobs
                    await until_states(own, *["pending"] * 4, "inProgress", "canceled")
                    await all_heard(here, there)
                    assert REFUSED in await other.error("schedule")
                    own.versions.current.modules["m"].__dict__["gate"].set()
                    await until_states(own, *["pending"] * 4, "success", "canceled")
                    await own.value("cancel", ids=waiting[:3])
                    clock.advance((HOUR_MS + 2 * GRACE_MS) / 1000)
                    await until_states(own, "success", "success", *["canceled"] * 4)
                    clock.advance(KEPT_MS / 1000 + 1)
                    await scheduler.tend()
                    await until_states(own)
                await all_heard(here, there)
                assert sum(here.values()) == 0
                await other.value("schedule", count=5)
                assert REFUSED in await other.error("schedule")

    asyncio.run(main())


def changes_heard(d: Deployment) -> dict[int, int]:
    """By how much each commit changes the number, as this node understands it."""
    heard: dict[int, int] = {}

    def hear(commit: Commit) -> None:
        heard[commit.ts] = outstanding_change(commit)

    d.store.on_commit(hear)
    return heard


async def all_heard(first: dict[int, int], second: dict[int, int]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while first.keys() != second.keys():
            await asyncio.sleep(0.001)
    assert first == second
