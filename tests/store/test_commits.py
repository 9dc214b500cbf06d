"""Mutations among each other: serial, durable before they are answered, and safe from their neighbours' failures."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from pyconvex.clock import ManualClock, SystemClock
from pyconvex.settings import Limits
from pyconvex.store.keys import Changes, Commit
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.sqlite import batches as sqlite_batches
from pyconvex.store.sqlite import disk as sqlite_disk
from pyconvex.store.sqlite.connection import SqliteWriter
from pyconvex.store.sqlite.persistence import SqlitePersistence
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import Value
from pyconvex.values.ids import decode_id
from support.stores import SQLITE, Database, OpenStore


def run(open_store: OpenStore, test: Callable[[Store], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with open_store(**settings) as store:
            await test(store)

    asyncio.run(main())


async def rows(store: Store, table: str = "notes") -> list[dict[str, Value]]:
    async with store.snapshot() as transaction:
        return await rows_of(transaction, table)


async def rows_of(transaction: Transaction, table: str = "notes") -> list[dict[str, Value]]:
    index = transaction.index(table, "by_creation_time")
    return [] if index is None else await transaction.take(index)


def insert(text: str) -> Callable[[Transaction], Awaitable[str]]:
    return lambda transaction: transaction.insert("notes", {"text": text})


def test_increments_at_once_all_count(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        counter = decode_id((await store.mutate(lambda t: t.insert("counters", {"n": 0}))).value)

        async def increment(transaction: Transaction) -> None:
            document = await transaction.get(counter)
            assert document is not None and isinstance(document["n"], int)
            await transaction.patch(counter, {"n": document["n"] + 1})

        answers = await asyncio.gather(*[store.mutate(increment) for _ in range(150)])
        stamps = [answer.ts for answer in answers]
        assert len(set(stamps)) == 150
        assert [row["n"] for row in await rows(store, "counters")] == [150]

    run(open_store, test)


def test_a_snapshot_stays_as_it_was(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        first = await store.mutate(insert("first"))
        async with store.snapshot() as transaction:
            second = await store.mutate(insert("second"))
            assert [row["text"] for row in await rows_of(transaction)] == ["first"]
            assert transaction.ts == first.ts
        async with store.snapshot() as transaction:
            assert [row["text"] for row in await rows_of(transaction)] == ["first", "second"]
            assert transaction.ts == second.ts > first.ts

    run(open_store, test)


def test_many_snapshots_at_once_each_show_their_own_time(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await store.mutate(insert("0"))
        async with AsyncExitStack() as stack:
            snapshots: list[Transaction] = []
            for number in range(1, 21):
                snapshots.append(await stack.enter_async_context(store.snapshot()))
                await store.mutate(insert(f"{number}"))
            seen = [len(await rows_of(transaction)) for transaction in snapshots]
        assert seen == list(range(1, 21))
        assert len(await rows(store)) == 21

    run(open_store, test)


def test_what_is_acknowledged_is_visible(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def writer(number: int) -> None:
            for step in range(10):
                committed = await store.mutate(insert(f"{number}.{step}"))
                async with store.snapshot() as transaction:
                    assert transaction.ts >= committed.ts
                    assert await transaction.get(decode_id(committed.value)) is not None

        await asyncio.gather(*[writer(number) for number in range(8)])

    run(open_store, test)


def test_a_mutation_that_raises_leaves_nothing_and_its_neighbours_alone(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def fails(transaction: Transaction) -> None:
            await transaction.insert("notes", {"text": "lost"})
            await transaction.insert("rooms", {})
            raise ZeroDivisionError

        outcomes = await asyncio.gather(
            store.mutate(insert("a")), store.mutate(fails), store.mutate(insert("b")), return_exceptions=True
        )
        assert isinstance(outcomes[1], ZeroDivisionError)
        assert [row["text"] for row in await rows(store)] == ["a", "b"]
        assert store.catalog.table("rooms") is None

    run(open_store, test)


@pytest.mark.parametrize("database", SQLITE, indirect=True)
def test_reading_a_neighbours_write_waits_for_its_commit(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        durable: list[int] = []
        store.on_commit(lambda commit: durable.append(commit.ts))

        async def look() -> None:
            seen = (await store.mutate(rows_of)).value
            assert [row["text"] for row in seen] == ["a"]
            assert len(durable) == 1

        await asyncio.gather(store.mutate(insert("a")), look())

    run(open_store, test)


def test_notices_come_in_commit_order_before_the_acknowledgement(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        heard: list[int] = []
        store.on_commit(lambda commit: heard.append(commit.ts))

        async def write() -> None:
            committed = await store.mutate(insert("x"))
            assert committed.ts in heard

        await asyncio.gather(*[write() for _ in range(30)])
        assert len(heard) == 30
        assert heard == sorted(set(heard))

    run(open_store, test)


def test_a_failing_listener_does_not_keep_the_others_from_hearing(open_store: OpenStore) -> None:
    def fail(_commit: Commit) -> None:
        raise ZeroDivisionError

    async def test(store: Store) -> None:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context.get("exception")))
        heard: list[int] = []
        store.on_commit(fail)
        store.on_commit(lambda commit: heard.append(commit.ts))
        await store.mutate(insert("x"))
        assert len(heard) == 1
        assert isinstance(reported[0], ZeroDivisionError)

    run(open_store, test)


@pytest.mark.parametrize("database", SQLITE, indirect=True)
def test_a_mutation_may_wait_for_something_else(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        gate = asyncio.Event()
        order: list[str] = []

        async def waits(transaction: Transaction) -> None:
            await transaction.insert("notes", {"text": "slow"})
            await gate.wait()
            order.append("slow")

        async def quick(transaction: Transaction) -> list[Value]:
            order.append("quick")
            return [row["text"] for row in await rows_of(transaction)]

        slow = asyncio.create_task(store.mutate(waits))
        after = asyncio.create_task(store.mutate(quick))
        await asyncio.sleep(0.02)
        assert await rows(store) == []
        gate.set()
        await slow
        assert (await after).value == ["slow"]
        assert order == ["slow", "quick"]

    run(open_store, test)


@pytest.mark.parametrize("begun", [True, False])
def test_a_cancelled_mutation_leaves_nothing(database: Database, open_store: OpenStore, begun: bool) -> None:
    async def test(store: Store) -> None:
        running = asyncio.Event()
        ended: list[str] = []

        async def never_ends(transaction: Transaction) -> None:
            try:
                await transaction.insert("notes", {"text": "lost"})
                running.set()
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append("cleaned up")

        task = asyncio.create_task(store.mutate(never_ends))
        after = asyncio.create_task(store.mutate(insert("kept")))
        if begun:
            await running.wait()
        else:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await after
        assert [row["text"] for row in await rows(store)] == ["kept"]
        # PostgreSQL lets all mutations begin at once.
        assert ended == (["cleaned up"] if begun or database.kind == "postgres" else [])

    run(open_store, test)


def test_a_mutation_that_swallows_its_cancellation_is_not_kept_either(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        running = asyncio.Event()

        async def stubborn(transaction: Transaction) -> None:
            await transaction.insert("notes", {"text": "lost"})
            running.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                return

        task = asyncio.create_task(store.mutate(stubborn))
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await store.mutate(insert("kept"))
        assert [row["text"] for row in await rows(store)] == ["kept"]

    run(open_store, test)


def test_context_variables_of_the_caller_reach_the_work(open_store: OpenStore) -> None:
    caller: ContextVar[str] = ContextVar("caller")

    async def test(store: Store) -> None:
        async def work(transaction: Transaction) -> list[str]:
            before = caller.get()
            await asyncio.sleep(0)
            return [before, caller.get()]

        async def call(name: str) -> list[str]:
            caller.set(name)
            return (await store.mutate(work)).value

        assert await asyncio.gather(call("a"), call("b")) == [["a", "a"], ["b", "b"]]

    run(open_store, test)


def test_closing_lets_running_mutations_end(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def slow(transaction: Transaction) -> None:
            await asyncio.sleep(0.02)
            await transaction.insert("notes", {})

        running = asyncio.create_task(store.mutate(slow))
        await asyncio.sleep(0)
        await store.close()
        assert (await running).ts > 0
        with pytest.raises(StoreFailed) as refused:
            await store.mutate(insert("late"))
        assert refused.value.code == "StoreClosed"
        with pytest.raises(StoreFailed):
            await rows(store)

    run(open_store, test)


def on_file(path: Path, test: Callable[[Store], Awaitable[None]], **settings: Any) -> None:
    """The rest is about files and what happens to them."""

    async def main() -> None:
        store = Store(SqlitePersistence(path, **settings), Limits(), settings.get("clock") or SystemClock())
        await store.open()
        try:
            await test(store)
        finally:
            await store.close()

    asyncio.run(main())


def test_timestamps_never_go_back(tmp_path: Path) -> None:
    stamps: list[int] = []

    async def write(store: Store) -> None:
        async with store.snapshot() as transaction:
            assert transaction.ts == (stamps[-1] if stamps else 0)
        stamps.append((await store.mutate(insert("x"))).ts)
        stamps.append((await store.mutate(insert("x"))).ts)

    on_file(tmp_path / "x.db", write, clock=ManualClock(2_000_000_000_000.0))
    on_file(tmp_path / "x.db", write, clock=ManualClock(1_000_000_000_000.0))
    on_file(tmp_path / "x.db", write)
    assert stamps[0] == 2_000_000_000_000_000_000
    assert stamps == [stamps[0] + n for n in range(6)]


def test_a_full_disk_refuses_who_needs_the_space_and_nobody_else(tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        async def large(transaction: Transaction) -> None:
            for _ in range(4):
                await transaction.insert("notes", {"text": "x" * 1_000_000})

        calls = [insert("a"), large, insert("b"), large, insert("c")]
        outcomes = await asyncio.gather(*[store.mutate(call) for call in calls], return_exceptions=True)
        assert [getattr(outcome, "code", None) for outcome in outcomes] == [None, "DiskFull", None, "DiskFull", None]
        assert [row["text"] for row in await rows(store)] == ["a", "b", "c"]
        await store.mutate(insert("d"))

    on_file(tmp_path / "x.db", test, size_limit_bytes=2**21)
    on_file(tmp_path / "x.db", expect("a", "b", "c", "d"))


def expect(*texts: str) -> Callable[[Store], Awaitable[None]]:
    async def check(store: Store) -> None:
        assert [row["text"] for row in await rows(store)] == [*texts]

    return check


def test_a_foreign_lock_is_waited_out_without_blocking_the_loop(tmp_path: Path) -> None:
    async def test(store: Store) -> None:
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(store.mutate(insert("x")))
            turns = 0
            end = time.perf_counter() + 0.1
            while time.perf_counter() < end:
                await asyncio.sleep(0.001)
                turns += 1
            assert turns > 10 and not waiting.done()
            other.execute("ROLLBACK")
            await waiting

    on_file(tmp_path / "x.db", test)


def test_a_foreign_lock_that_stays_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyconvex.store.sqlite.batches._LOCK_PATIENCE_SECONDS", 0.05)

    async def test(store: Store) -> None:
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            outcomes = await asyncio.gather(*[store.mutate(insert("x")) for _ in range(2)], return_exceptions=True)
            assert [getattr(outcome, "code", None) for outcome in outcomes] == ["DatabaseLocked"] * 2
            assert outcomes[0] is not outcomes[1]
            other.execute("ROLLBACK")
        await store.mutate(insert("later"))
        assert [row["text"] for row in await rows(store)] == ["later"]

    on_file(tmp_path / "x.db", test)


class FailingCommit:
    """A writing connection whose next COMMIT fails as on a broken disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures = 0
        commit = SqliteWriter.commit

        def failing(writer: SqliteWriter) -> None:
            if self.failures:
                self.failures -= 1
                raise sqlite3.OperationalError("disk I/O error")
            commit(writer)

        monkeypatch.setattr(SqliteWriter, "commit", failing)


