"""PostgreSQL and the way to it break while pyconvex works: nothing acknowledged is lost, and nothing happens twice."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from pyconvex.store.keys import Commit
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.postgres import notices as postgres_notices
from pyconvex.store.postgres.server import Server
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from support.postgres import fresh_database, server
from support.proxy import Cut, Proxy, proxied
from support.store_load import PATIENCE_SECONDS, Load, numbers, opened

Story = Callable[[list[Store], Proxy, str], Awaitable[None]]


def play(story: Story, *, nodes: int = 1) -> None:
    """Stores that reach a fresh database through a proxy, with a table of notes."""

    async def whole() -> None:
        with fresh_database() as name:
            async with proxied(server().database_url(name)) as proxy, AsyncExitStack() as closing:
                stores = [await opened(proxy.url) for _ in range(nodes)]
                for store in stores:
                    closing.push_async_callback(store.close)
                await stores[0].mutate(lambda t: t.insert("notes", {"n": 0}))
                await story(stores, proxy, name)

    asyncio.run(whole())


@pytest.mark.parametrize("cut", Cut, ids=lambda cut: cut.name.lower())
def test_a_connection_lost_during_commit_is_settled_by_the_record(cut: Cut) -> None:
    async def story(stores: list[Store], proxy: Proxy, _name: str) -> None:
        (store,) = stores
        heard: list[int] = []
        store.on_commit(lambda commit: heard.append(commit.ts))
        attempts = 0

        async def work(transaction: Transaction) -> str:
            nonlocal attempts
            attempts += 1
            return await transaction.insert("notes", {"n": 1})

        proxy.cut_next_commit = cut
        committed = await store.mutate(work)
        assert proxy.cut_next_commit is None
        assert attempts == 1  # it is certified and written again, or found, but need not run again
        assert heard == [committed.ts]
        assert await numbers(store) == [0, 1]
        again = await store.mutate(lambda t: t.insert("notes", {"n": 2}))
        assert again.ts > committed.ts

    play(story)


def test_what_was_settled_stays_settled_when_the_next_connection_breaks_as_well() -> None:
    async def story(stores: list[Store], proxy: Proxy, _name: str) -> None:
        (store,) = stores
        proxy.cut_next_commit, proxy.cut_next_rollback = Cut.AFTER, True
        await store.mutate(lambda t: t.insert("notes", {"n": 1}))
        assert not proxy.cut_next_rollback
        assert await numbers(store) == [0, 1]

    play(story)


def test_what_became_of_a_commit_is_not_guessed_when_its_record_may_be_gone() -> None:
    async def story(stores: list[Store], proxy: Proxy, name: str) -> None:
        (store,) = stores
        heard: list[Commit] = []
        store.on_commit(heard.append)
        other = await opened(server().database_url(name))
        proxy.cut_next_commit = Cut.AFTER
        proxy.refusing = True  # from the next connection on
        writing = asyncio.create_task(store.mutate(lambda t: t.insert("notes", {"n": 1})))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await numbers(other) != [0, 1]:
                await asyncio.sleep(0.01)
        proxy.cut()
        newest = await other.mutate(lambda t: t.insert("notes", {"n": 2}))
        trim = f"DELETE FROM pyconvex.commits WHERE ts < {newest.ts}"
        await asyncio.to_thread(server().execute, trim, name)
        proxy.refusing = False
        with pytest.raises(StoreFailed) as failed:
            await writing
        assert failed.value.code == "CommitUnknown"
        assert [commit.ts for commit in heard if commit.everything] == [newest.ts]
        await store.mutate(lambda t: t.insert("notes", {"n": 3}))
        assert await numbers(store) == [0, 1, 2, 3]
        await other.close()

    play(story)


def test_connections_that_break_again_and_again_lose_and_double_nothing() -> None:
    chance = random.Random(7)

    async def story(stores: list[Store], proxy: Proxy, _name: str) -> None:
        load = Load(stores)
        async with load.running():
            for _ in range(12):
                await load.more(10)
                kind = chance.choice([None, *Cut])
                if kind is None:
                    await asyncio.sleep(chance.uniform(0, 0.004))
                    proxy.cut()
                else:
                    proxy.cut_next_commit = kind
        assert load.refused == []
        for store in stores:
            await load.check(store)

    play(story, nodes=2)


def test_backends_that_are_terminated_are_replaced() -> None:
    async def story(stores: list[Store], _proxy: Proxy, name: str) -> None:
        load = Load(stores)
        terminate = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        async with load.running():
            for _ in range(5):
                await load.more()
                await asyncio.to_thread(server().execute, terminate)
        assert load.refused == []
        await load.check(stores[0])

    play(story)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_is_waited_for(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    async def story(stores: list[Store], _proxy: Proxy, _name: str) -> None:
        load = Load(stores)
        async with load.running():
            await load.more()
            await asyncio.to_thread(server().stop, mode)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server().start)
            await load.more()
        assert load.refused == []
        await load.check(stores[0])
        texts = [record.getMessage() for record in caplog.records if record.name == "pyconvex.store"]
        lost = [text.partition("cannot be reached: ")[2] for text in texts if "cannot be reached" in text]
        assert any(
            re.match("terminating connection|server closed the connection|consuming input|the conn", why)
            for why in lost
        ), lost
        assert not any("before or while" in why for why in lost)
        assert any("connected again" in text for text in texts)

    play(story)


def test_a_server_that_stays_away_is_said_to_be_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "patience_seconds", 0.2)

    async def story(stores: list[Store], proxy: Proxy, _name: str) -> None:
        (store,) = stores
        proxy.refusing = True
        proxy.cut()
        outcomes = await asyncio.gather(
            numbers(store), store.mutate(lambda t: t.insert("notes", {"n": 1})), return_exceptions=True
        )
        assert [getattr(outcome, "code", None) for outcome in outcomes] == ["DatabaseUnreachable"] * 2
        proxy.refusing = False
        await store.mutate(lambda t: t.insert("notes", {"n": 2}))
        assert await numbers(store) == [0, 2]

    play(story)


def test_a_query_whose_connection_breaks_fails_and_the_next_one_does_not() -> None:
    async def story(stores: list[Store], proxy: Proxy, _name: str) -> None:
        (store,) = stores
        async with store.snapshot() as transaction:
            index = transaction.index("notes", "by_creation_time")
            assert index is not None
            proxy.cut()
            with pytest.raises(StoreFailed) as failed:
                await transaction.take(index)
            assert failed.value.code == "DatabaseUnreachable"
        assert await numbers(store) == [0]

    play(story)


def test_a_mutation_whose_reads_break_runs_again_whatever_it_made_of_the_error() -> None:
    async def story(stores: list[Store], proxy: Proxy, _name: str) -> None:
        (store,) = stores
        attempts = 0

        async def work(transaction: Transaction) -> None:
            nonlocal attempts
            attempts += 1
            index = transaction.index("notes", "by_creation_time")
            assert index is not None
            found = len(await transaction.take(index))
            if attempts == 1:
                proxy.cut()
            try:
                found += len(await transaction.take(index))
            except StoreFailed:
                found = 999
            await transaction.insert("notes", {"n": found})

        await store.mutate(work)
        assert attempts == 2
        assert await numbers(store) == [0, 2]

    play(story)


def test_commits_of_the_time_without_a_connection_are_heard_of_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_notices, "POLL_SECONDS", 0.05)

    async def story(stores: list[Store], proxy: Proxy, name: str) -> None:
        (store,) = stores
        heard: list[Commit] = []
        store.on_commit(heard.append)
        other = await opened(server().database_url(name))  # not through the proxy
        proxy.refusing = True
        proxy.cut()
        stamps = [(await other.mutate(lambda t, n=n: t.insert("notes", {"n": n}))).ts for n in range(3)]
        await other.close()
        proxy.refusing = False
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(heard) < 3:
                await asyncio.sleep(0.01)
        assert [commit.ts for commit in heard] == stamps
        assert not any(commit.everything for commit in heard)

    play(story)


def test_a_database_that_lost_its_last_commits_does_not_turn_time_back() -> None:
    """As after a failover to a standby that was behind, or a restore under a process that runs on."""

    async def story(stores: list[Store], _proxy: Proxy, name: str) -> None:
        (store,) = stores
        heard: list[Commit] = []
        store.on_commit(heard.append)
        first = await store.mutate(lambda t: t.insert("notes", {"n": 1}))
        last = await store.mutate(lambda t: t.insert("notes", {"n": 2}))
        for statement in (
            "DELETE FROM pyconvex.entries WHERE seq = (SELECT max(seq) FROM pyconvex.documents)",
            "DELETE FROM pyconvex.documents WHERE seq = (SELECT max(seq) FROM pyconvex.documents)",
            f"DELETE FROM pyconvex.commits WHERE ts > {first.ts}",
        ):
            await asyncio.to_thread(server().execute, statement, name)
        async with store.snapshot() as transaction:
            assert transaction.ts > last.ts
        assert [commit.ts for commit in heard if commit.everything] == [last.ts]
        assert (await store.mutate(lambda t: t.insert("notes", {"n": 3}))).ts > last.ts
        assert await numbers(store) == [0, 1, 3]

    play(story)


def test_a_mutation_that_cannot_be_written_fails_alone_and_its_neighbours_do_not() -> None:
    async def story(stores: list[Store], _proxy: Proxy, name: str) -> None:
        (store,) = stores
        await asyncio.to_thread(
            server().execute, "ALTER TABLE pyconvex.documents ADD CHECK (body NOT LIKE '%bad%')", name
        )
        texts = ["a", "bad", "b", "bad", "c"]
        calls = [store.mutate(lambda t, text=text: t.insert("notes", {"n": text})) for text in texts]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [getattr(outcome, "code", None) for outcome in outcomes] == [
            None,
            "StorageFailed",
            None,
            "StorageFailed",
            None,
        ]
        assert await numbers(store) == [0, "a", "b", "c"]

    play(story)


def test_old_records_go_and_the_newest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("POLL_SECONDS", 0.02), ("KEEP_SECONDS", 0.1), ("TRIM_SECONDS", 0.05)):
        monkeypatch.setattr(postgres_notices, name, seconds)

    async def story(stores: list[Store], _proxy: Proxy, name: str) -> None:
        (store,) = stores
        for n in range(1, 20):
            await store.mutate(lambda t, n=n: t.insert("notes", {"n": n}))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while server().execute("SELECT count(*) FROM pyconvex.commits", name) != [(1,)]:
                await asyncio.sleep(0.02)
        assert len(await numbers(store)) == 20
        await store.mutate(lambda t: t.insert("notes", {"n": 20}))
        assert len(await numbers(store)) == 21

    play(story)


def test_giving_up_closing_harms_nobody_who_is_still_at_work() -> None:
    async def story(stores: list[Store], _proxy: Proxy, _name: str) -> None:
        (store,) = stores
        running, gate = asyncio.Event(), asyncio.Event()

        async def slow(transaction: Transaction) -> str:
            running.set()
            await gate.wait()
            return await transaction.insert("notes", {"n": 1})

        working = asyncio.create_task(store.mutate(slow))
        await running.wait()
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        gate.set()
        assert (await working).value

    play(story)
