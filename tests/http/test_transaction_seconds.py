"""`transaction_seconds`: how long a query or mutation may take in all. Nobody hears that what was kept has failed."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from pyconvex.settings import Limits
from pyconvex.store.postgres.layout import COMMIT_LOCK, LOCK_CLASS
from support.postgres import fresh_database, server
from support.served import Reply, Served, run, served
from support.sync_client import add, sync_client

SECONDS = 0.4
TEXT = "Your request took too long, waiting for the database included, so nothing was changed. Try again later."
MODULES = {
    "m": """
        import asyncio
        from pyconvex.server import action, mutation, query
        from ._generated.api import api

        @query
        async def one(ctx):
            return 1

        @query
        async def listed(ctx):
            try:
                return [row["n"] for row in await ctx.db.query("rows").collect()]
            except Exception:
                return "caught"

        @query
        async def together(ctx):
            reads = [ctx.db.query("rows").collect() for _ in range(3)]
            return [len(rows) for rows in await asyncio.gather(*reads, return_exceptions=True)]

        @query
        async def long(ctx):
            while True:
                await ctx.db.query("rows").first()

        @mutation
        async def add(ctx, n: int):
            await ctx.db.insert("rows", {"n": n})

        @mutation
        async def add_next(ctx):
            rows = await ctx.db.query("rows").collect()
            await ctx.db.insert("rows", {"n": len(rows) + 1})

        @mutation
        async def long_add(ctx):
            await ctx.db.insert("rows", {"n": 2})
            while True:
                await ctx.db.query("rows").first()

        @action
        async def act(ctx):
            try:
                await ctx.run_query(api.m.listed)
            except Exception as error:
                return str(error)
    """
}
Story = Callable[[Served, psycopg.AsyncConnection[tuple[object, ...]]], Awaitable[None]]


def on_postgres(tmp_path: Path, story: Story) -> None:
    """The story gets a connection of another program, in a transaction."""

    async def whole() -> None:
        with fresh_database() as name:
            url = server().database_url(name)
            async with served(tmp_path, MODULES, limits=Limits(transaction_seconds=SECONDS), database=url) as s:
                assert (await call(s, "add", n=1)).status == 200
                async with await psycopg.AsyncConnection.connect(url) as other:
                    await story(s, other)

    run(whole)


def on_sqlite(tmp_path: Path, story: Callable[[Served], Awaitable[None]], limits: Limits) -> None:
    async def whole() -> None:
        async with served(tmp_path, MODULES, limits=limits, database="sqlite:///db.sqlite") as s:
            assert (await call(s, "add", n=1)).status == 200
            await story(s)

    run(whole)


async def call(s: Served, function: str, kind: str = "", **args: object) -> Reply:
    kind = kind or ("mutation" if "add" in function else "query")
    return await s.call(f"/api/{kind}", {"path": f"m:{function}", "args": args})


async def rows(s: Served) -> object:
    return (await call(s, "listed")).json["value"]


def is_too_long(reply: Reply) -> None:
    assert (reply.status, reply.json) == (503, {"code": "SystemTimeoutError", "message": TEXT})


@asynccontextmanager
async def locked(other: psycopg.AsyncConnection[tuple[object, ...]], lock: str) -> AsyncGenerator[None]:
    await other.execute(lock.encode())
    try:
        yield
    finally:
        await other.rollback()


EVERYTHING = "LOCK TABLE pyconvex.documents IN ACCESS EXCLUSIVE MODE"
SNAPSHOTS = "LOCK TABLE pyconvex.commits IN ACCESS EXCLUSIVE MODE"
WRITES = "LOCK TABLE pyconvex.documents IN SHARE MODE"
COMMITS = f"SELECT pg_advisory_xact_lock({LOCK_CLASS}, {COMMIT_LOCK})"


@pytest.mark.parametrize("function", ["listed", "together", "add_next"])
def test_reads_that_have_to_wait(tmp_path: Path, function: str) -> None:
    async def story(s: Served, other: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        async with locked(other, EVERYTHING):
            for reply in await asyncio.gather(*[call(s, function) for _ in range(3)]):
                is_too_long(reply)
            assert (await call(s, "one")).json["value"] == 1.0
        entry = next(each for each in s.completions if each.identifier == f"m:{function}")
        assert entry.error == "SystemTimeoutError: it took longer than 0.4 s, waiting for the database included"
        assert "`transaction_seconds`" in (entry.hint or "")
        assert await rows(s) == [1.0]
        assert (await call(s, function)).status == 200

    on_postgres(tmp_path, story)


@pytest.mark.parametrize("function", ["one", "add_next"])
def test_a_snapshot_that_has_to_be_waited_for(tmp_path: Path, function: str) -> None:
    async def story(s: Served, other: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        async with locked(other, SNAPSHOTS):
            is_too_long(await call(s, function))
        assert await rows(s) == [1.0]

    on_postgres(tmp_path, story)


def test_a_mutation_that_waits_for_its_turn_to_commit_is_not_committed_later(tmp_path: Path) -> None:
    async def story(s: Served, other: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        async with locked(other, COMMITS):
            for reply in await asyncio.gather(*[call(s, "add", n=n) for n in (2, 3)]):
                is_too_long(reply)
            later = asyncio.create_task(call(s, "add", n=4))
            await asyncio.wait([later], timeout=SECONDS / 4)
            assert not later.done()
        assert (await later).status == 200
        assert await rows(s) == [1.0, 4.0]

    on_postgres(tmp_path, story)


def test_the_outcome_of_a_mutation_that_is_being_committed_is_waited_for(tmp_path: Path) -> None:
    async def story(s: Served, other: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        async with locked(other, WRITES):
            first = asyncio.create_task(call(s, "add", n=2))
            while (await (await other.execute(b"SELECT count(*) FROM pg_locks WHERE NOT granted")).fetchone()) != (1,):
                assert not first.done()
            is_too_long(await call(s, "add", n=3))  # it waits behind the other, and its time ends after the other's
            assert not first.done()
        assert (await first).json["status"] == "success"
        assert await rows(s) == [1.0, 2.0]

    on_postgres(tmp_path, story)


def test_actions_hear_of_it_and_go_on(tmp_path: Path) -> None:
    async def story(s: Served, other: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        async with locked(other, EVERYTHING):
            assert (await call(s, "act", "action")).json["value"] == TEXT
        assert (await call(s, "act", "action")).json["value"] is None

    on_postgres(tmp_path, story)


def test_clients_of_the_sync_protocol(tmp_path: Path) -> None:
    async def story(s: Served, other: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        async with locked(other, EVERYTHING):
            async with sync_client(s.sockets.port) as client:
                client.connect()
                client.modify(0, add(0, "m:listed"))
                await client.until("Transition")
                assert TEXT in client.results[0]
            async with sync_client(s.sockets.port) as client:
                client.connect()
                client.mutate("m:add_next")
                frame = await client.closed()
                assert frame is not None
                assert (frame.code, frame.reason) == (1013, "SystemTimeoutError")
        assert await rows(s) == [1.0]

    on_postgres(tmp_path, story)


@pytest.mark.parametrize("function", ["long", "long_add"])
def test_many_turns_on_sqlite(tmp_path: Path, function: str) -> None:
    async def story(s: Served) -> None:
        is_too_long(await call(s, function))
        assert (await call(s, "add", n=3)).status == 200
        assert await rows(s) == [1.0, 3.0]

    many = 10**9
    limits = Limits(
        transaction_seconds=0.3,
        query_seconds=20,
        mutation_seconds=20,
        read_ranges=many,
        read_documents=many,
        read_bytes=many,
    )
    on_sqlite(tmp_path, story, limits)


def test_a_mutation_that_never_gets_to_write_on_sqlite(tmp_path: Path) -> None:
    async def story(s: Served) -> None:
        other = sqlite3.connect(tmp_path / "db.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for reply in await asyncio.gather(call(s, "add", n=2), call(s, "add_next")):
            is_too_long(reply)
        assert await rows(s) == [1.0]
        other.execute("ROLLBACK")
        other.close()
        assert (await call(s, "add", n=3)).status == 200
        assert await rows(s) == [1.0, 3.0]

    on_sqlite(tmp_path, story, Limits(transaction_seconds=0.3))
