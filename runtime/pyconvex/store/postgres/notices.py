"""What the processes on one database tell each other: that there are new commits, and that they are alive.

One connection listens, and holds the lock that says its process is alive. It reads the commit records when it hears
something, and every now and then: notices may get lost, records do not.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Final

import psycopg

from pyconvex.store.persistence import StoreFailed

from .commits import NEWER_THAN, History, rows_of
from .committer import Committer
from .errors import is_lost
from .layout import LOCK_CLASS
from .server import Connection, Pool

POLL_SECONDS: Final = 1.0
TELL_SECONDS: Final = 0.005
"""The others are told of commits once in this time: NOTIFY takes a lock that all processes share."""
KEEP_SECONDS: Final = 60.0
"""Commit records are kept for this long, so that every process has seen them and can look up its own."""
TRIM_SECONDS: Final = 10.0
MISSED_SECONDS: Final = 5.0
"""A process whose lock is free for less than this may only have lost its connection."""

_PAUSE_SECONDS: Final = 0.1
_CHANNEL: Final = "pyconvex_commits"
_TELL = f"NOTIFY {_CHANNEL}, '{{0}}'"
_LIVING: Final = f"""SELECT objid::integer FROM pg_locks WHERE locktype = 'advisory' AND granted
AND classid::bigint = {LOCK_CLASS} AND objid::bigint BETWEEN 1 AND 2147483647 AND objsubid = 2
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


class Notices:
    """Listening and telling, for one process.

    Args:
        node: its number, whose lock it holds.
    """

    def __init__(self, pool: Pool, history: History, committer: Committer, node: int) -> None:
        self._pool = pool
        self._history = history
        self._committer = committer
        self._node = node
        self._seen: dict[int, float] = {}
        """The living nodes, with when their locks were seen last."""
        self._tasks: list[asyncio.Task[None]] = []
        self._lifting: asyncio.Task[None] | None = None
        self._trimming = _Trimming()

    async def open(self) -> None:
        """Begin to listen; from then on this process counts as alive.

        Raises:
            StoreFailed: the server cannot be reached.
        """
        connection = await self._connect()
        create = asyncio.get_running_loop().create_task
        self._tasks = [create(self._listen(connection), name="commit notices"), create(self._tell())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def living(self) -> frozenset[int]:
        """The processes that are alive."""
        await self._ask(self._look)
        return frozenset((self._node, *self._seen))

    async def hear(self) -> None:
        """Learn of all commits there are, without waiting for a notice."""
        await self._ask(self._catch_up)

    async def _ask(self, question: Callable[[Connection], Awaitable[None]]) -> None:
        connection = await self._pool.take()
        try:
            await question(connection)
        except psycopg.Error as error:
            self._pool.drop(connection)
            raise self._pool.server.failure(error) from error
        except BaseException:
            self._pool.drop(connection)
            raise
        self._pool.give_back(connection, ended=True)

    async def _look(self, connection: Connection) -> None:
        now = monotonic()
        for (node,) in await (await connection.execute(_LIVING.encode())).fetchall():
            self._seen[node] = now
        self._seen = {node: seen for node, seen in self._seen.items() if now - seen <= MISSED_SECONDS}

    async def _connect(self) -> Connection:
        server = self._pool.server
        while True:
            connection = await server.connect_patiently()
            try:
                await connection.execute(f"LISTEN {_CHANNEL}".encode())
                await connection.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_CLASS, self._node))
            except psycopg.Error as error:
                lost = is_lost(error, connection)
                connection.pgconn.finish()
                if not lost:
                    raise server.failure(error) from error
            except BaseException:
                connection.pgconn.finish()
                raise
            else:
                return connection

    async def _listen(self, connection: Connection | None) -> None:
        """Follow the commits for as long as the process lives, on one connection after another."""
        try:
            while True:
                try:
                    if connection is None:
                        connection = await self._connect()
                        self._trimming = _Trimming()
                    await self._follow(connection)
                except (psycopg.Error, StoreFailed) as error:
                    if isinstance(error, psycopg.Error):
                        self._pool.server.is_away(error)
                    if connection is not None:
                        connection.pgconn.finish()
                        connection = None
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            if connection is not None:
                connection.pgconn.finish()

    async def _follow(self, connection: Connection) -> None:
        mine = str(self._node)
        polled = 0.0
        while True:
            await self._catch_up(connection)
            if monotonic() - polled > POLL_SECONDS:
                polled = monotonic()
                await self._look(connection)
                await self._trimming.step(connection, self._history.ts)
            async for notice in connection.notifies(timeout=POLL_SECONDS):
                if notice.payload != mine:
                    break

    async def _catch_up(self, connection: Connection) -> None:
        since = self._history.ts
        cursor = await connection.execute(NEWER_THAN.format(since).encode(), prepare=False)
        complete = self._history.learn(rows_of(await cursor.fetchall()), since)
        if not complete and self._history.is_behind:
            self._lifting = asyncio.get_running_loop().create_task(self._lift())

    async def _lift(self) -> None:
        with suppress(StoreFailed):
            await self._committer.lift()

    async def _tell(self) -> None:
        """Tell the others of our commits, outside of these and not too often."""
        while True:
            await self._committer.wrote.wait()
            self._committer.wrote.clear()
            # Without a notice the others find the commits when they look by themselves.
            with suppress(StoreFailed):
                connection = await self._pool.take()
                try:
                    await connection.execute(_TELL.format(self._node).encode(), prepare=False)
                except psycopg.Error:
                    self._pool.drop(connection)
                except BaseException:
                    self._pool.drop(connection)
                    raise
                else:
                    self._pool.give_back(connection, ended=True)
            await asyncio.sleep(TELL_SECONDS)


class _Trimming:
    """Removes old commit records.

    What is old is decided by what this process saw committed KEEP_SECONDS ago, without having lost its connection
    since: after the server was away, everybody has that long to find out what became of his last commit.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []
        self._trimmed = -1
        self._due = monotonic() + TRIM_SECONDS

    async def step(self, connection: Connection, newest: int) -> None:
        """Called about once a second, with the newest timestamp."""
        now = monotonic()
        self._seen.append((now, newest))
        old = [ts for when, ts in self._seen if now - when > KEEP_SECONDS]
        if not old or now < self._due:
            return
        self._due = now + TRIM_SECONDS
        self._seen = [(when, ts) for when, ts in self._seen if ts >= old[-1]]
        if old[-1] > self._trimmed:
            # From where the last time ended: entries removed just now are still in the index. The newest record stays.
            query = "DELETE FROM pyconvex.commits WHERE ts > %s AND ts < %s"
            await connection.execute(query, (self._trimmed, old[-1]))
            self._trimmed = old[-1] - 1
