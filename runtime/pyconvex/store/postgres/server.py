"""Connections to one PostgreSQL database: how they are made, and a small pool of them for reading.

The pool is ours because little of a general one fits: a connection comes back with its snapshot still open and is ended
in the background, so that nobody waits for that; all idle ones are dropped as soon as one proves dead; and a server
that takes no more connections makes callers wait for each other instead of failing.
"""

import asyncio
import logging
from collections import deque
from time import monotonic
from typing import Any, Final, LiteralString, TypeAlias

import psycopg
from psycopg.types.string import ByteaBinaryLoader

from pyconvex.store.persistence import StoreFailed

from .arrays import register_arrays
from .errors import failure, is_lost, parameters, shown

Connection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]

READERS_MAX: Final = 24
"""Snapshots open at once; whoever wants another one waits. Three nodes fit into PostgreSQL's 100 connections."""
_RETRY_SECONDS: Final = (0.02, 0.05, 0.1, 0.2, 0.5)

_SETTINGS: Final = (
    # Every statement finds its few rows through an index, whatever statistics say of tables that were empty just now.
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; "
    "SET max_parallel_workers_per_gather = 0; SET plan_cache_mode = force_generic_plan; SET jit = off; "
)
READING: Final = (
    _SETTINGS + "SET idle_in_transaction_session_timeout = '60s'; SET statement_timeout = '30s'; "
    "SET synchronous_commit = off"
)
WRITING: Final = (
    # A node that hangs in the middle of a commit gives up the lock for it; and acknowledged means durable.
    _SETTINGS + "SET idle_in_transaction_session_timeout = '10s'; SET statement_timeout = '30s'; "
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
_DEFAULTS: Final = {
    "application_name": "pyconvex",
    "connect_timeout": "5",
    # Of several hosts the one that is no standby; and never one that may lag behind what clients have seen.
    "target_session_attrs": "read-write",
    # A server that vanished without a word is noticed within half a minute.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

_log = logging.getLogger("pyconvex.store")


class Server:
    """Where the database is.

    Args:
        url: as libpq takes it; several hosts and `target_session_attrs` are its affair.

    Raises:
        StartFailed: the URL cannot be read.
    """

    patience_seconds = 10.0
    """How long a call waits for a server that cannot be reached, or for a free connection, before it fails."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._parameters: dict[str, Any] = {**_DEFAULTS, **parameters(url), "client_encoding": "UTF8"}
        self._away_since: float | None = None
        self._said = ""
        self.vector_schema: str | None = None
        """Where pgvector is; None when it is not used."""

    def __str__(self) -> str:
        return shown(self.url)

    async def connect(self, settings: LiteralString = READING) -> Connection:
        """A new connection, which commits each statement by itself.

        Raises:
            psycopg.Error: the server is not there, or says no.
        """
        connection: Connection = await psycopg.AsyncConnection.connect(
            **self._parameters, autocommit=True, prepare_threshold=None
        )
        try:
            # Bodies are JSON in UTF-8 on both sides: they are never decoded here.
            connection.adapters.register_loader("text", ByteaBinaryLoader)
            register_arrays(connection)
            await connection.execute(settings, prepare=False)
        except BaseException:
            await connection.close()
            raise
        self.is_back()
        return connection

    async def connect_patiently(self, settings: LiteralString = READING, *, until: float | None = None) -> Connection:
        """As `connect`; a server that cannot be reached is tried again `until` then (by `monotonic`).

        Raises:
            StoreFailed: that did not help.
        """
        until = self.until() if until is None else until
        for attempt in range(10**9):
            try:
                return await self.connect(settings)
            except psycopg.Error as error:
                self.is_away(error)
                if not is_lost(error) or monotonic() > until:
                    raise self.failure(error) from error
            await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
        raise AssertionError("unreachable")

    def until(self) -> float:
        """The end of the patience of a call that begins now (by `monotonic`)."""
        return monotonic() + self.patience_seconds

    def failure(self, error: psycopg.Error) -> StoreFailed:
        return failure(error, self.url)

    def is_away(self, error: psycopg.Error) -> None:
        """A connection was lost or could not be made; said once for each time the server goes away, and each reason."""
        message = self.failure(error).message
        reason = message.partition(":")[0]
        if self._away_since is None or reason != self._said:
            self._away_since, self._said = self._away_since or monotonic(), reason
            _log.warning("%s: %s; trying again until it is back", self, message)

    def is_back(self) -> None:
        if self._away_since is not None:
            _log.warning("%s: connected again after %.1f s", self, monotonic() - self._away_since)
            self._away_since, self._said = None, ""


class Pool:
    """Connections for snapshots."""

    def __init__(self, server: Server, size: int = READERS_MAX) -> None:
        self.server = server
        self._size = size
        self._idle: list[Connection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    async def take(self, until: float | None = None) -> Connection:
        """A connection outside of any transaction. It may have died while it was idle.

        Raises:
            StoreFailed: none could be had in time.
        """
        until = self.server.until() if until is None else until
        while True:
            if self._idle:
                return self._idle.pop()
            if self._open < self._size:
                return await self._new(until)
            connection = await self._served(until)
            if connection is not None:
                return connection

    def give_back(self, connection: Connection, *, ended: bool = False) -> None:
        """Take a connection back; unless its transaction has `ended`, that is done in the background."""
        if ended and not self._closed:
            self._offer(connection)
        else:
            task = asyncio.get_running_loop().create_task(self._end(connection))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def drop(self, connection: Connection) -> None:
        """Close a connection that is of no use any more."""
        connection.pgconn.finish()
        self._open -= 1
        self._serve(None)

    def drop_idle(self) -> None:
        """One connection was dead, so the others that wait probably are as well."""
        while self._idle:
            self.drop(self._idle.pop())

    async def close(self) -> None:
        self._closed = True
        self.drop_idle()
        if self._ending:
            await asyncio.wait(self._ending)

    async def _new(self, until: float) -> Connection:
        self._open += 1
        try:
            return await self.server.connect_patiently(until=until)
        except BaseException:
            self._open -= 1
            self._serve(None)
            raise

    async def _end(self, connection: Connection) -> None:
        try:
            await connection.execute("ROLLBACK", prepare=False)
        except psycopg.Error:
            self.drop(connection)
        else:
            self._offer(connection)

    def _offer(self, connection: Connection) -> None:
        if self._closed:
            self.drop(connection)
        elif not self._serve(connection):
            self._idle.append(connection)

    async def _served(self, until: float) -> Connection | None:
        """Wait for a connection that comes back, or (None) for the room for a new one."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(max(0.0, until - monotonic())):
                return await waiter
        except BaseException as error:
            if not waiter.done():
                self._waiting.remove(waiter)
            elif not waiter.cancelled():
                self._pass_on(waiter.result())
            if isinstance(error, TimeoutError):
                message = f"all {self._size} connections to the database are in use"
                raise StoreFailed("DatabaseBusy", message, hint="try again") from None
            raise

    def _pass_on(self, connection: Connection | None) -> None:
        """Somebody was served in the moment in which he stopped waiting."""
        if connection is None:
            self._serve(None)
        else:
            self._offer(connection)

    def _serve(self, connection: Connection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False
