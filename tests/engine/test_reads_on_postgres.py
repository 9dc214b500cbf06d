"""Pages, reports and conflicts where reads take their time and mutations really meet."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pyconvex.store.postgres.persistence import PostgresPersistence
from support.deployment import Deployment, deployment
from support.postgres import fresh_database, server

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({"notes": define_table({"n": v.number()}).index("by_n", ["n"])})
"""
MODULE = """
from typing import Any

@mutation
async def add(ctx, numbers: list[float]):
    return [await ctx.db.insert("notes", {"n": n}) for n in numbers]

@mutation
async def remove(ctx, id: str):
    await ctx.db.delete(id)

@mutation
async def increment(ctx, id: str):
    await ctx.db.patch(id, {"n": (await ctx.db.get(id))["n"] + 1})

@query
async def page(ctx, options: Any):
    page = await ctx.db.query("notes").with_index("by_n").order("desc").paginate(options)
    return {**page, "page": [each["n"] for each in page["page"]]}

@query
async def at_once(ctx, a: str, b: str):
    async def iterated():
        return [each["n"] async for each in ctx.db.query("notes").with_index("by_n", lambda q: q.gt("n", 1))]

    await asyncio.gather(
        ctx.db.get(a), iterated(), ctx.db.query("notes").take(2), ctx.db.get(b), iterated(), ctx.db.get(a)
    )
"""


def play(root: Path, story: Callable[[Deployment, list[str]], Awaitable[None]]) -> None:
    """A deployment with the notes 1, 2 and 3, whose ids the story gets."""

    async def whole() -> None:
        with fresh_database() as name:
            engine = PostgresPersistence(server().database_url(name))
            async with deployment(root, {"schema": SCHEMA, "m": MODULE}, persistence=engine) as t:
                await story(t, await t.value("add", numbers=[1, 2, 3]))

    asyncio.run(whole())


def test_attempts_that_met_another_mutation_are_logged_with_what_they_met(tmp_path: Path) -> None:
    async def story(t: Deployment, ids: list[str]) -> None:
        await asyncio.gather(*[t.value("increment", id=ids[0]) for _ in range(12)])
        entries = [each for each in t.completions if each.identifier == "m:increment"]
        sent_back = [each for each in entries if each.will_retry]
        assert len(entries) - len(sent_back) == 12
        assert sent_back, "twelve at once cannot all be the first"
        for entry in sent_back:
            assert entry.occ_info is not None
            assert entry.occ_info.table_name == "notes"
            assert (entry.occ_info.document_id, entry.occ_info.write_source) == (ids[0], "m:increment")
            assert "Another call to this mutation changed the document" in str(entry.error)

    play(tmp_path, story)


def test_a_journal_keeps_pages_apart(tmp_path: Path) -> None:
    async def story(t: Deployment, ids: list[str]) -> None:
        async def page(cursor: str | None, journal: str | None = None) -> tuple[Any, str | None]:
            args = {"options": {"numItems": 2, "cursor": cursor}}
            outcome = await t.runner.call("m:page", args, t.call_by(), journal=journal)
            assert isinstance(outcome.value, dict)
            return outcome.value, outcome.journal

        first, journal = await page(None)
        second, end = await page(first["continueCursor"])
        assert (first["page"], second["page"], second["isDone"]) == ([3, 2], [1], True)
        await t.value("remove", id=ids[1])
        await t.value("add", numbers=[0, 1.5, 2.5, 4])
        assert (await page(None, journal))[0]["page"] == [4, 3, 2.5]
        assert (await page(first["continueCursor"], end))[0]["page"] == [1.5, 1, 0]

    play(tmp_path, story)


def test_reports_tell_reads_apart_that_wait_at_the_same_time(tmp_path: Path) -> None:
    async def story(t: Deployment, ids: list[str]) -> None:
        args = {"a": ids[0], "b": ids[1]}
        report = (await t.runner.call("m:at_once", args, t.call_by(), observed=True)).access
        assert report is not None
        found = {each.text: (each.times, each.documents) for each in report.reads}
        [taken] = [text for text in found if text.startswith("_creationTime ≤")]
        assert found == {f'_id = "{ids[0]}"': (2, 2), f'_id = "{ids[1]}"': (1, 1), "n > 1": (2, 4), taken: (1, 2)}
        assert sum(each.documents for each in report.reads) == report.limits[0].used

    play(tmp_path, story)
