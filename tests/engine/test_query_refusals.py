"""Queries that cannot be read: an index that is not ready, too many steps, a second order; and a path that is none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pyconvex.errors import RequestRefused
from pyconvex.schema import define_schema, define_table
from pyconvex.store.schema import activation, backfill
from pyconvex.values import v
from support.deployment import deployment

pytestmark = pytest.mark.usefixtures("every_engine")

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({
    "people": define_table({"name": v.string()}).index("by_name", ["name"], staged=True),
})
"""
SOURCE = """
@mutation
async def add(ctx, name: str):
    await ctx.db.insert("people", {"name": name})

@query
async def by_name(ctx):
    return await ctx.db.query("people").with_index("by_name").collect()

@query
async def filtered(ctx, times: int):
    found = ctx.db.query("people")
    for _ in range(times):
        found = found.filter(lambda q: q.eq(1, 1))
    return await found.collect()

@query
async def ordered_twice(ctx):
    return await ctx.db.query("people").order("asc").filter(lambda q: True).order("desc").collect()

@query
async def filtered_and_then_ordered(ctx):
    return await ctx.db.query("people").filter(lambda q: True).order("desc").collect()
"""
MODULES = {"schema": SCHEMA, "m": SOURCE}


def refused(tmp_path: Path, name: str) -> str:
    async def test() -> str:
        async with deployment(tmp_path, MODULES) as t:
            return await t.error(name)

    return asyncio.run(test())


def test_a_staged_index(tmp_path: Path) -> None:
    text = "Index people.by_name is currently staged and not available to query until it is enabled."
    assert text in refused(tmp_path, "by_name")


def test_an_index_that_is_being_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        begun, gate, fill = asyncio.Event(), asyncio.Event(), backfill.fill

        async def gated(*given: Any, **named: Any) -> Any:
            begun.set()
            await gate.wait()
            return await fill(*given, **named)

        monkeypatch.setattr(activation, "fill", gated)
        async with deployment(tmp_path, SOURCE) as t:
            await t.value("add", name="Ada")
            people = define_table({"name": v.string()}).index("by_name", ["name"])
            building = asyncio.create_task(t.store.activate(define_schema({"people": people})))
            await begun.wait()
            text = "Index people.by_name is currently backfilling and not available to query yet."
            assert text in await t.error("by_name")
            gate.set()
            await building
            assert [each["name"] for each in await t.value("by_name")] == ["Ada"]

    asyncio.run(test())


def test_too_many_operators(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            assert await t.value("filtered", times=256) == []
            assert "A query has at most 256 operators." in await t.error("filtered", times=257)

    asyncio.run(test())


def test_a_second_order(tmp_path: Path) -> None:
    assert "Queries may only specify order at most once" in refused(tmp_path, "ordered_twice")


def test_a_filter_settles_no_order(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            assert await t.value("filtered_and_then_ordered") == []

    asyncio.run(test())


def test_the_text_for_a_path_that_is_none(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            with pytest.raises(
                RequestRefused, match=r"can only contain alphanumeric characters, underscores, or periods"
            ):
                await t.runner.call("m-m:by_name", {}, t.call_by())

    asyncio.run(test())
