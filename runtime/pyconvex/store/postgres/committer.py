"""Group commit: one transaction at a time makes all waiting mutations of this process durable.

Mutations run on snapshots of their own and hand in what they read and wrote. The committer takes the database's one
commit lock, reads what was committed since those snapshots, sends back whose reads were touched, and writes the rest
together with one record. So the order of commits is the order of their timestamps, and a serial one.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Final

import psycopg

from pyconvex.clock import Clock
from pyconvex.store.keys import Changes, Commit, ReadSet
from pyconvex.store.persistence import StoreFailed

from .commits import NEWER_THAN, History, Record, Touch, rows_of
from .errors import is_lost
from .layout import COMMIT_LOCK, LOCK_CLASS
from .search import SearchWrites
from .server import WRITING, Connection, Server
from .writes import Writes

BATCH_MEMBERS: Final = 512
BATCH_BYTES: Final = 8 * 2**20
"""A batch is closed beyond this, as everybody in it waits for all of it."""
_BATCH_NAME_BYTES = 16
_PAUSE_SECONDS = 0.5

_LOCK: Final = f"BEGIN; SELECT pg_advisory_xact_lock({LOCK_CLASS}, {COMMIT_LOCK}); {NEWER_THAN}"


class Outdated:
    """Why a mutation has to run again: its snapshot is older than the catalog, or than all that is known."""


class Finished:
    """A mutation that has run, waiting to be committed."""

    __slots__ = ("again", "answer", "catalog_ts", "changes", "since", "ts")

    def __init__(self, changes: Changes, ts: int, catalog_ts: int, *, again: bool) -> None:
        self.changes = changes
        self.ts = ts
        self.catalog_ts = catalog_ts
        self.again = again
        self.since = monotonic()
        self.answer: asyncio.Future[int | Touch | Outdated] = asyncio.get_running_loop().create_future()

    def settle(self, outcome: "int | Touch | Outdated | Exception") -> None:
        if self.answer.done():
            return  # the caller went away
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class _Batch:
    """Members on their way into the database, under a name by which their commit is recognised afterwards."""

    def __init__(self, members: Sequence[Finished], name: bytes) -> None:
        self.members = members
        self.name = name
        self.stamps: list[tuple[Finished, int]] = []
        """Those whose changes are in the transaction, with their timestamps."""
        self.refused: list[tuple[Finished, Touch | Outdated | Exception]] = []
        self.sent = False
        """COMMIT may have reached the server."""


class Committer:
    """All mutations of this process on one database go through here.

    Args:
        node: the number of this process.
    """

    def __init__(self, server: Server, history: History, clock: Clock, node: int) -> None:
        self._server = server
        self._history = history
        self._clock = clock
        self._node = node
        self._waiting: deque[Finished] = deque()
        self._connection: Connection | None = None
        self._work: asyncio.Task[None] | None = None
        self._closing = False
        self.wrote = asyncio.Event()
        """Set with each commit; whoever tells the other processes clears it."""

    def submit(self, finished: Finished) -> "asyncio.Future[int | Touch | Outdated]":
        """Queue a mutation; its answer is the timestamp of its commit, or why it has to run again."""
        if finished.again:
            # In front: among those that meet the same documents, who has lost once wins the next time.
            self._waiting.appendleft(finished)
        else:
            self._waiting.append(finished)
        if self._work is None:
            self._work = asyncio.get_running_loop().create_task(self._run(), name="commit to PostgreSQL")
        return finished.answer

    async def lift(self) -> None:
        """Commit an empty mutation, which brings the database's clock up to date.

        Raises:
            StoreFailed: that could not be done.
        """
        stamp: object = None
        while not isinstance(stamp, int):
            nothing = Changes(ReadSet())
            stamp = await self.submit(Finished(nothing, self._history.highest, self._history.catalog_ts, again=True))

    async def close(self) -> None:
        """Commit what is there, then close the connection."""
        self._closing = True
        while self._work is not None:
            await asyncio.wait([self._work])
        self._drop()

    async def _run(self) -> None:
        try:
            # Callers that are answered in one turn of the loop come back in one.
            await asyncio.sleep(0)
            while batch := self._next_batch():
                await self._settle(batch)
        finally:
            self._work = None

    def _next_batch(self) -> _Batch | None:
        members: list[Finished] = []
        size = 0
        while self._waiting and len(members) < BATCH_MEMBERS and size < BATCH_BYTES:
            finished = self._waiting.popleft()
            if not finished.answer.done():
                members.append(finished)
                size += sum([len(change.body) for change in finished.changes.documents])
        return _Batch(members, self._clock.random_bytes(_BATCH_NAME_BYTES)) if members else None

    async def _settle(self, batch: _Batch) -> None:
        """Commit a batch and answer its members."""
        try:
            await self._commit_surely(batch)
        except psycopg.Error as error:
            self._history.forget(batch.name)
            if len(batch.members) > 1:
                # One of them cannot be written, and only that one is to hear of it.
                for member in batch.members:
                    await self._settle(_Batch([member], self._clock.random_bytes(_BATCH_NAME_BYTES)))
                return
            self._refuse(batch, error)
        except Exception as error:
            self._refuse(batch, error)
        else:
            for member, ts in batch.stamps:
                member.settle(ts)
            # Not before the others' commit is visible: their next snapshots are to show it.
            for member, reason in batch.refused:
                member.settle(reason)

    def _refuse(self, batch: _Batch, error: Exception) -> None:
        self._history.forget(batch.name)
        for member in batch.members:
            # One error each: a traceback grows on an error object wherever it is raised.
            if isinstance(error, psycopg.Error):
                refusal = self._server.failure(error)
            elif isinstance(error, StoreFailed):
                refusal = StoreFailed(error.code, error.message, hint=error.hint)
            else:
                refusal = error
            refusal.__cause__ = error
            member.settle(refusal)

    async def _commit_surely(self, batch: _Batch) -> None:
        """Commit a batch, on one connection after another if need be.

        Raises:
            StoreFailed: the server cannot be reached. Nothing of the batch was kept.
            psycopg.Error: the server says no. Nothing of the batch was kept.
        """
        until = self._server.until()
        while True:
            connection = await self._connect(batch)
            try:
                await self._commit(connection, batch)
                return
            except psycopg.Error as error:
                lost = is_lost(error, connection)
                self._drop()
                if not lost:
                    raise
                self._server.is_away(error)
                if not batch.sent and monotonic() > until:
                    raise self._server.failure(error) from error
            except StoreFailed as failed:
                self._drop()
                if not batch.sent:
                    raise
                if self._closing:
                    raise _unknown() from failed
                await asyncio.sleep(_PAUSE_SECONDS)
            except BaseException:
                self._drop()
                raise

    async def _connect(self, batch: _Batch) -> Connection:
        """The connection. A batch whose COMMIT was sent waits as long as it takes: nobody knows what became of it."""
        while self._connection is None:
            try:
                self._connection = await self._server.connect_patiently(WRITING)
            except StoreFailed as failed:
                if not batch.sent:
                    raise
                if self._closing:
                    raise _unknown() from failed
                self._give_up_waiting(failed)
        return self._connection

    def _give_up_waiting(self, failed: StoreFailed) -> None:
        while self._waiting and monotonic() - self._waiting[0].since > self._server.patience_seconds:
            self._waiting.popleft().settle(StoreFailed(failed.code, failed.message, hint=failed.hint))

    async def _commit(self, connection: Connection, batch: _Batch) -> None:
        await self._lock(connection)
        history = self._history
        if batch.sent:
            # We hold the lock that the lost transaction held, so that one has ended: its record is there now or never.
            if history.is_known(batch.name):
                await self._release(connection)
                return
            batch.sent = False
            if history.may_have_missed(batch.name):
                raise _unknown()
            history.forget(batch.name)
        record, writes, commits = self._certify(batch)
        if not record.members and not history.is_behind:
            await self._release(connection)
            return
        statements = writes.statements(record)
        history.expect(batch.name, commits)
        batch.sent = True
        async with connection.pipeline():
            for query, values in statements:
                await connection.execute(query, values, prepare=True)
            await connection.execute("COMMIT", prepare=False)
        self.wrote.set()
        if not history.is_known(batch.name):
            history.add(record)

    async def _release(self, connection: Connection) -> None:
        """End a transaction in which there is nothing to write; should that fail, the server does it."""
        try:
            await connection.execute("ROLLBACK", prepare=False)
        except psycopg.Error:
            self._drop()

    async def _lock(self, connection: Connection) -> None:
        """Begin the transaction, wait for our turn, and learn what was committed meanwhile."""
        since = self._history.ts
        try:
            cursor = await connection.execute(_LOCK.format(since).encode(), prepare=False)
        except psycopg.Error as error:
            if is_lost(error, connection):
                raise
            raise self._server.failure(error) from error  # for all members alike
        cursor.nextset()
        cursor.nextset()
        self._history.learn(rows_of(await cursor.fetchall()), since)

    def _certify(self, batch: _Batch) -> tuple[Record, Writes, list[Commit]]:
        """Divide the members into those that go into the transaction and those that have to run again."""
        history = self._history
        record = Record(history.ts, history.catalog_ts, history.next_seq, self._node, batch.name, [])
        record.ts = max(history.highest, self._clock.now_ns() - 1)
        writes = Writes(history.next_seq, SearchWrites(self._server.vector_schema))
        commits: list[Commit] = []
        batch.stamps, batch.refused = [], []
        for member in batch.members:
            if member.answer.done():
                continue  # the caller went away while we waited for our turn
            changes = member.changes
            if member.catalog_ts != record.catalog_ts or not history.covers(member.ts):
                batch.refused.append((member, Outdated()))
                continue
            touch = history.touch(changes.reads, member.ts) or record.touch(changes.reads)
            if touch is not None:
                batch.refused.append((member, touch))
                continue
            refusal = changes.verdict and changes.verdict(changes.documents, commits)
            if refusal is not None:
                batch.refused.append((member, refusal))
                continue
            record.add(record.ts + 1, changes.label, changes.catalog, changes.documents)
            writes.add(changes)
            batch.stamps.append((member, record.ts))
            if changes.documents:
                commits.append(Commit(record.ts, changes.documents, catalog=changes.catalog))
        if not record.members:
            record.ts += 1
        return record, writes, commits

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()


def _unknown() -> StoreFailed:
    return StoreFailed(
        "CommitUnknown",
        "the connection to the database was lost while a mutation was committed, and what became of it is unknown",
        hint="look at the data before you run it again",
    )
