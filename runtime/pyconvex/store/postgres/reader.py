"""Reading documents on one snapshot of a PostgreSQL database."""

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from itertools import product
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from psycopg.types.numeric import Int8

from pyconvex.store.keys import KeyRange
from pyconvex.store.persistence import Conflict, Row, StoreFailed
from pyconvex.store.postgres import search as postgres_search
from pyconvex.store.search.selection import Candidates, SearchQuery
from pyconvex.store.search.vectors import Similar, VectorQuery

from .arrays import blobs
from .errors import is_lost
from .layout import KEY_BYTES
from .server import Connection, Pool

T = TypeVar("T")

_BEGIN: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; "
    "SELECT ts, catalog_ts FROM pyconvex.commits ORDER BY ts DESC LIMIT 1"
)
_JOINED: Final = "FROM pyconvex.entries e JOIN pyconvex.documents d ON d.seq = e.seq"
_GET: Final = f"SELECT d.size, d.body {_JOINED} WHERE e.idx = %b AND e.key = %b AND e.hash = %b".encode()
_AT: Final = b"""SELECT e.key || e.rest, d.size, d.body FROM unnest(%b::bytea[], %b::bytea[]) AS u (key, hash)
JOIN pyconvex.entries e ON e.idx = %b AND e.key = u.key AND e.hash = u.hash
JOIN pyconvex.documents d ON d.seq = e.seq"""


def long_range(bounded: bool) -> str:
    """The condition for a range of whole keys, however long; `long_bounds` gives its parameters."""
    start = "WHERE e.idx = %b AND e.key >= %b AND (e.key, e.rest) >= (%b, %b)"
    return f"{start} AND e.key <= %b AND (e.key, e.rest) < (%b, %b)" if bounded else start


def _scan(bounded: bool, reverse: bool, counted: bool, long: bool) -> bytes:
    """The statement for one kind of scan.

    `counted` ones stop behind `bytes_max`. Keys beyond KEY_BYTES are sorted by `long` ones only: most scans meet none,
    and the index alone gives them their order.
    """
    key, order = "e.key", " ORDER BY e.key DESC" if reverse else " ORDER BY e.key"
    if long:
        key, where = "e.key || e.rest AS key", long_range(bounded)
        order += ", e.rest DESC" if reverse else ", e.rest"
    else:
        where = "WHERE e.idx = %b AND e.key >= %b" + (" AND e.key < %b" if bounded else "")
    if not counted:
        return f"SELECT {key}, d.size, d.body {_JOINED} {where}{order} LIMIT %b".encode()
    total = f"sum(d.size) OVER ({order} ROWS UNBOUNDED PRECEDING) - d.size AS earlier"
    page = f"SELECT {key}, d.size, d.body, {total} {_JOINED} {where}{order} LIMIT %b"
    return f"SELECT key, size, body FROM ({page}) page WHERE earlier <= %b".encode()


_SCANS: Final = {kind: _scan(*kind) for kind in product((False, True), repeat=4)}
_KEY: Final = "SELECT e.key || e.rest FROM pyconvex.entries e"
_KEYS: Final = {
    bounded: f"{_KEY} {long_range(bounded)} ORDER BY e.key, e.rest LIMIT %b".encode() for bounded in (False, True)
}
_COUNTS: Final = {
    bounded: f"SELECT count(*) FROM pyconvex.entries e {long_range(bounded)}".encode() for bounded in (False, True)
}
_SMALL_SCAN_ROWS: Final = 16
"""Scans of at most this many documents of at most a megabyte are fetched in one go, without counting bytes."""


