"""Group commit: mutations run one after another, and one COMMIT makes all of them durable.

A batch is a transaction of the writing connection. Mutations run inline on the event loop and read through that
connection, so each sees those before it and none ever conflicts. A thread waits for the disk in COMMIT; whoever comes
meanwhile is run ahead in the next batch, as long as he only writes. Everybody is answered after the COMMIT, failed
mutations too: they may have read what a batch-mate wrote.
"""

import asyncio
import sqlite3
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Generic, TypeVar

from pyconvex.clock import Clock
from pyconvex.store.keys import Changes, Commit, ReadSet
from pyconvex.store.persistence import Committed, StoreFailed, Work

from .batch import Batch, Mutation
from .connection import SqliteWriter
from .disk import Checkpoints, Disk
from .file import failure

T = TypeVar("T")

BATCH_SECONDS = 0.002
"""Inline work after which a batch is closed. The loop is kept from everything else for about as long, and the next
mutations run while the disk works: with all callers in one batch it would work alone."""
_LOCK_RETRY_SECONDS = 0.01
_LOCK_PATIENCE_SECONDS = 5.0


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
        self._disk_busy = False
        """The writing connection is in the hands of the disk's thread."""
        self._checkpoints = checkpoints
        self._clock = clock
        self._publish = publish
        self._last_ts = 0
        self._stamps = (0, 0)
        """`ts` and `catalog_ts` of the last batch that went to the disk."""
        self._saving: Sequence[Commit] = ()
        """What the batch on the disk commits."""
        self._published = 0
        """All commits up to this timestamp were published; more may be visible only while the disk is busy."""
        self._hearing: list[asyncio.Future[None]] = []
        """Who waits for that of the batch that is on the disk."""
        self._waiting: deque[Mutation[Any]] = deque()
        self._batch: Batch | None = None
        self._one_by_one = 0
        """How many mutations are to be written as soon as they end: one of them cannot be, and who is to be told."""
        self._scheduled = False
        self._locked_since: float | None = None
        self._drained: asyncio.Future[None] | None = None
        self.running = False
        """A mutation's own code is running, so what the writing connection does now is reading."""

    async def transact(self, work: Work[T]) -> Committed[T]:
        if self._drained is not None:
            raise StoreFailed("StoreClosed", "the deployment is shutting down")
        mutation = Mutation(work, self._loop.create_future())
        self._waiting.append(mutation)
        if not self._scheduled:
            self._schedule()
        try:
            return await mutation.answer
        except asyncio.CancelledError:
            if mutation.task is not None:
                mutation.task.cancel()
            raise

    async def hear(self, ts: int) -> None:
        """Wait until the commits up to `ts` are published; the batch on the disk is visible a moment before."""
        while self._disk_busy and ts > self._published:
            heard: asyncio.Future[None] = self._loop.create_future()
            self._hearing.append(heard)
            await heard

    async def lift(self, ts: int) -> None:
        """Commit nothing at `ts`, or later."""
        self._last_ts = max(self._last_ts, ts - 1)
        await self.transact(_step)

    async def close(self) -> None:
        """Let all mutations end, then close the writing connection."""
        if self._drained is None:
            self._drained = self._loop.create_future()
            self._schedule()
        await asyncio.shield(self._drained)  # whoever gives up waiting ends nothing for the others
        if self._writer is not None:
            self._writer.connection.close()
            self._writer = None

    # --- collecting

    def _schedule(self) -> None:
        # On the loop's next turn rather than now: callers that are answered in one turn come back in one, too.
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Run waiting mutations until the batch is closed; then commit it."""
        self._scheduled = False
        batch = self._batch or self._new_batch()
        if batch is None or (self._disk_busy and self._one_by_one):
            return
        if batch.writer is None and not self._disk_busy and not self._begin(batch):
            return
        if batch.suspended:
            return
        self._run_waiting(batch)
        if self._batch is not batch:
            self._schedule()
        elif not batch.suspended and not self._disk_busy:
            self._commit(batch)

    def _new_batch(self) -> Batch | None:
        if self._waiting:
            self._batch = Batch(self._loop, *self._stamps)
        elif self._drained is not None and not self._drained.done() and not self._disk_busy:
            self._drained.set_result(None)
        return self._batch

    def _begin(self, batch: Batch) -> bool:
        """Begin the batch's transaction; False when that cannot be done now."""
        if batch.broken is not None:
            return False
        try:
            if self._writer is None:
                self._writer = self._open_writer()
            self._writer.begin("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._postpone(batch, error)
            return False
        self._locked_since = None
        self._published = self._writer.ts
        self._last_ts = max(self._last_ts, self._writer.ts)
        batch.opened(self._writer)
        return True

    def _postpone(self, batch: Batch, error: sqlite3.Error) -> None:
        """Another program holds the write lock: try again soon, though not for ever. Other errors refuse everybody."""
        since = self._locked_since = self._locked_since or self._clock.monotonic()
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        if busy and self._clock.monotonic() - since < _LOCK_PATIENCE_SECONDS:
            self._scheduled = True
            self._loop.call_later(_LOCK_RETRY_SECONDS, self._turn)
            return
        self._locked_since = None
        refused, self._waiting = [*batch.members, *self._waiting], deque()
        batch.members.clear()
        self._undo(batch, error)
        _refuse(refused, error)

    def _run_waiting(self, batch: Batch) -> None:
        monotonic = self._clock.monotonic
        begun = monotonic()
        until = begun + BATCH_SECONDS - batch.seconds
        # Functions have no use for the hooks, but each would have to change them twice, which is not cheap.
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            while self._waiting and monotonic() < until:
                mutation = self._waiting.popleft()
                if mutation.abandoned:
                    continue
                self._run(batch, mutation)
                if batch.suspended or self._batch is not batch:
                    break
        finally:
            sys.set_asyncgen_hooks(*hooks)
        batch.seconds += monotonic() - begun

    def _run(self, batch: Batch, mutation: Mutation[Any]) -> None:
        self.running = True
        try:
            steps = mutation.work(batch)
            pending = mutation.context.run(steps.send, None)
        except StopIteration as stop:
            self._ended(batch, mutation, stop.value)
        except BaseException as error:
            self._failed(batch, mutation, error)
        else:
            batch.suspended = True
            mutation.task = self._loop.create_task(_finish(steps, pending), context=mutation.context)
            mutation.task.add_done_callback(partial(self._resumed, batch, mutation))

    def _resumed(self, batch: Batch, mutation: Mutation[Any], task: "asyncio.Task[Any]") -> None:
        batch.suspended = False
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            self._failed(batch, mutation, error)
        elif mutation.abandoned:
            self.running = False
            self._survives(batch)
        else:
            self._ended(batch, mutation, task.result())
        self._turn()

    def _failed(self, batch: Batch, mutation: Mutation[Any], error: BaseException) -> None:
        self.running = False
        mutation.outcome = error
        batch.members.append(mutation)
        self._survives(batch)

    def _ended(self, batch: Batch, mutation: Mutation[Any], result: tuple[object, Changes]) -> None:
        self.running = False
        value, changes = result
        batch.members.append(mutation)
        if not self._survives(batch):
            return
        if changes.empty:
            mutation.outcome = Committed(value, batch.ts)
            return
        refusal = changes.verdict and changes.verdict(changes.documents, chain(self._saving, batch.commits))
        if refusal is not None:
            mutation.outcome = refusal
            return
        self._last_ts = ts = max(self._clock.now_ns(), self._last_ts + 1)
        batch.add(changes, ts)
        mutation.outcome = Committed(value, ts)
        if self._one_by_one:
            self._one_by_one -= 1
            try:
                batch.write()
            except Exception as error:
                batch.members.remove(mutation)
                self._undo(batch, error)
                mutation.settle(_translated(error))

    def _survives(self, batch: Batch) -> bool:
        """Whether SQLite still holds the batch: a full disk or a failed read makes it throw everything away."""
        if batch.broken is not None:
            self._undo(batch, batch.broken)
            return False
        if batch.writer is None or batch.writer.connection.in_transaction:
            return True
        self._lose(batch, StoreFailed("StorageFailed", "the database gave up what was being written"))
        return False

    # --- committing

    def _commit(self, batch: Batch) -> None:
        writer = batch.writer
        assert writer is not None, "the batch has begun"
        try:
            # Here, though the thread waits for the disk anyway: for each statement it would have to come by the
            # interpreter's lock, which takes longer than the statement.
            if not batch.is_bulk:
                batch.write()
        except Exception as error:
            self._undo(batch, error)
            self._schedule()
            return
        try:
            if not (batch.wrote or batch.held):
                writer.end()
                self._batch = None
                self._answer(batch)
                return
            writer.store_clock(batch.ts, batch.catalog_ts)
        except sqlite3.Error as error:
            self._lose(batch, error)
            self._schedule()
            return
        self._batch = None
        self._stamps = batch.ts, batch.catalog_ts
        self._disk_busy = True
        self._saving = batch.commits
        self._disk.run(batch.save, partial(self._committed, batch, writer))
        if self._waiting:
            self._schedule()

    def _committed(self, batch: Batch, writer: SqliteWriter, error: BaseException | None) -> None:
        self._disk_busy = False
        self._saving = ()
        self._wake_hearing()
        if error is not None:
            self._not_committed(batch, error)
            return
        for commit in batch.commits:
            self._publish(commit)
        if self._checkpoints is not None:
            self._checkpoints.wrote()
            if self._checkpoints.log_moved:
                self._empty_log(writer, self._checkpoints)
        self._answer(batch)

    def _wake_hearing(self) -> None:
        hearing, self._hearing = self._hearing, []
        for heard in hearing:
            if not heard.done():
                heard.set_result(None)  # they go on behind this turn, in which the batch is published

    def _answer(self, batch: Batch) -> None:
        for mutation in batch.members:
            mutation.settle(mutation.outcome)
        if self._batch is not None and not self._disk_busy:
            self._turn()  # now, so that the disk works while those who were answered come back
        else:
            self._schedule()

    def _empty_log(self, writer: SqliteWriter, checkpoints: Checkpoints) -> None:
        """Let the log start over before the next batch; an open snapshot prevents it, then the next batch tries."""
        self._disk_busy = True

        def empty() -> None:
            # RESTART rather than TRUNCATE: overwriting the file's blocks costs a third of giving them back and taking
            # new ones. `journal_size_limit` bounds what stays.
            busy, _, _ = writer.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            checkpoints.log_moved = bool(busy)

        def emptied(_error: BaseException | None) -> None:
            # An error is no loss: the log is only longer than it need be.
            self._disk_busy = False
            self._turn()

        self._disk.run(empty, emptied)

    # --- failing

    def _not_committed(self, batch: Batch, error: BaseException) -> None:
        if self._batch is not None:
            self._undo(self._batch, StoreFailed("StorageFailed", "the batch before could not be committed"))
        if batch.broken is None:
            self._lose(batch, error)
        else:
            self._undo(batch, batch.broken)
        self._schedule()

    def _undo(self, batch: Batch, error: Exception) -> None:
        """Something of the batch could not be written: its members run again, in their order and each for itself."""
        batch.spoil(error)
        if batch.suspended:
            return  # the end of that mutation comes back here
        if self._batch is batch:
            self._batch = None
        self._drop_writer()
        self._waiting.extendleft(reversed(batch.members))
        self._one_by_one = len(batch.members)

    def _lose(self, batch: Batch, error: BaseException) -> None:
        """SQLite has given up the batch, or the disk its COMMIT: nothing of it is kept and every member hears why."""
        if self._batch is batch:
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


async def _step(_view: object) -> tuple[None, Changes]:
    return None, Changes(ReadSet(), step=True)


def _refuse(mutations: Sequence[Mutation[Any]], error: BaseException) -> None:
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
