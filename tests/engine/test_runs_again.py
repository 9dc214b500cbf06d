"""A mutation that has to run again is a new run: its own time, chance and execution id, under the same request id."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pyconvex.store.transaction import Transaction
from support.deployment import Deployment, deployment

SOURCE = """
import random
import time

SEEN = []

@mutation
async def draw(ctx):
    SEEN.append((time.time(), random.random()))
    print(len(SEEN))
    await ctx.db.insert("drawn", {"n": len(SEEN)})

@query
async def seen(ctx):
    return [list(each) for each in SEEN]

@query
async def drawn(ctx):
    return [each["n"] for each in await ctx.db.query("drawn").collect()]
"""
ATTEMPTS = 3


def conflicting(t: Deployment) -> None:
    """From now on the store undoes every mutation until its last attempt, as an engine does that meets conflicts."""
    mutate = t.store.mutate

    async def again_and_again(work: Callable[[Transaction], Awaitable[Any]], **options: Any) -> Any:
        async def undone(transaction: Transaction) -> None:
            await work(transaction)
            raise InterruptedError

        for _ in range(ATTEMPTS - 1):
            with pytest.raises(InterruptedError):
                await mutate(undone)
        return await mutate(work, **options)

    t.store.mutate = again_and_again


def test_each_attempt_has_its_own_time_and_chance(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, SOURCE) as t:
            conflicting(t)
            outcome = await t.call("draw")
            assert outcome.failure is None
            times, numbers = zip(*await t.value("seen"), strict=True)
            assert len(set(times)) == ATTEMPTS
            assert list(times) == sorted(times)
            assert len(set(numbers)) == ATTEMPTS

    asyncio.run(test())


def test_only_the_last_attempt_is_kept_and_told_of(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, SOURCE) as t:
            conflicting(t)
            outcome = await t.call("draw")
            assert outcome.log_lines == [f"[LOG] {ATTEMPTS}"]
            assert await t.value("drawn") == [ATTEMPTS]
            [entry, _] = t.completions
            assert (entry.identifier, entry.request_id) == ("m:draw", t.call_by().request_id)
            assert entry.execution_timestamp == (await t.value("seen"))[-1][0]

    asyncio.run(test())
