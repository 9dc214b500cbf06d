"""Mutations that run while the disk still works for the batch before: what they see, what its failure does to them."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from pyconvex.clock import SystemClock
from pyconvex.settings import Limits
from pyconvex.store.keys import Changes
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.sqlite import batch
from pyconvex.store.sqlite.connection import SqliteWriter
from pyconvex.store.sqlite.persistence import SqlitePersistence
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import Value

PATIENCE_SECONDS = 10


class SlowDisk:
    """A writing connection whose COMMITs wait until they are let through, or made to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self._open.set()
        self._fails = False
        self.at_work = threading.Event()
        commit = SqliteWriter.commit

        def slow(writer: SqliteWriter) -> None:
            self.at_work.set()
            assert self._open.wait(PATIENCE_SECONDS)
            if self._fails:
                self._fails = False
                raise sqlite3.OperationalError("disk I/O error")
            commit(writer)

        monkeypatch.setattr(SqliteWriter, "commit", slow)

    async def hold(self, store: Store, text: str) -> "asyncio.Task[object]":
        """An insert of `text` whose COMMIT has begun and does not end."""
        self._open.clear()
        self.at_work.clear()
        held = asyncio.create_task(store.mutate(insert(text)))
        while not self.at_work.is_set():
            await asyncio.sleep(0.001)
        return held

    def release(self, *, fail: bool = False) -> None:
        self._fails = fail
        self._open.set()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    return SlowDisk(monkeypatch)


