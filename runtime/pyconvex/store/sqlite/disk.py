"""The threads that wait for the disk, so that the event loop never does: one commits, one moves the log."""

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, Protocol, TypeAlias

from .file import SqliteFile

SWITCH_SECONDS: Final = 0.00005
"""How long a thread may keep the interpreter's lock from others while it computes. A commit has to get it twice, and
Python's own 5 ms are longer than most commits take."""

Job: TypeAlias = Callable[[], object]
Report: TypeAlias = Callable[[BaseException | None], object]


class Disk(Protocol):
    """Runs what waits for the disk, one job after another, and reports back on the event loop."""

    def run(self, job: Job, report: Report) -> None: ...

    def close(self) -> None: ...


class CommitThread:
    """One long-lived thread: handing over costs less than with an executor, and connections never meet two of them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # When a job ends, its thread has to wait for the interpreter's lock, and everybody behind the job with it.
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
        self._jobs: SimpleQueue[tuple[Job, Report] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="pyconvex-commit", daemon=True)
        self._thread.start()

    def run(self, job: Job, report: Report) -> None:
        self._jobs.put((job, report))

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (task := self._jobs.get()) is not None:
            job, report = task
            outcome = _outcome(job)
            with suppress(RuntimeError):  # The loop was closed without closing the store: nobody waits any more.
                self._loop.call_soon_threadsafe(report, outcome)


class InlineDisk:
    """For databases that are not synced: nothing waits, so no thread is worth its hop."""

    def run(self, job: Job, report: Report) -> None:
        report(_outcome(job))

    def close(self) -> None:
        pass


class Checkpoints:
    """Moves committed pages from the log into the database, from a thread and a connection of its own.

    It asks for PASSIVE checkpoints only: the other kinds hold the write lock while they wait for readers. Under steady
    writes those alone never let the log start over, so `log_moved` tells the writer when it should empty the log
    itself, between two batches.
    """

    PERIOD_SECONDS = 0.2
    LOG_PAGES_MAX = 1_000

    def __init__(self, file: SqliteFile) -> None:
        self.log_moved = False
        self._file = file
        self._written = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pyconvex-checkpoint", daemon=True)
        self._thread.start()

    def wrote(self) -> None:
        """There is something to move."""
        self._written.set()

    def close(self) -> None:
        self._closing.set()
        self._written.set()
        self._thread.join()

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        while not self._closing.wait(self.PERIOD_SECONDS) and self._written.wait() and not self._closing.is_set():
            self._written.clear()
            try:
                connection = connection or self._file.connect()
                busy, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except sqlite3.Error:
                # A full or failing disk: commits report it, and the log still holds everything. Try again later.
                self._written.set()
                continue
            if not busy and pages == moved and pages > self.LOG_PAGES_MAX:
                self.log_moved = True
        if connection is not None:
            connection.close()


def _outcome(job: Job) -> BaseException | None:
    try:
        job()
    except BaseException as error:
        return error
    return None
