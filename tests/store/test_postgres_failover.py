"""The primary dies and a standby takes its place: what was acknowledged is there, once, and time goes on."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from psycopg.conninfo import conninfo_to_dict

from pyconvex.errors import StartFailed
from pyconvex.store.keys import Commit
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.store import Store
from support.failover import Standby, replicated
from support.postgres import Server
from support.proxy import Proxy, proxied
from support.store_load import PATIENCE_SECONDS, Load, numbers, opened

DATABASE = "postgres"


@dataclass
class Scene:
    """Two nodes at an address that leads to the primary."""

    primary: Server
    standby: Standby
    address: Proxy
    stores: list[Store]
    heard: list[list[Commit]] = field(default_factory=list[list[Commit]])
    """What each node was told of."""

    async def kill_primary(self) -> None:
        self.address.refusing = True
        await asyncio.to_thread(self.primary.kill, everything=True)

    def move(self) -> None:
        """Let the address lead to the standby."""
        self.address.lead_to(self.standby.database_url(DATABASE))
        self.address.cut()
        self.address.refusing = False

    async def promote(self) -> None:
        await asyncio.to_thread(self.standby.promote)


@asynccontextmanager
async def pair() -> AsyncGenerator[tuple[Server, Standby]]:
    primary, standby = await asyncio.to_thread(replicated)
    try:
        yield primary, standby
    finally:
        await asyncio.to_thread(standby.end)
        await asyncio.to_thread(primary.end)


@asynccontextmanager
async def scene() -> AsyncGenerator[Scene]:
    async with (
        pair() as (primary, standby),
        proxied(primary.database_url(DATABASE)) as address,
        AsyncExitStack() as closing,
    ):
        found = Scene(primary, standby, address, [await opened(address.url) for _ in range(2)])
        for store in found.stores:
            closing.push_async_callback(store.close)
            commits: list[Commit] = []
            store.on_commit(commits.append)
            found.heard.append(commits)
        await found.stores[0].mutate(lambda t: t.insert("notes", {"n": 0}))
        yield found


async def snapshot_times(store: Store, seen: list[int], over: asyncio.Event) -> None:
    """The times of one snapshot after another, but for those that cannot be had while there is no server."""
    while not over.is_set():
        with suppress(StoreFailed):
            async with store.snapshot() as transaction:
                seen.append(transaction.ts)
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("early", [False, True], ids=["promoted first", "address moved first"])
def test_a_promoted_standby_has_all_that_was_acknowledged(early: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with scene() as s:
            load, over = Load(s.stores), asyncio.Event()
            times: list[list[int]] = [[] for _ in s.stores]
            watching = [
                asyncio.create_task(snapshot_times(store, seen, over))
                for store, seen in zip(s.stores, times, strict=True)
            ]
            async with load.running():
                await load.more(100)
                await s.kill_primary()
                begun = load.begun
                last = max(committed.ts for committed in load.acknowledged)
                if early:
                    s.move()
                    await asyncio.sleep(0.3)
                    await s.promote()
                else:
                    await s.promote()
                    s.move()
                await load.more(100)
            over.set()
            await asyncio.gather(*watching)
            assert load.refused == []
            assert min(committed.ts for committed in load.acknowledged if committed.value > begun) > last
            for store, heard, seen in zip(s.stores, s.heard, times, strict=True):
                await load.check(store)
                stamps = [commit.ts for commit in heard]
                assert stamps == sorted(set(stamps))
                assert not any(commit.everything for commit in heard)
                assert seen == sorted(seen) and seen[-1] > last
                assert await store.living() == frozenset(each.node for each in s.stores)

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE_SECONDS))
    said = [record.getMessage() for record in caplog.records if record.name == "pyconvex.store"]
    assert any("cannot be reached: " in text and "trying again until it is back" in text for text in said)
    assert any("connected again after" in text for text in said)


def test_a_standby_that_is_none_any_more_is_told_apart_from_one_that_is(caplog: pytest.LogCaptureFixture) -> None:
    """The address leads to the standby before that is promoted: nodes wait, and say for what."""

    async def story() -> None:
        async with scene() as s:
            await s.kill_primary()
            s.move()
            writing = asyncio.create_task(s.stores[0].mutate(lambda t: t.insert("notes", {"n": 1})))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not any("takes no writes" in record.getMessage() for record in caplog.records):
                    await asyncio.sleep(0.01)
            assert not writing.done()
            await s.promote()
            await writing
            assert await numbers(s.stores[1]) == [0, 1]

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE_SECONDS))


def test_the_url_may_name_both_servers() -> None:
    async def story() -> None:
        async with pair() as (primary, standby):
            folders = ",".join(str(conninfo_to_dict(each.url)["host"]) for each in (standby, primary))
            store = await opened(f"postgresql://postgres@/{DATABASE}?host={folders}")
            await store.mutate(lambda t: t.insert("notes", {"n": 0}))
            await asyncio.to_thread(primary.kill, everything=True)
            writing = asyncio.create_task(store.mutate(lambda t: t.insert("notes", {"n": 1})))
            await asyncio.to_thread(standby.promote)
            await writing
            assert await numbers(store) == [0, 1]
            await store.close()

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE_SECONDS))


def test_a_deployment_does_not_start_on_a_standby() -> None:
    async def story() -> None:
        async with pair() as (_, standby):
            with pytest.raises(StartFailed) as failed:
                await opened(standby.database_url(DATABASE))
            assert failed.value.code == "DatabaseUnreachable"
            assert failed.value.message.endswith(": the server takes no writes: it is a standby, or read-only")
            assert failed.value.hint == "is the URL that of the primary? A standby has to be promoted first"

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE_SECONDS))
