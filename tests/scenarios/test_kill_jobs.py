"""kill -9 in the middle of jobs: each scheduled mutation takes effect once, each action runs at most once."""

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

import pyconvex
from pyconvex.engine.auth.identity import ANONYMOUS
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.jobs.jobs import LOST
from pyconvex.host import Host, HostOptions
from pyconvex.settings import Limits
from support.postgres import fresh_database, server

ROUNDS = int(os.environ.get("PYCONVEX_KILL_ROUNDS", "5"))
PROGRAM = Path(__file__).with_name("kill_jobs.py")
PATIENCE_SECONDS = 120.0 + 8 * ROUNDS
TABLES = ("queued", "marked", "followed", "began", "ended")
ENDED = ("success", "failed")
FILE = HostOptions(project=Path()).database

FUNCTIONS = """\
import asyncio
from pyconvex.server import internal_action, internal_mutation, query
from ._generated.api import internal


@internal_mutation
async def enqueue(ctx, n: int):
    await ctx.db.insert("queued", {"n": n})
    await ctx.scheduler.run_after(n % 30, internal.jobs.mark, n=n)
    await ctx.scheduler.run_after(n % 30, internal.jobs.act, n=n)


@internal_mutation
async def mark(ctx, n: int):
    await ctx.db.insert("marked", {"n": n})
    if n % 5 == 0:
        await ctx.scheduler.run_after(3, internal.jobs.follow, n=n)


@internal_mutation
async def follow(ctx, n: int):
    await ctx.db.insert("followed", {"n": n})


@internal_action
async def act(ctx, n: int):
    await ctx.run_mutation(internal.jobs.note, table="began", n=n)
    await asyncio.sleep(0.003)
    await ctx.run_mutation(internal.jobs.note, table="ended", n=n)


@internal_mutation
async def note(ctx, table: str, n: int):
    await ctx.db.insert(table, {"n": n})


@query
async def page(ctx, table: str, cursor: str | None):
    query = ctx.db.system.query(table) if table.startswith("_") else ctx.db.query(table)
    return await query.paginate({"numItems": 2000, "cursor": cursor})
"""


@pytest.mark.faults
@pytest.mark.parametrize(("engine", "nodes"), [("sqlite", 1), ("postgres", 2)])
def test_every_job_survives_and_none_is_done_twice(tmp_path: Path, engine: str, nodes: int) -> None:
    """Each round all nodes are killed, one after another, so that the last ones find jobs of the dead."""
    chance = random.Random(7)
    acknowledged: set[int] = set()
    with fresh_database() if engine == "postgres" else nullcontext() as name:
        database = server().database_url(name) if name else FILE
        for round_number in range(ROUNDS):
            with ExitStack() as running:
                programs = [
                    running.enter_context(schedule(project_of(tmp_path, node), (round_number * nodes + node), database))
                    for node in range(nodes)
                ]
                for program in programs:
                    acknowledged |= kill_after(chance.randrange(1, 80), program)
        found = asyncio.run(contents_when_all_is_done(project_of(tmp_path, 0), database))
    check(found, acknowledged)


def project_of(folder: Path, node: int) -> Path:
    """Every node has a copy of the project, as on a machine of its own."""
    project = folder / f"node-{node}"
    (project / "convex").mkdir(parents=True, exist_ok=True)
    (project / "convex" / "jobs.py").write_text(FUNCTIONS)
    return project


def check(found: dict[str, Any], acknowledged: set[int]) -> None:
    """Every number once where mutations wrote it, at most once where actions did, and jobs that tell the same."""
    queued = sorted(found["queued"])
    assert acknowledged <= set(queued)
    assert queued == sorted(set(queued))
    assert sorted(found["marked"]) == queued
    assert sorted(found["followed"]) == [n for n in queued if n % 5 == 0]
    began: Counter[int] = Counter(found["began"])
    ended: Counter[int] = Counter(found["ended"])
    assert max(began.values()) == max(ended.values()) == 1
    assert ended.keys() <= began.keys() <= set(queued)
    states = {(job["name"], job["args"][0]["n"]): job["state"] for job in found["jobs"]}
    assert len(states) == len(found["jobs"]) == 2 * len(queued) + len(found["followed"])
    for (name, n), state in states.items():
        if name != "jobs.js:act":
            assert state == {"kind": "success"}
        elif state["kind"] == "success":
            assert n in ended
        else:
            assert state == {"kind": "failed", "error": LOST}


def schedule(project: Path, number: int, database: str) -> subprocess.Popen[bytes]:
    """A node that schedules the numbers from `number * 10_000` on."""
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(project), str(number * 10_000), database],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(pyconvex.__file__).parent.parent)},
    )


def kill_after(acknowledgements: int, program: subprocess.Popen[bytes]) -> set[int]:
    """The numbers that it acknowledged."""
    assert program.stdout is not None
    lines = [program.stdout.readline() for _ in range(acknowledgements)]
    program.kill()
    rest = program.stdout.read().split(b"\n")[:-1]  # The last one may be cut off.
    assert all(lines), "the program ended by itself"
    return {int(line) for line in (*lines, *rest)}


async def contents_when_all_is_done(project: Path, database: str) -> dict[str, Any]:
    limits = Limits(query_seconds=60)
    async with (
        Host.open(HostOptions(project=project, limits=limits, database=database)) as host,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        await host.reload()
        host.scheduler.start()
        jobs = await rows(host, "_scheduled_functions")
        while any(job["state"]["kind"] not in ENDED for job in jobs):
            await asyncio.sleep(0.1 + len(jobs) / 5000)
            jobs = await rows(host, "_scheduled_functions")
        return {"jobs": jobs, **{table: [row["n"] for row in await rows(host, table)] for table in TABLES}}


async def rows(host: Host, table: str) -> list[Any]:
    """All documents of a table, in pages: a value may have 8,192 elements."""
    found: list[Any] = []
    page: dict[str, Any] = {"isDone": False, "continueCursor": None}
    while not page["isDone"]:
        call = Call(Caller.TESTER, ANONYMOUS, "0" * 16)
        outcome = await host.runner.call("jobs:page", {"table": table, "cursor": page["continueCursor"]}, call)
        assert outcome.failure is None, outcome.failure.text
        page = cast("dict[str, Any]", outcome.value)
        found += page["page"]
    return found