def test_a_failed_commit_refuses_the_whole_batch_and_only_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FailingCommit(monkeypatch)
    monkeypatch.setattr(sqlite_batches, "BATCH_SECONDS", 60.0)  # one batch, however busy the machine is

    async def test(store: Store) -> None:
        heard: list[int] = []
        store.on_commit(lambda commit: heard.append(commit.ts))
        first = await store.mutate(insert("first"))
        disk.failures = 1
        refused = await asyncio.gather(*[store.mutate(insert("lost")) for _ in range(3)], return_exceptions=True)
        assert all(isinstance(outcome, StoreFailed) for outcome in refused)
        async with store.snapshot() as transaction:
            assert transaction.ts == first.ts
        await store.mutate(insert("last"))
        assert len(heard) == 2
        assert [row["text"] for row in await rows(store)] == ["first", "last"]

    on_file(tmp_path / "x.db", test)
    on_file(tmp_path / "x.db", expect("first", "last"))


@pytest.mark.parametrize("error", [sqlite3.IntegrityError("no"), RuntimeError("a mistake of ours")])
def test_a_write_that_goes_wrong_half_way_takes_nobody_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    apply = SqliteWriter.apply

    def failing(writer: SqliteWriter, changes: Sequence[Changes]) -> None:
        apply(writer, changes)
        if any(b"bad" in document.body for each in changes for document in each.documents):
            raise error

    async def test(store: Store) -> None:
        await store.mutate(insert("first"))
        monkeypatch.setattr(SqliteWriter, "apply", failing)
        calls = [store.mutate(insert(text)) for text in ("a", "bad", "b", "bad", "c")]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False, True, False]
        assert [row["text"] for row in await rows(store)] == ["first", "a", "b", "c"]

    on_file(tmp_path / "x.db", test)