class PostgresReader:
    """A `Reader` on a snapshot that begins with the first read, or with `begin`.

    Before that it shows `ts` and `catalog_ts` as they were given. Should another process have changed the catalog
    since, the reader is `outdated`; when its connection breaks, it is `lost`: either way nothing that it said counts.
    """

    __slots__ = (
        "_begun",
        "_connection",
        "_ended",
        "_loop",
        "_pool",
        "catalog_ts",
        "conflict",
        "lost",
        "outdated",
        "ts",
    )

    def __init__(self, pool: Pool, ts: int = 0, catalog_ts: int = 0) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Lock()
        self._connection: Connection | None = None
        self._ended = False
        self.ts = ts
        self.catalog_ts = catalog_ts
        self.conflict: Conflict | None = None
        self.outdated = False
        self.lost = False

    async def begin(self) -> None:
        """Begin the snapshot now.

        Raises:
            StoreFailed: the database cannot be reached.
        """
        self.ts, self.catalog_ts = await self._begin()

    def end(self) -> None:
        """Give the snapshot up; nobody waits for that."""
        self._ended = True
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.lost:
            self._pool.drop(connection)
        else:
            self._pool.give_back(connection)

    # Reads are tasks of the real loop: a function's own loop, which may be the running one here, has no sockets.

    def get(self, index: int, key: bytes) -> "asyncio.Task[tuple[int, bytes] | None]":
        return self._read(self._get(index, key))

    def scan(self, span: KeyRange, *, reverse: bool, limit: int, bytes_max: int) -> "asyncio.Task[Sequence[Row]]":
        return self._read(self._scan(span, reverse, limit, bytes_max))

    def keys(self, span: KeyRange, *, limit: int) -> "asyncio.Task[Sequence[bytes]]":
        return self._read(self._keys(span, limit))

    def count(self, span: KeyRange) -> "asyncio.Task[tuple[int, bytes | None]]":
        return self._read(self._count(span))

    def at(self, index: int, keys: Sequence[bytes]) -> "asyncio.Task[Sequence[Row]]":
        return self._read(self._at(index, keys))

    def search(self, index: int, query: SearchQuery, *, limit: int) -> "asyncio.Task[Candidates]":
        return self._read(postgres_search.search(self._fetch, index, query, limit))

    def nearest(self, index: int, query: VectorQuery) -> "asyncio.Task[list[Similar]]":
        schema = self._pool.server.vector_schema
        return self._read(postgres_search.nearest(self._fetch, schema, index, query))

    def holds(self, index: int) -> "asyncio.Task[bool]":
        return self._read(postgres_search.holds(self._fetch, index))

    def _read(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = self._loop.create_task(work)
        task.add_done_callback(_seen)
        return task

    async def _get(self, index: int, key: bytes) -> tuple[int, bytes] | None:
        rows = await self._fetch(_GET, (Int8(index), key[:KEY_BYTES], hash_of(key)))
        return rows[0] if rows else None

    async def _at(self, index: int, keys: Sequence[bytes]) -> Sequence[Row]:
        firsts, hashes = blobs([key[:KEY_BYTES] for key in keys]), blobs([hash_of(key) for key in keys])
        return await self._fetch(_AT, (firsts, hashes, Int8(index)))

    async def _scan(self, span: KeyRange, reverse: bool, limit: int, bytes_max: int) -> Sequence[Row]:
        bounded, counted = span.stop is not None, limit > _SMALL_SCAN_ROWS
        ends: tuple[Any, ...] = (Int8(limit), Int8(bytes_max)) if counted else (Int8(limit),)
        if len(span.start) <= KEY_BYTES and (span.stop is None or len(span.stop) <= KEY_BYTES):
            bounds = (Int8(span.index), span.start, span.stop) if bounded else (Int8(span.index), span.start)
            rows = await self._fetch(_SCANS[bounded, reverse, counted, False], (*bounds, *ends))
            if not rows or max([len(row[0]) for row in rows]) < KEY_BYTES:
                return rows
        return await self._fetch(_SCANS[bounded, reverse, counted, True], (*long_bounds(span), *ends))

    async def _keys(self, span: KeyRange, limit: int) -> Sequence[bytes]:
        rows = await self._fetch(_KEYS[span.stop is not None], (*long_bounds(span), Int8(limit)))
        return [key for (key,) in rows]

    async def _count(self, span: KeyRange) -> tuple[int, bytes | None]:
        ((count,),) = await self._fetch(_COUNTS[span.stop is not None], long_bounds(span))
        return count, None

    async def _fetch(self, query: bytes, bounds: tuple[Any, ...]) -> list[Any]:
        connection = self._connection or await self._readable()
        try:
            cursor = connection.cursor(binary=True)
            await cursor.execute(query, bounds, prepare=True)
            return await cursor.fetchall()
        except psycopg.Error as error:
            if is_lost(error, connection):
                self.lost = True
                self._pool.server.is_away(error)
            raise self._pool.server.failure(error) from error

    async def _readable(self) -> Connection:
        async with self._begun:
            if self._connection is None:
                self.ts, catalog_ts = await self._begin()
                if catalog_ts != self.catalog_ts:
                    self.outdated = True
            if self.outdated:
                raise StoreFailed("CatalogChanged", "tables were changed by another process at this moment")
            assert self._connection is not None, "the snapshot was begun just now"
            return self._connection

    async def _begin(self) -> tuple[int, int]:
        until = self._pool.server.until()
        while True:
            if self._ended:
                raise StoreFailed("SnapshotEnded", "the snapshot has ended")
            connection = await self._pool.take(until)
            try:
                cursor = await connection.execute(_BEGIN, prepare=False)
                cursor.nextset()
                row = await cursor.fetchone()
            except psycopg.Error as error:
                lost = is_lost(error, connection)
                self._pool.drop(connection)
                if not lost or monotonic() > until:
                    raise self._pool.server.failure(error) from error
                self._pool.server.is_away(error)
                self._pool.drop_idle()
            except BaseException:
                self._pool.drop(connection)
                raise
            else:
                assert row is not None, "there is always a newest commit"
                self._connection = connection
                if self._ended:
                    self.end()
                return row[0], row[1]


def _seen(task: "asyncio.Task[Any]") -> None:
    """A read that nobody waits for any more, as its function has ended, may fail unnoticed."""
    if not task.cancelled():
        task.exception()


def hash_of(key: bytes) -> bytes:
    """What stands for the part of a key that the index does not hold."""
    return hashlib.sha256(key[KEY_BYTES:]).digest() if len(key) > KEY_BYTES else b""


def long_bounds(span: KeyRange) -> tuple[Any, ...]:
    """The parameters of a range's conditions, for statements that look at whole keys."""
    index, start, stop = span
    first, last = start[:KEY_BYTES], None if stop is None else stop[:KEY_BYTES]
    begin = (Int8(index), first, first, start[KEY_BYTES:])
    return begin if stop is None else (*begin, last, last, stop[KEY_BYTES:])
