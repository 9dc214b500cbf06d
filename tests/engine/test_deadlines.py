"""The deadline of a query or mutation where the disk, a debugger, or others have their part in it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from pyconvex.engine.deadlines import Deadlines, SystemTimeout
from pyconvex.engine.driver import debugger
from pyconvex.engine.jobs import jobs
from pyconvex.engine.jobs.job_runs import run_job
from pyconvex.errors import RequestRefused
from pyconvex.settings import Limits
from pyconvex.store.postgres.layout import COMMIT_LOCK, LOCK_CLASS
from pyconvex.store.postgres.persistence import PostgresPersistence
from pyconvex.store.sqlite.disk import InlineDisk, Job, Report
from pyconvex.store.sqlite.persistence import SqlitePersistence
from support.deployment import Deployment, deployment
from support.postgres import fresh_database, server

LIMITS = Limits(transaction_seconds=0.2)
MODULE = """
ended = []

@mutation
async def add(ctx, n: float):
    await ctx.db.insert("notes", {"n": n})

@mutation
async def schedule(ctx):
    await ctx.scheduler.run_after(0, api.m.add, n=2)

@query
async def listed(ctx):
    try:
        return [note["n"] async for note in ctx.db.query("notes")]
    finally:
        ended.append("listed")

@query
async def ends(ctx):
    return ended
"""


class HeldDisk(InlineDisk):
    """Reports nothing while it is `held`."""

    def __init__(self) -> None:
        self.held = False
        self.reports: list[Callable[[], None]] = []

    def run(self, job: Job, report: Report) -> None:
        if self.held:
            self.reports.append(lambda: InlineDisk.run(self, job, report))
        else:
            super().run(job, report)


def on_postgres(root: Path, story: Callable[[Deployment, str], Awaitable[None]]) -> None:
    async def whole() -> None:
        with fresh_database() as name:
            url = server().database_url(name)
            async with deployment(root, MODULE, limits=LIMITS, persistence=PostgresPersistence(url)) as t:
                await t.value("add", n=1)
                await story(t, url)

    asyncio.run(asyncio.wait_for(whole(), 30))


async def passed() -> None:
    """The deadline of a call that began before this has passed."""
    with pytest.raises(SystemTimeout), Deadlines(LIMITS.transaction_seconds).begin():
        await asyncio.Event().wait()


def test_what_the_disk_works_on_is_waited_for(tmp_path: Path) -> None:
    disk = HeldDisk()

    async def story() -> None:
        engine = SqlitePersistence(tmp_path / "db", disk=disk)
        async with deployment(tmp_path, MODULE, limits=LIMITS, persistence=engine) as t:
            await t.value("add", n=1)
            disk.held = True
            writes = asyncio.create_task(t.call("add", n=2))
            while not disk.reports:
                await asyncio.sleep(0)
            reads = asyncio.create_task(t.call("listed"))
            await passed()
            assert (await reads).value == [1.0]
            assert not writes.done()
            disk.held = False
            for report in disk.reports:
                report()
            assert (await writes).failure is None
            assert await t.value("listed") == [1.0, 2.0]

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_handler_that_is_ended_is_ended_in_order(tmp_path: Path) -> None:
    async def story(t: Deployment, url: str) -> None:
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute(b"LOCK TABLE pyconvex.documents IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(RequestRefused) as refused:
                await t.call("listed")
            assert (refused.value.status, refused.value.code) == (503, "SystemTimeoutError")
            assert isinstance(refused.value.__cause__, SystemTimeout)
            assert await t.value("ends") == ["listed"]

    on_postgres(tmp_path, story)


def test_nobody_is_hurried_in_a_debugger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(t: Deployment, url: str) -> None:
        def attached(_frame: object) -> bool:
            return True

        monkeypatch.setattr(debugger, "attached", attached)
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute(b"LOCK TABLE pyconvex.documents IN ACCESS EXCLUSIVE MODE")
            call = asyncio.create_task(t.call("listed"))
            await asyncio.wait([call], timeout=2 * LIMITS.transaction_seconds)
            assert not call.done()
        assert (await call).value == [1.0]

    on_postgres(tmp_path, story)


def test_a_scheduled_mutation_is_attempted_again(tmp_path: Path) -> None:
    async def story(t: Deployment, url: str) -> None:
        await t.value("schedule")
        async with t.store.snapshot() as transaction:
            (waiting,) = await jobs.waiting(transaction, 9)
            job = await jobs.look_up(transaction, waiting.id)
        async with await psycopg.AsyncConnection.connect(url) as other:
            await other.execute(f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, {COMMIT_LOCK})".encode())
            with pytest.raises(SystemTimeout):
                await run_job(t.runner, job)
        assert t.completions[-1].will_retry
        assert await t.value("listed") == [1.0]
        await run_job(t.runner, job)
        assert await t.value("listed") == [1.0, 2.0]

    on_postgres(tmp_path, story)


def test_each_call_has_its_own_time() -> None:
    async def story() -> None:
        deadlines = Deadlines(0.2)
        ended: list[int] = []

        async def wait(number: int) -> None:
            with pytest.raises(SystemTimeout), deadlines.begin():
                await asyncio.Event().wait()
            ended.append(number)

        calls: list[asyncio.Task[None]] = []
        for number in range(3):
            calls.append(asyncio.create_task(wait(number)))
            await asyncio.sleep(0.03)
            with deadlines.begin():  # others come and go
                await asyncio.sleep(0)
        assert not ended
        await calls[0]
        assert ended == [0]
        await asyncio.gather(*calls)
        assert ended == [0, 1, 2]

    asyncio.run(asyncio.wait_for(story(), 30))


def test_who_cancels_is_told_so() -> None:
    async def story() -> None:
        deadlines = Deadlines(0.05)

        async def wait() -> None:
            with deadlines.begin():
                try:
                    await asyncio.Event().wait()
                finally:
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()  # somebody else does at the same time

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(wait())

    asyncio.run(asyncio.wait_for(story(), 30))