def test_a_table_created_in_a_failed_batch_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FailingCommit(monkeypatch)

    async def test(store: Store) -> None:
        disk.failures = 1
        with pytest.raises(StoreFailed):
            await store.mutate(lambda t: t.insert("rooms", {}))
        assert decode_id((await store.mutate(insert("x"))).value).table == 10001
        assert [table.name for table in store.catalog.tables] == ["notes"]

    on_file(tmp_path / "x.db", test)


def test_a_read_beyond_its_time_is_interrupted_and_writes_are_not(tmp_path: Path) -> None:
    expired = False

    async def test(store: Store) -> None:
        nonlocal expired

        async def fill(transaction: Transaction) -> None:
            for number in range(4000):
                await transaction.insert("notes", {"text": f"{number}"})

        await store.mutate(fill)
        expired = True
        for read in (lambda: rows(store), lambda: store.mutate(rows_of)):
            with pytest.raises(StoreFailed) as failed:
                await read()
            assert failed.value.code == "ReadInterrupted"
        await store.mutate(fill)
        expired = False
        assert len(await rows(store)) == 8000

    on_file(tmp_path / "x.db", test, expired=lambda: expired)


def test_the_log_starts_over_under_steady_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_disk.Checkpoints, "PERIOD_SECONDS", 0.005)
    monkeypatch.setattr(sqlite_disk.Checkpoints, "LOG_PAGES_MAX", 50)

    async def test(store: Store) -> None:
        log = tmp_path / "x.db-wal"
        written = 0

        async def caller() -> None:
            nonlocal written
            end = time.perf_counter() + 10
            while written < 40 * 2**20 and time.perf_counter() < end:
                await store.mutate(insert("x" * 50_000))
                written += 50_000

        await asyncio.gather(*[caller() for _ in range(4)])
        assert log.stat().st_size < written / 2

    on_file(tmp_path / "x.db", test)
