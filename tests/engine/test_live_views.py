"""All results of a view are of one snapshot, whatever is committed, swapped or changed meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine.conflicts import MutationConflict
from pyconvex.engine.live.queries import LiveQueries, View
from pyconvex.store.sqlite.disk import Job, Report
from pyconvex.store.sqlite.persistence import SqlitePersistence
from support.deployment import Deployment, deployment
from support.live import Watcher, body_of, live, quiet, until
from support.postgres import fresh_database, server

ACCOUNTS = 6
TOTAL = 100.0 * ACCOUNTS
SESSIONS = 8
TRANSFERS = 32
MODULE = """
VERSION = %d

@mutation
async def open_accounts(ctx, count: int):
    for number in range(count):
        await ctx.db.insert("accounts", {"number": number, "balance": 100.0})
        await ctx.db.insert("mirror", {"number": number, "balance": 100.0})

async def account(ctx, table, number):
    return await ctx.db.query(table).with_index("by_number", lambda q: q.eq("number", number)).unique()

@mutation
async def transfer(ctx, a: int, b: int, amount: float):
    for table in ("accounts", "mirror"):
        for number, change in ((a, -amount), (b, amount)):
            found = await account(ctx, table, number)
            await ctx.db.patch(found["_id"], {"balance": found["balance"] + change})

@query
async def balance(ctx, table: str, number: int):
    return [VERSION, (await account(ctx, table, number))["balance"]]

@query
async def total(ctx, table: str):
    total = 0.0
    for _ in range(3):
        found = await ctx.db.query(table).collect()
        total = sum(each["balance"] for each in found)
    return [VERSION, total]

@query
async def slowly(ctx, table: str):
    total = 0.0
    for number in range(%d):
        sum(range(40_000))
        total += (await account(ctx, table, number))["balance"]
    return [VERSION, total]
""".replace("range(%d):\n        sum", f"range({ACCOUNTS}):\n        sum")
SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v
account = {"number": v.number(), "balance": v.number()}
default = define_schema({
    "accounts": define_table(account).index("by_number", ["number"]),
    "mirror": define_table(account).index("by_number", ["number"]),
})
"""


def modules(version: int) -> dict[str, str]:
    return {"m": MODULE.replace("%d", str(version)), "schema": SCHEMA}


class Sessions:
    """Sessions that each ask for the same sum in several ways, and look at all their views."""

    def __init__(self, live: LiveQueries, chance: random.Random) -> None:
        self.broken: list[str] = []
        self.seen = 0
        self.last: dict[Watcher, int] = {}
        self.watchers = [self._session(live, chance) for _ in range(SESSIONS)]

    def _session(self, live: LiveQueries, chance: random.Random) -> Watcher:
        watcher = Watcher(live)
        asked: list[tuple[str, dict[str, Any]]] = []
        for table in ("accounts", "mirror"):
            asked.append((chance.choice(("total", "slowly")), {"table": table}))
            asked += [("balance", {"table": table, "number": number}) for number in range(ACCOUNTS)]
        order = chance.sample(range(len(asked)), len(asked))
        for query_id in order:
            path, args = asked[query_id]
            watcher.ask(query_id, path, **args)
        watcher.shown = lambda view: self._look(watcher, view)
        return watcher

    def _look(self, watcher: Watcher, view: View) -> None:
        self.seen += 1
        values = [body_of(view.results[query_id])["value"] for query_id in range(2 * (ACCOUNTS + 1))]
        if len({version for version, _ in values}) > 1:
            self.broken.append(f"two versions in one view: {values}")
        amounts = [amount for _, amount in values]
        half = ACCOUNTS + 1
        if amounts[0] != TOTAL or sum(amounts[1:half]) != TOTAL or amounts[1:half] != amounts[half + 1 :]:
            self.broken.append(f"two snapshots in one view: {values}")
        if view.ts < self.last.get(watcher, 0):
            self.broken.append("time went back")
        self.last[watcher] = view.ts

    def refresh(self) -> None:
        for watcher in self.watchers:
            watcher.subscriptions.refresh()


async def transfers(deployment: Deployment, chance: random.Random, count: int) -> None:
    for _ in range(count):
        a, b = chance.sample(range(ACCOUNTS), 2)
        with suppress(MutationConflict):
            await deployment.value("transfer", a=a, b=b, amount=float(chance.randrange(100)))
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)


