"""Random schedules, cancellations, failures and roll-backs against a model that is a sorted list."""

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pyconvex.testing import ConvexTest
from support.deployment import HEADER

SEEDS = 12
STEPS = 40
FUNCTIONS = ("ok", "fail", "chain", "cancels", "act", "failing_act")

MODULE = """
class Refused(Exception):
    pass

@internal_mutation
async def ok(ctx, n: int, target=None):
    await ctx.db.insert("rows", {"n": n})

@internal_mutation
async def fail(ctx, n: int, target=None):
    await ctx.db.insert("rows", {"n": n})
    await ctx.scheduler.run_after(0, ok, n=n)
    raise Refused("failed")

@internal_mutation
async def chain(ctx, n: int, target=None):
    await ctx.db.insert("rows", {"n": n})
    await ctx.scheduler.run_after(500, ok, n=n + 1000)

@internal_mutation
async def cancels(ctx, n: int, target=None):
    if target is not None:
        await ctx.scheduler.cancel(target)

@action
async def act(ctx, n: int, target=None):
    await ctx.run_mutation(internal.m.ok, n=n)

@action
async def failing_act(ctx, n: int, target=None):
    await ctx.run_mutation(internal.m.ok, n=n)
    await ctx.run_mutation(internal.m.fail, n=n)

@internal_mutation
async def schedule(ctx, delay: float, name: str, n: int, target=None):
    return await ctx.scheduler.run_after(delay, f"m:{name}", n=n, target=target)

@internal_mutation
async def schedule_and_fail(ctx, delay: float, name: str, n: int, target=None):
    await ctx.scheduler.run_after(delay, f"m:{name}", n=n, target=target)
    if target is not None:
        await ctx.scheduler.cancel(target)
    raise Refused("rolled back")

@internal_mutation
async def catches(ctx, delay: float, name: str, n: int, target=None):
    try:
        await ctx.run_mutation(internal.m.schedule_and_fail, delay=delay, name=name, n=n, target=target)
    except Refused:
        pass

@internal_mutation
async def cancel(ctx, id: str):
    await ctx.scheduler.cancel(id)

@query
async def everything(ctx):
    rows = [row["n"] for row in await ctx.db.query("rows").collect()]
    jobs = await ctx.db.system.query("_scheduled_functions").collect()
    return {"rows": rows, "states": [[job["args"][0]["n"], job["state"]["kind"]] for job in jobs]}
"""


@dataclass
class Planned:
    due: float
    name: str
    n: int
    target: int | None


@dataclass
class Model:
    now: float = 0.0
    rows: list[int] = field(default_factory=list[int])
    states: dict[int, str] = field(default_factory=dict[int, str])
    pending: list[Planned] = field(default_factory=list[Planned])

    def schedule(self, job: Planned) -> None:
        self.states[job.n] = "pending"
        self.pending.append(job)

    def cancel(self, n: int) -> None:
        if self.states[n] == "pending":
            self.states[n] = "canceled"
            self.pending = [job for job in self.pending if job.n != n]

    def advance(self, ms: float) -> None:
        end = self.now + ms
        while due := [job for job in self.pending if job.due <= end]:
            job = min(due, key=lambda job: job.due)
            self.pending.remove(job)
            self.now = job.due
            self._run(job)
        self.now = end

    def _run(self, job: Planned) -> None:
        failed = job.name in ("fail", "failing_act")
        self.states[job.n] = "failed" if failed else "success"
        if job.name in ("ok", "chain", "act", "failing_act"):
            self.rows.append(job.n)
        if job.name == "chain":
            self.schedule(Planned(self.now + 500, "ok", job.n + 1000, None))
        if job.name == "cancels" and job.target is not None:
            self.cancel(job.target)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_jobs_do_what_the_model_says(tmp_path: Path, seed: int) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "m.py").write_text(HEADER + MODULE)
    asyncio.run(_play(tmp_path / "convex", random.Random(seed)))


async def _play(folder: Path, chance: random.Random) -> None:
    model, ids = Model(), dict[int, str]()
    async with ConvexTest(folder) as t:
        for n in range(STEPS):
            await _step(t, model, ids, chance, n)
            await _compare(t, model)
        model.advance(10_000)
        await t.advance(seconds=10)
        await _compare(t, model)


async def _compare(t: ConvexTest, model: Model) -> None:
    found = await t.query("m:everything")
    assert (found["rows"], dict(found["states"])) == (model.rows, model.states)


async def _step(t: ConvexTest, model: Model, ids: dict[int, str], chance: random.Random, n: int) -> None:
    target = chance.choice(list(ids)) if ids and chance.random() < 0.7 else None
    # No two are due at the same moment: nothing is said about the order of those.
    delay = chance.uniform(1, 3000)
    name = chance.choice(FUNCTIONS)
    args: dict[str, Any] = {"delay": delay, "name": name, "n": n, "target": None if target is None else ids[target]}
    match chance.choice(("schedule", "schedule", "schedule", "undone", "caught", "cancel", "advance", "advance")):
        case "schedule":
            ids[n] = await t.mutation("m:schedule", **args)
            model.schedule(Planned(model.now + delay, name, n, target))
        case "undone":
            with pytest.raises(Exception, match="rolled back"):
                await t.mutation("m:schedule_and_fail", **args)
        case "caught":
            await t.mutation("m:catches", **args)
        case "cancel" if target is not None:
            await t.mutation("m:cancel", id=ids[target])
            model.cancel(target)
        case _:
            await t.advance(seconds=delay / 2000)
            model.advance(delay / 2)
