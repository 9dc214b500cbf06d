"""SQLite with a disk that is slow, fails and forgets as the seed has it."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from pyconvex.store.persistence import Persistence
from pyconvex.store.sqlite.disk import Job, Report
from pyconvex.store.sqlite.file import SqliteFile
from pyconvex.store.sqlite.persistence import SqlitePersistence

from .loop import SeededClock, SeededLoop
from .world import Engine


class SeededDisk:
    """A commit happens at one moment and is reported at another; between the two, others run and processes die.

    Args:
        slow: the share of commits that take long.
        failures: the share of commits that fail.
    """

    def __init__(self, loop: SeededLoop, chance: Random, slow: float, failures: float) -> None:
        self._loop = loop
        self._chance = chance
        self._slow = slow
        self._failures = failures
        self.dead = False

    def run(self, job: Job, report: Report) -> None:
        self._loop.call_later(self._delay(), self._work, job, report)

    def close(self) -> None:
        pass

    def _work(self, job: Job, report: Report) -> None:
        if self.dead:
            return
        outcome: BaseException | None = None
        if self._chance.random() < self._failures:
            outcome = sqlite3.OperationalError("disk I/O error")
        else:
            try:
                job()
            except sqlite3.Error as error:
                outcome = error
        self._loop.call_later(self._delay(), report, outcome)

    def _delay(self) -> float:
        return self._chance.expovariate(200 if self._chance.random() < self._slow else 5000)


class SqliteEngine(Engine):
    """One file in one process.

    Args:
        weaken: what is put around the real persistence.
    """

    def __init__(
        self,
        path: Path,
        *,
        slow_disk: float = 0.5,
        failures: float = 0.03,
        weaken: Callable[[Persistence], Persistence] = lambda persistence: persistence,
    ) -> None:
        self._path = path
        self._slow_disk = slow_disk
        self._failures = failures
        self._weaken = weaken
        self._began = 0.0
        self._disk: SeededDisk | None = None
        self._connections: list[sqlite3.Connection] = []

    def processes(self, loop: SeededLoop, chance: Random) -> list[tuple[Persistence, SeededClock]]:
        clock = SeededClock(loop, chance, self._began)
        self._began += 1000.0
        self._disk = SeededDisk(loop, chance, self._slow_disk, self._failures)
        return [(self._weaken(SqlitePersistence(self._path, clock=clock, disk=self._disk)), clock)]

    def noted(self, connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
        """`SqliteFile.connect`, with what it opens noted, as a crash closes it."""

        def connected(file: SqliteFile, *, writing: bool = True) -> sqlite3.Connection:
            connection = connect(file, writing=writing)
            self._connections.append(connection)
            return connection

        return connected

    def died(self) -> None:
        assert self._disk is not None
        self._disk.dead = True
        while self._connections:
            connection = self._connections.pop()
            with suppress(sqlite3.ProgrammingError):  # closed already
                if connection.in_transaction:
                    # `close` alone would wait for cursors that still exist.
                    connection.execute("ROLLBACK")
                connection.close()