async def settled(it: Sessions, deployment: Deployment) -> None:
    """Waits until every session shows the newest state."""
    newest = [(await deployment.value("balance", table="accounts", number=n)) for n in range(ACCOUNTS)]
    for watcher in it.watchers:
        await until(lambda watcher=watcher: [watcher.value(1 + n) for n in range(ACCOUNTS)] == newest)


@pytest.mark.parametrize("seed", range(2))
def test_every_view_is_of_one_snapshot_and_one_version(every_engine: str, seed: int, tmp_path: Path) -> None:
    async def story() -> None:
        chance = random.Random(seed)
        async with live(tmp_path, modules(1)) as it:
            await it.value("open_accounts", count=ACCOUNTS)
            sessions = Sessions(it.queries, chance)
            sessions.refresh()
            writers = asyncio.gather(*[transfers(it.deployment, random.Random(n), TRANSFERS // 4) for n in range(4)])
            for version in (2, 3):
                await asyncio.sleep(0.05)
                it.load(modules(version))
            await writers
            await settled(sessions, it.deployment)
            assert not sessions.broken, sessions.broken[:3]
            assert sessions.seen > 3 * SESSIONS

    asyncio.run(story())


def test_so_it_is_with_the_commits_of_other_processes(tmp_path: Path) -> None:
    async def story() -> None:
        from pyconvex.store.postgres.persistence import PostgresPersistence

        chance = random.Random(7)
        with fresh_database() as name:
            url = server().database_url(name)
            async with (
                live(tmp_path / "a", modules(1), persistence=PostgresPersistence(url)) as it,
                deployment(tmp_path / "b", modules(1), persistence=PostgresPersistence(url)) as other,
            ):
                await it.value("open_accounts", count=ACCOUNTS)
                sessions = Sessions(it.queries, chance)
                sessions.refresh()
                await asyncio.gather(
                    transfers(it.deployment, random.Random(1), TRANSFERS // 3),
                    *[transfers(other, random.Random(n), TRANSFERS // 3) for n in (2, 3)],
                )
                await settled(sessions, it.deployment)
                assert not sessions.broken, sessions.broken[:3]
                seen = sessions.watchers[0].views[-1].ts
                outcome = await other.call("transfer", a=0, b=1, amount=1.0)
                assert outcome.ts is not None and outcome.ts > seen
                await settled(sessions, it.deployment)
                assert not sessions.broken, sessions.broken[:3]

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    asyncio.run(story())


class HeldDisk:
    """Commits at once, and says so when it is told to."""

    def __init__(self) -> None:
        self.held: list[Callable[[], object]] | None = None

    def run(self, job: Job, report: Report) -> None:
        job()
        if self.held is None:
            report(None)
        else:
            self.held.append(lambda: report(None))

    def hold(self) -> None:
        self.held = []

    def release(self) -> None:
        held, self.held = self.held or [], None
        for report in held:
            report()

    def close(self) -> None:
        pass


def test_what_is_visible_before_it_is_published_is_waited_for(tmp_path: Path) -> None:
    """An old result must not pass for a new one, because nobody has told us yet that it is old."""

    async def story() -> None:
        disk = HeldDisk()
        database = SqlitePersistence(tmp_path / "pyconvex.db", disk=disk)
        async with live(tmp_path, modules(1), persistence=database) as it:
            await it.value("open_accounts", count=ACCOUNTS)
            known, asking = it.watcher("balance", table="accounts", number=0), it.watcher()
            before = await known.view()
            disk.hold()
            writing = asyncio.ensure_future(it.value("transfer", a=0, b=1, amount=40.0))
            try:
                await until(lambda: bool(disk.held))
                async with it.deployment.store.snapshot() as opened:
                    assert opened.ts > it.queries.table.newest, "it is there, and nobody has heard of it"
                asking.ask(0, "balance", table="accounts", number=0)
                asking.ask(1, "balance", table="accounts", number=1)
                asking.subscriptions.refresh()
                await quiet()
                assert not asking.views
                assert known.views == [before]
            finally:
                disk.release()
            await writing
            await asking.shows(1, [1, 140.0])
            assert len(asking.views) == 1
            assert asking.value(0) == [1, 60.0]
            await known.shows(0, [1, 60.0])

    asyncio.run(story())
