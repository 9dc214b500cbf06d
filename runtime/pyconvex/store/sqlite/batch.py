"""One batch: the mutations that one COMMIT makes durable, and the view of the database that they share."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextvars import Context, copy_context
from typing import Any, Final, Generic, TypeVar, cast

from pyconvex.store.keys import Changes, Commit, KeyRange
from pyconvex.store.persistence import Committed, Row, StoreFailed, Work
from pyconvex.store.search.selection import Candidates, SearchQuery
from pyconvex.store.search.vectors import Similar, VectorQuery

from .connection import SqliteWriter
from .file import failure

T = TypeVar("T")

BULK_DOCUMENTS: Final = 500
"""About 6 ms of SQLite's time."""


class Mutation(Generic[T]):
    """One call of `transact`, from waiting to being answered."""

    __slots__ = ("answer", "context", "outcome", "task", "work")

    def __init__(self, work: Work[T], answer: "asyncio.Future[Committed[T]]") -> None:
        self.work = work
        self.answer = answer
        self.context: Context = copy_context()
        self.task: asyncio.Task[Any] | None = None
        self.outcome: Committed[T] | BaseException | None = None

    @property
    def abandoned(self) -> bool:
        """The caller went away."""
        return self.answer.done()

    def settle(self, outcome: "Committed[T] | BaseException | None") -> None:
        if self.answer.done():
            return
        if isinstance(outcome, BaseException):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(cast("Committed[T]", outcome))


class Batch:
    """A `Reader` that shows the newest state with the earlier writes of the batch.

    What its mutations write is held back until one of them reads or all have ended: most only insert, and many rows at
    once cost a fraction of what they cost one by one. So a batch can run ahead, while the connection still commits the
    one before: its first read waits for that.
    """

    __slots__ = (
        "_loop",
        "_readers",
        "broken",
        "catalog_ts",
        "commits",
        "held",
        "members",
        "seconds",
        "suspended",
        "ts",
        "writer",
        "wrote",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, ts: int, catalog_ts: int) -> None:
        self._loop = loop
        self.ts = ts
        self.catalog_ts = catalog_ts
        self.writer: SqliteWriter | None = None
        """The connection, once a transaction was begun on it for this batch."""
        self.members: list[Mutation[Any]] = []
        """Mutations that have ended, in their order."""
        self.held: list[Changes] = []
        self.commits: list[Commit] = []
        self.seconds = 0.0
        """Inline work so far."""
        self.suspended = False
        """A mutation waits for something; nothing else runs until it has ended."""
        self.wrote = False
        self.broken: Exception | None = None
        """Why the members have to run again."""
        self._readers: list[asyncio.Future[None]] = []
        """Who waits until there is something to read."""

    @property
    def lost(self) -> bool:
        return False

    @property
    def conflict(self) -> None:
        """None: mutations run one after another."""

    async def get(self, index: int, key: bytes) -> tuple[int, bytes] | None:
        return await (await self._readable()).get(index, key)

    async def scan(self, span: KeyRange, *, reverse: bool, limit: int, bytes_max: int) -> Sequence[Row]:
        return await (await self._readable()).scan(span, reverse=reverse, limit=limit, bytes_max=bytes_max)

    async def keys(self, span: KeyRange, *, limit: int) -> Sequence[bytes]:
        return await (await self._readable()).keys(span, limit=limit)

    async def count(self, span: KeyRange) -> tuple[int, bytes | None]:
        return await (await self._readable()).count(span)

    async def at(self, index: int, keys: Sequence[bytes]) -> Sequence[Row]:
        return await (await self._readable()).at(index, keys)

    async def search(self, index: int, query: SearchQuery, *, limit: int) -> Candidates:
        return await (await self._readable()).search(index, query, limit=limit)

    async def nearest(self, index: int, query: VectorQuery) -> Sequence[Similar]:
        return await (await self._readable()).nearest(index, query)

    async def holds(self, index: int) -> bool:
        return await (await self._readable()).holds(index)

    def add(self, changes: Changes, ts: int) -> None:
        """Take what a mutation wrote, to be committed at `ts`."""
        self.held.append(changes)
        self.ts = ts
        if changes.catalog:
            self.catalog_ts = ts
        if changes.documents:
            self.commits.append(Commit(ts, changes.documents, catalog=changes.catalog))

    def opened(self, writer: SqliteWriter) -> None:
        """A transaction was begun for this batch: from now on it can be read."""
        self.writer = writer
        if not self.members:
            self.ts, self.catalog_ts = writer.ts, writer.catalog_ts
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)

    def spoil(self, error: Exception) -> None:
        """The members have to run again, because of `error`. Whoever waits to read hears it now."""
        self.broken = error
        for reader in self._readers:
            if not reader.done():
                reader.set_exception(StoreFailed("StorageFailed", f"the batch is undone: {error}"))

    def write(self) -> None:
        """Hand what was held back to SQLite.

        Raises:
            Exception: half of it may be written: the batch is broken.
        """
        if not self.held:
            return
        assert self.writer is not None, "the batch is open"
        held, self.held = self.held, []
        try:
            self.writer.apply(held)
        except Exception as error:
            self.broken = error
            raise
        self.wrote = True

    @property
    def is_bulk(self) -> bool:
        """Whether so many new documents, and nothing else, are held back that writing them is worth a thread."""
        return sum(len(changes.documents) for changes in self.held) > BULK_DOCUMENTS and all(
            changes.inserts_only and not any(change.found for change in changes.documents) for changes in self.held
        )

    def save(self) -> None:
        """Write what is still held back, and commit. Runs in the disk's thread.

        Raises:
            Exception: the batch is broken, or else its COMMIT has failed.
        """
        self.write()
        assert self.writer is not None, "the batch is open"
        self.writer.commit()

    async def _readable(self) -> SqliteWriter:
        while self.writer is None:
            # Of the real loop, not of the running one, which may be a function's; one each, as functions adopt them.
            opened: asyncio.Future[None] = self._loop.create_future()
            self._readers.append(opened)
            await opened
        try:
            self.write()
        except sqlite3.Error as error:
            raise failure(error) from error
        return self.writer