def on_file(path: Path, test: Callable[[Store], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = SystemClock()
        store = Store(SqlitePersistence(path, clock=clock), Limits(), clock)
        await store.open()
        try:
            await store.mutate(insert("first"))
            await test(store)
        finally:
            await store.close()

    asyncio.run(main())


def insert(text: str) -> Callable[[Transaction], Awaitable[str]]:
    return lambda transaction: transaction.insert("notes", {"text": text})


async def texts(transaction: Transaction) -> list[Value]:
    index = transaction.index("notes", "by_creation_time")
    return [] if index is None else [row["text"] for row in await transaction.take(index)]


async def all_texts(store: Store) -> list[Value]:
    async with store.snapshot() as transaction:
        return await texts(transaction)


def counted(
    work: Callable[[Transaction], Awaitable[object]], runs: list[str], name: str
) -> Callable[..., Awaitable[object]]:
    def run(transaction: Transaction) -> Awaitable[object]:
        runs.append(name)
        return work(transaction)

    return run


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


def test_who_only_writes_runs_while_the_disk_works_and_is_answered_after_his_own_commit(
    tmp_path: Path, disk: SlowDisk
) -> None:
    async def test(store: Store) -> None:
        runs: list[str] = []
        held = await disk.hold(store, "a")
        ahead = [asyncio.create_task(store.mutate(counted(insert(text), runs, text))) for text in ("b", "c")]
        await until(lambda: runs == ["b", "c"])
        assert await all_texts(store) == ["first"]
        assert not held.done() and not any(task.done() for task in ahead)
        disk.release()
        await held
        stamps = [(await task).ts for task in ahead]
        assert stamps == sorted(stamps)
        assert await all_texts(store) == ["first", "a", "b", "c"]
        assert runs == ["b", "c"]

    on_file(tmp_path / "x.db", test)


def test_who_reads_waits_for_the_commit_and_sees_everything_before_him(tmp_path: Path, disk: SlowDisk) -> None:
    async def test(store: Store) -> None:
        runs: list[str] = []
        held = await disk.hold(store, "a")
        written = asyncio.create_task(store.mutate(counted(insert("b"), runs, "b")))
        reading = asyncio.create_task(store.mutate(counted(texts, runs, "reading")))
        after = asyncio.create_task(store.mutate(counted(insert("c"), runs, "c")))
        await until(lambda: runs == ["b", "reading"])
        disk.release()
        assert (await reading).value == ["first", "a", "b"]
        await asyncio.gather(held, written, after)
        assert runs == ["b", "reading", "c"]

    on_file(tmp_path / "x.db", test)


def test_when_the_commit_fails_those_ahead_run_again(tmp_path: Path, disk: SlowDisk) -> None:
    async def test(store: Store) -> None:
        runs: list[str] = []
        held = await disk.hold(store, "lost")
        calls = {"b": insert("b"), "reading": texts, "c": insert("c")}
        tasks = {name: asyncio.create_task(store.mutate(counted(work, runs, name))) for name, work in calls.items()}
        await until(lambda: runs == ["b", "reading"])
        disk.release(fail=True)
        with pytest.raises(StoreFailed):
            await held
        assert (await tasks["reading"]).value == ["first", "b"]
        await asyncio.gather(tasks["b"], tasks["c"])
        assert runs == ["b", "reading", "b", "reading", "c"]
        assert await all_texts(store) == ["first", "b", "c"]

    on_file(tmp_path / "x.db", test)


def test_a_table_made_in_a_commit_that_fails_is_made_again_by_those_ahead(tmp_path: Path, disk: SlowDisk) -> None:
    async def test(store: Store) -> None:
        held = await disk.hold(store, "lost")
        rooms = [asyncio.create_task(store.mutate(lambda t: t.insert("rooms", {}))) for _ in range(2)]
        disk.release(fail=True)
        with pytest.raises(StoreFailed):
            await held
        await asyncio.gather(*rooms)
        assert [table.name for table in store.catalog.tables] == ["notes", "rooms"]

    on_file(tmp_path / "x.db", test)


def test_who_gives_up_waiting_to_read_keeps_nobody(tmp_path: Path, disk: SlowDisk) -> None:
    async def test(store: Store) -> None:
        runs: list[str] = []
        held = await disk.hold(store, "a")
        reading = asyncio.create_task(store.mutate(counted(texts, runs, "reading")))
        await until(lambda: runs == ["reading"])
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        after = asyncio.create_task(store.mutate(counted(insert("b"), runs, "b")))
        await until(lambda: runs == ["reading", "b"])
        disk.release()
        await asyncio.gather(held, after)
        assert await all_texts(store) == ["first", "a", "b"]

    on_file(tmp_path / "x.db", test)


def test_closing_lets_those_ahead_end(tmp_path: Path, disk: SlowDisk) -> None:
    async def test(store: Store) -> None:
        runs: list[str] = []
        held = await disk.hold(store, "a")
        ahead = asyncio.create_task(store.mutate(counted(insert("b"), runs, "b")))
        await until(lambda: runs == ["b"])
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        disk.release()
        await asyncio.gather(held, ahead, closing)

    on_file(tmp_path / "x.db", test)


def test_a_write_that_fails_under_a_reader_runs_the_others_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = SqliteWriter.apply

    def failing(writer: SqliteWriter, changes: Sequence[Changes]) -> None:
        apply(writer, changes)
        if any(b"bad" in document.body for each in changes for document in each.documents):
            raise sqlite3.IntegrityError("no")

    async def stubborn(transaction: Transaction) -> list[Value]:
        try:
            return await texts(transaction)
        except StoreFailed:
            return ["swallowed"]

    async def test(store: Store) -> None:
        monkeypatch.setattr(SqliteWriter, "apply", failing)
        calls = (insert("a"), insert("bad"), stubborn, insert("b"), texts)
        outcomes = await asyncio.gather(*[store.mutate(call) for call in calls], return_exceptions=True)
        refused = [isinstance(outcome, StoreFailed) for outcome in outcomes]
        assert refused == [False, True, False, False, False]
        values = [outcome.value for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert values[1] == ["first", "a"]
        assert values[3] == ["first", "a", "b"]

    on_file(tmp_path / "x.db", test)


def test_a_write_that_fails_while_others_run_ahead_is_the_only_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = SqliteWriter.apply
    writing, go_on = threading.Event(), threading.Event()

    def failing(writer: SqliteWriter, changes: Sequence[Changes]) -> None:
        writing.set()
        assert go_on.wait(PATIENCE_SECONDS)
        apply(writer, changes)
        if any(b"bad" in document.body for each in changes for document in each.documents):
            raise sqlite3.IntegrityError("no")

    async def test(store: Store) -> None:
        monkeypatch.setattr(SqliteWriter, "apply", failing)
        monkeypatch.setattr(batch, "BULK_DOCUMENTS", 0)  # so that a thread writes them
        runs: list[str] = []
        first = [store.mutate(insert(text)) for text in ("a", "bad", "b")]
        written = asyncio.gather(*first, return_exceptions=True)
        await until(writing.is_set)
        ahead = [store.mutate(counted(insert("c"), runs, "ahead")), store.mutate(counted(texts, runs, "reading"))]
        ran = asyncio.gather(*ahead, return_exceptions=True)
        await until(lambda: runs == ["ahead", "reading"])
        go_on.set()
        outcomes = [*await written, *await ran]
        assert [isinstance(outcome, StoreFailed) for outcome in outcomes] == [False, True, False, False, False]
        assert sorted(map(str, await all_texts(store))) == ["a", "b", "c", "first"]

    on_file(tmp_path / "x.db", test)


@pytest.mark.parametrize("count", [1, 2, 5, 21, 70, 150])
def test_however_many_rows_are_written_at_once_all_are_found(tmp_path: Path, count: int) -> None:
    async def test(store: Store) -> None:
        expected = [f"{number}" for number in range(count)]
        await asyncio.gather(*[store.mutate(insert(text)) for text in expected])
        assert await all_texts(store) == ["first", *expected]

    on_file(tmp_path / "x.db", test)


def test_a_mutation_of_very_many_rows_leaves_the_loop_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = SqliteWriter.apply
    wrote: dict[int, threading.Thread] = {}

    def noting(writer: SqliteWriter, changes: Sequence[Changes]) -> None:
        apply(writer, changes)
        wrote[sum(len(each.documents) for each in changes)] = threading.current_thread()

    async def many(transaction: Transaction) -> None:
        for number in range(batch.BULK_DOCUMENTS + 1):
            await transaction.insert("notes", {"text": f"{number}"})

    async def test(store: Store) -> None:
        monkeypatch.setattr(SqliteWriter, "apply", noting)
        await store.mutate(many)
        await store.mutate(insert("last"))
        assert wrote[batch.BULK_DOCUMENTS + 1] is not threading.main_thread()
        assert wrote[1] is threading.main_thread()
        assert len(await all_texts(store)) == batch.BULK_DOCUMENTS + 3

    on_file(tmp_path / "x.db", test)
