"""Group commit: mutations run one after another, and one COMMIT makes all of them durable.

A batch is a transaction of the writing connection. Mutations run inline on the event loop and read through that
connection, so each sees those before it and none ever conflicts. The COMMIT waits for the disk in a thread; whoever
comes meanwhile makes up the next batch. Everybody is answered after the COMMIT, failed mutations too: they may have
read what a batch-mate wrote.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from pyconvex.clock import Clock

from .keys import Changes, Commit
from .persistence import Committed, Reader, StoreFailed, Work
from .sqlite_connection import SqliteWriter
from .sqlite_disk import Checkpoints, Disk
from .sqlite_file import failure

T = TypeVar("T")

BATCH_SECONDS = 0.004
"""Inline work after which a batch is closed: how long the loop is kept from everything else."""
_LOCK_RETRY_SECONDS = 0.01
_LOCK_PATIENCE_SECONDS = 5.0


class _Mutation(Generic[T]):
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
        if self.abandoned:
            return
        if isinstance(outcome, BaseException):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(cast("Committed[T]", outcome))


@dataclass(slots=True)
class _Batch:
    writer: SqliteWriter
    deadline: float
    members: list[_Mutation[Any]] = field(default_factory=list["_Mutation[Any]"])
    commits: list[Commit] = field(default_factory=list[Commit])
    wrote: bool = False


class Batches:
    """All mutations of one database go through here.

    Args:
        writer: the writing connection.
        open_writer: makes another one after a failure.
        checkpoints: None when SQLite does them itself.
        publish: told of each durable commit with changed documents.
    """

    def __init__(
        self,
        writer: SqliteWriter,
        open_writer: Callable[[], SqliteWriter],
        disk: Disk,
        checkpoints: Checkpoints | None,
        clock: Clock,
        publish: Callable[[Commit], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._open_writer = open_writer
        self._writer: SqliteWriter | None = writer
        self._disk = disk
        self._checkpoints = checkpoints
        self._clock = clock
        self._publish = publish
        self._last_ts = 0
        self._waiting: deque[_Mutation[Any]] = deque()
        self._batch: _Batch | None = None
        self._scheduled = False
        """A turn is due by itself: it is queued on the loop, a member is suspended, or the disk is working."""
        self._locked_since: float | None = None
        self._drained: asyncio.Future[None] | None = None
        self.running = False
        """A mutation's own code is running, so what the writing connection does now is reading."""

    async def transact(self, work: Work[T]) -> Committed[T]:
        if self._drained is not None:
            raise StoreFailed("StoreClosed", "the deployment is shutting down")
        mutation = _Mutation(work, self._loop.create_future())
        self._waiting.append(mutation)
        self._schedule()
        try:
            return await mutation.answer
        except asyncio.CancelledError:
            if mutation.task is not None:
                mutation.task.cancel()
            raise

    async def close(self) -> None:
        """Let all mutations end, then close the writing connection."""
        if self._drained is None:
            self._drained = self._loop.create_future()
            self._schedule()
        await self._drained
        if self._writer is not None:
            self._writer.connection.close()
            self._writer = None

    def _schedule(self) -> None:
        # On the loop's next turn rather than now: callers that are answered in one turn come back in one, too.
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Run waiting mutations until the batch is closed; then commit it."""
        self._scheduled = False
        if self._batch is None and not self._begin():
            return
        batch = self._batch
        assert batch is not None, "a batch has begun"
        while self._waiting and self._clock.monotonic() < batch.deadline:
            mutation = self._waiting.popleft()
            if not mutation.abandoned and not self._run(batch, mutation):
                return
            if self._batch is not batch:
                self._schedule()
                return
        self._commit(batch)

    def _begin(self) -> bool:
        """Open a batch; False when there is nobody to open it for, or it cannot be opened now."""
        if not self._waiting:
            if self._drained is not None and not self._drained.done():
                self._drained.set_result(None)
            return False
        try:
            if self._writer is None:
                self._writer = self._open_writer()
            self._writer.begin("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._postpone(error)
            return False
        self._locked_since = None
        self._last_ts = max(self._last_ts, self._writer.ts)
        self._batch = _Batch(self._writer, self._clock.monotonic() + BATCH_SECONDS)
        return True

    def _postpone(self, error: sqlite3.Error) -> None:
        """Another program holds the write lock: try again soon, though not for ever. Other errors refuse everybody."""
        since = self._locked_since = self._locked_since or self._clock.monotonic()
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        if busy and self._clock.monotonic() - since < _LOCK_PATIENCE_SECONDS:
            self._scheduled = True
            self._loop.call_later(_LOCK_RETRY_SECONDS, self._turn)
            return
        self._locked_since = None
        self._drop_writer()
        refused, self._waiting = self._waiting, deque()
        _refuse(refused, error)
        self._schedule()

    def _run(self, batch: _Batch, mutation: _Mutation[Any]) -> bool:
        """Run one mutation; False when it waits for something and will end the turn by itself."""
        self.running = True
        try:
            steps = mutation.work(cast(Reader, batch.writer))
            pending = mutation.context.run(steps.send, None)
        except StopIteration as stop:
            self._ended(batch, mutation, stop.value)
        except BaseException as error:
            self._failed(batch, mutation, error)
        else:
            self._scheduled = True
            rest = _finish(steps, pending)
            mutation.task = self._loop.create_task(rest, context=mutation.context)
            mutation.task.add_done_callback(lambda task: self._resumed(batch, mutation, task))
            return False
        return True

    def _resumed(self, batch: _Batch, mutation: _Mutation[Any], task: "asyncio.Task[Any]") -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._failed(batch, mutation, error)
        elif mutation.abandoned:
            self.running = False
        else:
            self._ended(batch, mutation, task.result())
        self._turn()

    def _failed(self, batch: _Batch, mutation: _Mutation[Any], error: BaseException) -> None:
        self.running = False
        mutation.outcome = error
        batch.members.append(mutation)
        self._survives(batch)

    def _ended(self, batch: _Batch, mutation: _Mutation[Any], result: tuple[object, Changes]) -> None:
        self.running = False
        value, changes = result
        batch.members.append(mutation)
        if not self._survives(batch):
            return
        if changes.empty:
            mutation.outcome = Committed(value, batch.writer.ts)
            return
        ts = max(self._clock.now_ns(), self._last_ts + 1)
        try:
            batch.writer.apply(changes, ts)
        except Exception as error:
            self._give_up(batch, mutation, error)
            return
        self._last_ts = ts
        batch.wrote = True
        if changes.documents:
            batch.commits.append(Commit(ts, changes.documents))
        mutation.outcome = Committed(value, ts)

    def _survives(self, batch: _Batch, error: BaseException | None = None) -> bool:
        """Whether SQLite still holds the batch: a full disk or a failed read makes it throw everything away."""
        if batch.writer.connection.in_transaction:
            return True
        self._lose(batch, error or StoreFailed("StorageFailed", "the database gave up what was being written"))
        return False

    def _give_up(self, batch: _Batch, guilty: _Mutation[Any], error: Exception) -> None:
        """One mutation could not be written, so the batch is undone: the others run again, in their order."""
        self._batch = None
        self._drop_writer()
        batch.members.remove(guilty)
        self._waiting.extendleft(reversed(batch.members))
        guilty.settle(_translated(error))

    def _commit(self, batch: _Batch) -> None:
        try:
            if not batch.wrote:
                batch.writer.end()
                self._answer(batch)
                return
            batch.writer.store_clock()
        except sqlite3.Error as error:
            self._lose(batch, error)
            self._schedule()
            return
        self._scheduled = True
        self._disk.run(batch.writer.commit, lambda error: self._committed(batch, error))

    def _committed(self, batch: _Batch, error: BaseException | None) -> None:
        self._scheduled = False
        if error is not None:
            self._lose(batch, error)
            self._schedule()
            return
        for commit in batch.commits:
            self._publish(commit)
        if self._checkpoints is not None:
            self._checkpoints.wrote()
            if self._checkpoints.log_moved:
                self._empty_log(batch.writer, self._checkpoints)
        self._answer(batch)

    def _answer(self, batch: _Batch) -> None:
        self._batch = None
        for mutation in batch.members:
            mutation.settle(mutation.outcome)
        self._schedule()

    def _empty_log(self, writer: SqliteWriter, checkpoints: Checkpoints) -> None:
        """Let the log start over before the next batch; an open snapshot prevents it, then the next batch tries."""
        self._scheduled = True

        def empty() -> None:
            # RESTART rather than TRUNCATE: overwriting the file's blocks costs a third of giving them back and taking
            # new ones. `journal_size_limit` bounds what stays.
            busy, _, _ = writer.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            checkpoints.log_moved = bool(busy)

        def emptied(_error: BaseException | None) -> None:
            # An error is no loss: the log is only longer than it need be.
            self._scheduled = False
            self._schedule()

        self._disk.run(empty, emptied)

    def _lose(self, batch: _Batch, error: BaseException) -> None:
        """SQLite has given up the batch, or the disk its COMMIT: nothing of it is kept and every member hears why."""
        self._batch = None
        self._drop_writer()
        _refuse(batch.members, error)

    def _drop_writer(self) -> None:
        """Close the writing connection: after a failure it may believe in pages that never reached the disk."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            if writer.connection.in_transaction:
                writer.end()
            writer.connection.close()
        except sqlite3.Error:
            pass


def _refuse(mutations: Sequence[_Mutation[Any]] | deque[_Mutation[Any]], error: BaseException) -> None:
    for mutation in mutations:
        # One error each: a traceback grows on an error object wherever it is raised.
        mutation.settle(_translated(error))


def _translated(error: BaseException) -> BaseException:
    if isinstance(error, sqlite3.Error):
        translated = failure(error)
    elif isinstance(error, StoreFailed):
        translated = StoreFailed(error.code, error.message, hint=error.hint)
    else:
        return error
    translated.__cause__ = error
    return translated


class _Rest(Generic[T]):
    """The rest of a coroutine that was driven by hand to its first suspension."""

    def __init__(self, steps: Coroutine[Any, Any, T], pending: object) -> None:
        self._steps = steps
        self._pending = pending

    def __await__(self) -> Generator[Any, Any, T]:
        pending = self._pending
        try:
            while True:
                try:
                    sent = yield pending
                except BaseException as error:
                    pending = self._steps.throw(error)
                else:
                    pending = self._steps.send(sent)
        except StopIteration as stop:
            return stop.value


async def _finish(steps: Coroutine[Any, Any, T], pending: object) -> T:
    return await _Rest(steps, pending)
