"""The embedded database: one SQLite file in WAL mode, written by one process.

Readers work inline on connections of their own, each in one snapshot; mutations go through `sqlite_batches.py`. Nothing
here waits for a lock or for the disk on the event loop.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, TypeVar

from pyconvex.clock import Clock, SystemClock
from pyconvex.errors import StartFailed
from pyconvex.store.keys import Commit
from pyconvex.store.persistence import Committed, StoreFailed, Work

from .batches import Batches
from .connection import SqliteReader, SqliteWriter
from .disk import Checkpoints, CommitThread, Disk, InlineDisk
from .file import SqliteFile, describe, failure, interrupt_when

T = TypeVar("T")

IDLE_READERS_MAX: Final = 8


class SqlitePersistence:
    """Documents in one SQLite file.

    Args:
        path: the database; made when it is not there. None is for tests: a database in the system's temporary folder
            that is never synced and goes away on `close`.
        clock: gives commit timestamps.
        size_limit_bytes: the largest the file may become; mutations beyond it fail with `DiskFull`.
        expired: asked during long reads of a function whether its time is over; then the read fails.
        disk: for simulations: says when a commit happens and when it is reported, in the place of the threads. The file
            is not synced then.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        clock: Clock | None = None,
        size_limit_bytes: int | None = None,
        expired: Callable[[], bool] | None = None,
        disk: Disk | None = None,
    ) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._size_limit_bytes = size_limit_bytes
        self._expired = expired
        self._disk = disk
        self.node = int.from_bytes(self._clock.random_bytes(6))
        self._callbacks: list[Callable[[Commit], None]] = []
        self._idle: list[SqliteReader] = []
        self._temporary: TemporaryDirectory[str] | None = None
        self._open: _Open | None = None
        self._closing: _Open | None = None

    async def open(self) -> None:
        assert self._open is None, "a database is opened once"
        if self._path is None:
            self._temporary = TemporaryDirectory(prefix="pyconvex-", ignore_cleanup_errors=True)
        path = Path(self._temporary.name) / "pyconvex.db" if self._temporary else self._path
        assert path is not None
        durable = self._temporary is None and self._disk is None
        file = SqliteFile(path, durable=durable, size_limit_bytes=self._size_limit_bytes)
        file.prepare()
        try:
            self._open = _Open(file, self._clock, self._publish, self._expired, self._disk)
        except sqlite3.Error as error:
            code, message, hint = describe(error)
            raise StartFailed(code, f"cannot open {path}: {message}", hint=hint) from error

    async def close(self) -> None:
        if self._open is not None:
            self._closing, self._open = self._open, None
        # Readers first: the last connection to close is the one that tidies up the log.
        while self._idle:
            self._idle.pop().connection.close()
        if self._closing is not None:
            await self._closing.close()
            self._closing = None  # only now: whoever is cancelled before may close again
        if self._temporary is not None:
            self._temporary.cleanup()

    async def living(self) -> frozenset[int]:
        return frozenset((self.node,))

    def snapshot(self) -> "_Snapshot":
        return _Snapshot(self)

    def transact(self, work: Work[T], *, patient: bool = False) -> Coroutine[Any, Any, Committed[T]]:
        if self._open is None:
            raise _closed()
        return self._open.batches.transact(work)

    def on_commit(self, callback: Callable[[Commit], None]) -> None:
        self._callbacks.append(callback)

    async def hear(self, ts: int) -> None:
        if self._open is not None:
            await self._open.batches.hear(ts)

    async def lift(self, ts: int) -> None:
        if self._open is None:
            raise _closed()
        await self._open.batches.lift(ts)

    def borrow(self) -> SqliteReader:
        """A connection with a snapshot begun just now."""
        if self._open is None:
            raise _closed()
        try:
            reader = self._idle.pop() if self._idle else self._open.reader()
            try:
                reader.begin()
            except sqlite3.Error:
                reader.connection.close()
                raise
        except sqlite3.Error as error:
            raise failure(error) from error
        return reader

    def give_back(self, reader: SqliteReader) -> None:
        try:
            reader.end()
        except sqlite3.Error:
            reader.connection.close()
            return
        if self._open is not None and len(self._idle) < IDLE_READERS_MAX:
            self._idle.append(reader)
        else:
            reader.connection.close()

    def _publish(self, commit: Commit) -> None:
        for callback in self._callbacks:
            try:
                callback(commit)
            except Exception as error:
                # The commit is durable whatever its listeners make of it; the next one must still be told.
                context = {"message": "a commit's listener failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)


class _Open:
    """What exists from `open` to `close`."""

    def __init__(
        self,
        file: SqliteFile,
        clock: Clock,
        publish: Callable[[Commit], None],
        expired: Callable[[], bool] | None,
        disk: Disk | None,
    ) -> None:
        self._file = file
        self._expired = expired
        # The connection first: when it fails, no thread is left behind.
        writer = self._writer()
        self.disk = disk or (CommitThread() if file.durable else InlineDisk())
        self.checkpoints = Checkpoints(file) if file.durable else None
        self.batches = Batches(writer, self._writer, self.disk, self.checkpoints, clock, publish)

    async def close(self) -> None:
        await self.batches.close()
        self.disk.close()
        if self.checkpoints is not None:
            self.checkpoints.close()

    def reader(self) -> SqliteReader:
        connection = self._file.connect(writing=False)
        if self._expired is not None:
            interrupt_when(connection, self._expired)
        return SqliteReader(connection)

    def _writer(self) -> SqliteWriter:
        connection = self._file.connect()
        writer = SqliteWriter(connection)
        if self._expired is not None:
            # Only reads: an interrupted write would roll back the whole batch.
            expired = self._expired
            interrupt_when(connection, lambda: self.batches.running and not writer.writing and expired())
        return writer


class _Snapshot:
    """`async with` for one snapshot; by hand, because the decorator's generator costs more than the snapshot."""

    __slots__ = ("_persistence", "_reader")

    def __init__(self, persistence: SqlitePersistence) -> None:
        self._persistence = persistence

    async def __aenter__(self) -> SqliteReader:
        self._reader = self._persistence.borrow()
        return self._reader

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._persistence.give_back(self._reader)


def _closed() -> StoreFailed:
    return StoreFailed("StoreClosed", "the deployment is shutting down")
