"""Live pages: they grow and shrink with their rows, and neighbours neither overlap nor leave a gap."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from pyconvex.engine.live.queries import LiveQueries, View
from support.live import Watcher, body_of, live, quiet, until

MODULE = """
@mutation
async def put(ctx, n: float):
    await ctx.db.insert("rows", {"n": n})

@mutation
async def drop(ctx, n: float):
    row = await ctx.db.query("rows").with_index("by_n", lambda q: q.eq("n", n)).first()
    if row:
        await ctx.db.delete(row["_id"])

@query
async def page(ctx, paginationOpts: dict):
    page = await ctx.db.query("rows").with_index("by_n").paginate(paginationOpts)
    return {**page, "page": [row["n"] for row in page["page"]]}

@query
async def all(ctx):
    return [row["n"] for row in await ctx.db.query("rows").with_index("by_n").collect()]
"""
SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v
default = define_schema({"rows": define_table({"n": v.number()}).index("by_n", ["n"])})
"""
MODULES = {"m": MODULE, "schema": SCHEMA}


def options(cursor: str | None = None, items: int = 3) -> dict[str, Any]:
    return {"cursor": cursor, "numItems": items}


class Paginated(Watcher):
    """A client with the pages of one list, as the React hook keeps them, and the whole list as query 0."""

    def start(self, pages: list[tuple[str | None, str | None]]) -> None:
        """`pages` are cursors and journals."""
        self.journals: dict[int, str | None] = {}
        self.cursors = [cursor for cursor, _ in pages]
        self.broken: list[str] = []
        self.shown = self.look
        self.ask(0, "all")
        for query_id, (cursor, journal) in enumerate(pages, 1):
            self.ask(query_id, "page", journal=journal, paginationOpts=options(cursor))

    async def more(self) -> None:
        """Loads the next page."""
        last = body_of(self.views[-1].results[len(self.cursors)])["value"]
        self.cursors.append(last["continueCursor"])
        self.ask(len(self.cursors), "page", paginationOpts=options(self.cursors[-1]))
        self.subscriptions.refresh()
        await until(lambda: len(self.cursors) in self.views[-1].results)

    def look(self, view: View) -> None:
        rows: list[float] = []
        for query_id in range(1, len(self.cursors) + 1):
            body = body_of(view.results[query_id])
            self.journals[query_id] = view.results[query_id].journal
            assert body["journal"] == view.results[query_id].journal is not None
            rows += body["value"]["page"]
            if query_id < len(self.cursors) and body["value"]["continueCursor"] != self.cursors[query_id]:
                self.broken.append(f"page {query_id} moved its end")
        everything = body_of(view.results[0])["value"]
        done = body_of(view.results[len(self.cursors)])["value"]["isDone"]
        if everything[: len(rows)] != rows or (done and everything != rows):
            self.broken.append(f"{rows} of {everything}")


def test_pages_neither_overlap_nor_leave_gaps(every_engine: str, tmp_path: Path) -> None:
    """Over changes, over sessions that come later, and over reconnects with the journals of before."""

    async def story() -> None:
        chance = random.Random(3)
        async with live(tmp_path, MODULES) as it:
            for number in range(10):
                await it.value("put", n=float(number))
            first, second = await _with_pages(it.queries), await _with_pages(it.queries)
            clients = [first, second]
            for step in range(30):
                path = "put" if step % 2 else "drop"
                await it.value(path, n=chance.randrange(0, 24) / 2)
                if step % 10 == 4:
                    before = clients.pop(0)
                    before.subscriptions.close()
                    again = Paginated(it.queries)
                    again.start([(cursor, before.journals[n]) for n, cursor in enumerate(before.cursors, 1)])
                    await again.view()
                    clients.append(again)
            newest = await it.value("all")
            for client in clients:
                await client.shows(0, newest)
            for client in [first, second, *clients]:
                assert not client.broken, client.broken
                assert len(client.views) > 1

    asyncio.run(story())


async def _with_pages(queries: LiveQueries) -> Paginated:
    client = Paginated(queries)
    client.start([(None, None)])
    await client.view()
    await client.more()
    await client.more()
    return client


def test_clients_on_the_same_page_share_its_runs(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            for number in range(6):
                await it.value("put", n=float(number))
            sessions = [it.watcher("page", paginationOpts=options()) for _ in range(5)]
            for session in sessions:
                await session.view()
            assert it.runs("page") == 1
            journal = sessions[0].views[-1].results[0].journal
            assert journal is not None
            for count in (1, 2):
                await it.value("put", n=0.5)
                for session in sessions:
                    await until(lambda session=session, count=count: len(session.value()["page"]) == 3 + count)
                    assert session.views[-1].results[0].journal == journal
                assert it.runs("page") == 1 + count

            # Who brings the journal gets the page as it is; who comes without one gets a page of his own size.
            back = it.watcher()
            back.ask(0, "page", journal=journal, paginationOpts=options())
            await back.view()
            assert (len(back.value()["page"]), it.runs("page")) == (5, 3)
            new = it.watcher("page", paginationOpts=options())
            await new.view()
            assert (len(new.value()["page"]), it.runs("page")) == (3, 4)
            await it.value("put", n=0.25)
            await until(lambda: len(back.value()["page"]) == 6)
            await until(lambda: len(new.value()["page"]) == 4)
            await quiet()
            assert it.runs("page") == 6

    asyncio.run(story())


def test_a_journal_that_is_none_is_ignored(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            await it.value("put", n=1.0)
            session = it.watcher()
            session.ask(0, "page", journal="nonsense", paginationOpts=options())
            session.ask(1, "all", journal="nonsense")
            await session.view()
            assert session.value()["page"] == [1.0]
            assert session.views[-1].results[0].journal not in (None, "nonsense")
            assert (session.value(1), session.views[-1].results[1].journal) == ([1.0], None)
            await it.value("put", n=2.0)
            await session.shows(1, [1.0, 2.0])

    asyncio.run(story())


def test_a_page_that_fails_stays_where_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        async with live(tmp_path, MODULES) as it:
            for number in range(6):
                await it.value("put", n=float(number))
            session = it.watcher("page", paginationOpts=options())
            await session.view()
            journal = session.views[-1].results[0].journal
            it.load(
                {**MODULES, "m": MODULE.replace("    page = await", "    raise ValueError('no')\n    page = await")}
            )
            await until(lambda: not session.views[-1].results[0].ok)
            assert session.views[-1].results[0].journal == journal
            await it.value("put", n=0.5)
            it.load(MODULES)
            await until(lambda: session.views[-1].results[0].ok)
            assert session.value()["page"] == [0.0, 0.5, 1.0, 2.0]

    asyncio.run(story())
