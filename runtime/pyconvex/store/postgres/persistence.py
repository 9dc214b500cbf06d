"""The engine on PostgreSQL: any number of processes share one database.

Queries and mutations run on `REPEATABLE READ` snapshots, mutations hold their writes back, and one committer in each
process writes them in batches. What a mutation read is held against what was committed since its snapshot.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from time import monotonic
from types import TracebackType
from typing import Final, TypeVar

import psycopg

from pyconvex.clock import Clock, SystemClock
from pyconvex.errors import StartFailed
from pyconvex.store.keys import Commit, KeyRange
from pyconvex.store.persistence import Committed, Conflict, StoreFailed, Work

from .commits import NEWER_THAN, History, Touch, rows_of
from .committer import Committer, Finished, Outdated
from .errors import start_failure
from .layout import prepare
from .notices import Notices
from .reader import PostgresReader
from .search import vector_schema
from .server import Connection, Pool, Server

T = TypeVar("T")

RETRIES: Final = 4
"""How often a mutation runs again after a conflict before it fails (Convex's number)."""
_JITTER_SECONDS: Final = 0.002
_LOST_MAX: Final = 10
"""Attempts that may be lost with their connections before a mutation fails; each waits for the server."""


class PostgresPersistence:
    """Documents in one PostgreSQL database.

    Args:
        url: `postgresql://…`, as libpq takes it.
        clock: gives commit timestamps.

    Raises:
        StartFailed: the URL cannot be read.
    """

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self._server = Server(url)
        self._clock = clock or SystemClock()
        self._callbacks: list[Callable[[Commit], None]] = []
        self._open: _Open | None = None
        self._closing = False
        self.node = 0

    async def open(self) -> None:
        assert self._open is None, "a database is opened once"
        try:
            connection = await self._first_connection()
            try:
                await prepare(connection, self._server.url)
                self._server.vector_schema = await vector_schema(connection)
                (self.node,) = await _row(connection, "SELECT nextval('pyconvex.nodes')::integer")
                self._open = opened = _Open(self._server, self._clock, self._publish, self.node)
                await opened.start(connection)
            finally:
                await connection.close()
        except psycopg.Error as error:
            raise start_failure(error, self._server.url) from error
        except StoreFailed as error:
            raise StartFailed(error.code, f"cannot open {self._server}: {error.message}", hint=error.hint) from error

    async def close(self) -> None:
        opened = self._open
        self._closing = True
        if opened is not None:
            await opened.close()
            self._open = None

    def snapshot(self) -> AbstractAsyncContextManager[PostgresReader]:
        return _Snapshot(self)

    def transact(self, work: Work[T], *, patient: bool = False) -> Coroutine[object, object, Committed[T]]:
        return self._opened().transact(work, patient=patient)

    def on_commit(self, callback: Callable[[Commit], None]) -> None:
        self._callbacks.append(callback)

    async def living(self) -> frozenset[int]:
        return await self._opened().notices.living()

    async def hear(self, ts: int) -> None:
        opened = self._opened()
        if opened.history.ts < ts:
            await opened.notices.hear()

    async def lift(self, ts: int) -> None:
        opened = self._opened()
        opened.history.highest = max(opened.history.highest, ts)
        await opened.committer.lift()

    async def begin(self) -> PostgresReader:
        """A snapshot of now."""
        return await self._opened().begin()

    def _opened(self) -> "_Open":
        if self._open is None or self._closing:
            raise StoreFailed("StoreClosed", "the deployment is shutting down")
        return self._open

    async def _first_connection(self) -> Connection:
        """A server that is just starting is waited for."""
        until = self._server.until()
        while True:
            try:
                return await self._server.connect()
            except psycopg.OperationalError as error:
                if "starting up" not in str(error) or monotonic() > until:
                    raise
            await asyncio.sleep(0.1)

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

    def __init__(self, server: Server, clock: Clock, publish: Callable[[Commit], None], node: int) -> None:
        self._clock = clock
        self.pool = Pool(server)
        self.history = History(publish)
        self.committer = Committer(server, self.history, clock, node)
        self.notices = Notices(self.pool, self.history, self.committer, node)
        self._turns = _Turns()
        self._catalog_ts = 0
        """The newest catalog that a snapshot here has shown; notices of its commit may come later."""
        self._running = 0
        self._drained: asyncio.Future[None] | None = None

    async def start(self, connection: Connection) -> None:
        cursor = await connection.execute(NEWER_THAN.format(2**62).encode())
        (newest,) = rows_of(await cursor.fetchall())
        self.history.start(newest)
        await self.notices.open()
        if newest.ts:
            # The database may be a backup, and clients may have seen later timestamps.
            await self.committer.lift()

    async def close(self) -> None:
        """Let all mutations end."""
        if self._running:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        await self.notices.close()
        await self.committer.close()
        await self.pool.close()

    async def begin(self) -> PostgresReader:
        """A snapshot that is not older than anything this process has seen."""
        while True:
            seen = self.history.highest
            reader = PostgresReader(self.pool)
            await reader.begin()
            if reader.ts >= seen:
                self._catalog_ts = max(self._catalog_ts, reader.catalog_ts)
                return reader
            reader.end()
            await self.committer.lift()

    async def transact(self, work: Work[T], *, patient: bool) -> Committed[T]:
        self._running += 1
        mutation = object()
        self.history.begin(mutation)
        try:
            return await self._transact(work, patient)
        finally:
            self.history.end(mutation)
            self._running -= 1
            if not self._running and self._drained is not None and not self._drained.done():
                self._drained.set_result(None)

    async def _transact(self, work: Work[T], patient: bool) -> Committed[T]:
        retries = lost = 0
        touch: Touch | None = None
        while True:
            async with self._turns.of(touch.span) if touch else nullcontext():
                # The first time the snapshot begins with the first read: many mutations only write.
                if retries or lost or self._catalog_ts > self.history.catalog_ts:
                    reader = await self.begin()
                else:
                    reader = PostgresReader(self.pool, self.history.ts, self.history.catalog_ts)
                if touch is not None:
                    reader.conflict = Conflict(touch.key, touch.document, touch.by)
                outcome = await self._attempt(work, reader, again=bool(retries))
            if isinstance(outcome, Committed):
                return outcome
            if isinstance(outcome, Touch):
                touch = outcome
                retries += 1
                if retries > RETRIES and not patient:
                    raise Conflict(touch.key, touch.document, touch.by)
                await asyncio.sleep(self._jitter(retries))
            else:
                touch = None
                lost += 1
                if lost > _LOST_MAX:
                    raise outcome

    def _jitter(self, retries: int) -> float:
        share = int.from_bytes(self._clock.random_bytes(2)) / 2**16
        return share * _JITTER_SECONDS * 2 ** min(retries, 6)

    async def _attempt(
        self, work: Work[T], reader: PostgresReader, *, again: bool
    ) -> "Committed[T] | Touch | Exception":
        """Run a mutation once: how it was committed, or why it has to run again."""
        task = asyncio.current_task()
        cancelled = task.cancelling() if task is not None else 0
        try:
            value, changes = await work(reader)
        except Exception as error:
            if reader.lost or reader.outdated:
                return error
            raise
        finally:
            reader.end()
        if task is not None and task.cancelling() > cancelled:
            raise asyncio.CancelledError
        if reader.lost or reader.outdated:
            return StoreFailed("DatabaseUnreachable", "the connection to the database was lost again and again")
        if changes.empty:
            return Committed(value, reader.ts)
        answer = await self.committer.submit(Finished(changes, reader.ts, reader.catalog_ts, again=again))
        if isinstance(answer, Outdated):
            return StoreFailed("CatalogChanged", "tables were changed by other processes again and again")
        return answer if isinstance(answer, Touch) else Committed(value, answer)


class _Turns:
    """Mutations that lost to another one over the same reads run again one after another.

    Together only one of them would win each time. One at a time wins at its next attempt, unless another process comes
    in between, as it is the first in its batch and its snapshot shows the batch before.
    """

    def __init__(self) -> None:
        self._locks: dict[KeyRange, tuple[asyncio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def of(self, span: KeyRange) -> AsyncGenerator[None]:
        """The turn of those who read this range."""
        lock, users = self._locks.setdefault(span, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._locks[span]


class _Snapshot:
    """`async with` for one snapshot."""

    __slots__ = ("_persistence", "_reader")

    def __init__(self, persistence: PostgresPersistence) -> None:
        self._persistence = persistence

    async def __aenter__(self) -> PostgresReader:
        self._reader = await self._persistence.begin()
        return self._reader

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.end()


async def _row(connection: Connection, query: str) -> tuple[int, ...]:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None, "the query has one row"
    return row
