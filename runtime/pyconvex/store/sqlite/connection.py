"""Statements: reading documents through a connection, and writing a mutation's changes."""

import sqlite3
from collections.abc import Sequence
from typing import Final, TypeAlias

from pyconvex.store.keys import Changes, DocumentChange, KeyRange, after_key
from pyconvex.store.persistence import Row
from pyconvex.store.search.selection import Candidates, SearchQuery
from pyconvex.store.search.vectors import Similar, VectorQuery
from pyconvex.store.sqlite import search as sqlite_search

from .file import failure

_GET = "SELECT d.size, d.body FROM entries e CROSS JOIN documents d ON d.seq = e.seq WHERE e.idx = ? AND e.key = ?"
_SCAN = (
    "SELECT e.key, d.size, d.body FROM entries e CROSS JOIN documents d ON d.seq = e.seq WHERE e.idx = ? AND e.key >= ?"
)
_SCANS: Final = {
    (bounded, reverse): _SCAN + (" AND e.key < ?" if bounded else "") + f" ORDER BY e.key {order} LIMIT ?"
    for bounded in (False, True)
    for reverse, order in ((False, "ASC"), (True, "DESC"))
}
_KEYS: Final = {
    bounded: "SELECT key FROM entries WHERE idx = ? AND key >= ?"
    + (" AND key < ?" if bounded else "")
    + " ORDER BY key LIMIT ?"
    for bounded in (False, True)
}
_INSERT_ENTRY = "INSERT INTO entries VALUES (?, ?, ?)"

_Inserts: TypeAlias = Sequence[tuple[int, str]]
"""Statements for fewer and fewer rows, each with how many values it takes."""

_INSERTED_ROWS: Final = (*range(128, 7, -8), *range(7, 0, -1))
"""Two statements for nearly every batch: each gives the interpreter's lock away and has to come by it again."""


def _inserts(table: str) -> _Inserts:
    # Whatever fails, the batch is undone. Saying so spares SQLite copies of all pages for undoing one statement alone.
    start = f"INSERT OR ROLLBACK INTO {table} VALUES "
    return tuple((3 * rows, start + ", ".join(["(?, ?, ?)"] * rows)) for rows in _INSERTED_ROWS)


_INSERT_DOCUMENTS: Final = _inserts("documents")
_INSERT_ENTRIES: Final = _inserts("entries")
# A write since the index was begun may have added the same entry.
_ADD_ENTRIES: Final = tuple(
    (
        4 * rows,
        f"""INSERT OR REPLACE INTO entries SELECT v.column3, v.column4, e.seq
        FROM (VALUES {", ".join(["(?, ?, ?, ?)"] * rows)}) v
        CROSS JOIN entries e ON e.idx = v.column1 AND e.key = v.column2""",
    )
    for rows in (64, 8, 1)
)
_COUNTED_ROWS = 20_000
"""Counted in one go: about a millisecond."""
_SMALL_SCAN_ROWS = 16
"""Scans of at most this many documents of at most a megabyte are fetched in one go, without counting bytes."""


class SqliteReader:
    """The `Reader` of one connection: a snapshot, or the open batch."""

    __slots__ = ("_execute", "catalog_ts", "connection", "ts")
    conflict: None = None  # mutations run one after another
    lost: bool = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        # One cursor for all short reads: each is fetched to its end before it is handed over.
        self._execute = connection.cursor().execute
        self.ts = 0
        self.catalog_ts = 0

    def begin(self, statement: str = "BEGIN") -> None:
        """Start a transaction; timestamps are read inside it, which is the only place where they fit its contents."""
        self._execute(statement)
        self.ts, self.catalog_ts = self._execute("SELECT ts, catalog_ts FROM clock").fetchone()

    def end(self) -> None:
        self._execute("ROLLBACK")

    # Coroutines that never suspend are the cheapest awaitables there are.

    async def get(self, index: int, key: bytes) -> tuple[int, bytes] | None:
        try:
            return self._execute(_GET, (index, key)).fetchone()
        except sqlite3.Error as error:
            raise failure(error) from error

    async def scan(self, span: KeyRange, *, reverse: bool, limit: int, bytes_max: int) -> Sequence[Row]:
        index, start, stop = span
        bounds = (index, start, limit) if stop is None else (index, start, stop, limit)
        try:
            statement = _SCANS[stop is not None, reverse]
            if limit <= _SMALL_SCAN_ROWS:
                return self._execute(statement, bounds).fetchall()
            # A cursor of its own: left half-way, it ends its statement by going away.
            return _fetch_bounded(self.connection.execute(statement, bounds), bytes_max)
        except sqlite3.Error as error:
            raise failure(error) from error

    async def keys(self, span: KeyRange, *, limit: int) -> Sequence[bytes]:
        index, start, stop = span
        bounds = (index, start, limit) if stop is None else (index, start, stop, limit)
        try:
            return [key for (key,) in self._execute(_KEYS[stop is not None], bounds).fetchall()]
        except sqlite3.Error as error:
            raise failure(error) from error

    async def count(self, span: KeyRange) -> tuple[int, bytes | None]:
        index, start, stop = span
        bounds = (index, start) if stop is None else (index, start, stop)
        try:
            query = f"SELECT count(*), max(key) FROM ({_KEYS[stop is not None]})"
            count, last = self._execute(query, (*bounds, _COUNTED_ROWS)).fetchone()
        except sqlite3.Error as error:
            raise failure(error) from error
        return count, after_key(last) if count == _COUNTED_ROWS else None

    async def at(self, index: int, keys: Sequence[bytes]) -> Sequence[Row]:
        found = [(key, await self.get(index, key)) for key in keys]
        return [(key, *row) for key, row in found if row is not None]

    async def search(self, index: int, query: SearchQuery, *, limit: int) -> Candidates:
        try:
            return await sqlite_search.search(self._execute, index, query, limit)
        except sqlite3.Error as error:
            raise failure(error) from error

    async def nearest(self, index: int, query: VectorQuery) -> Sequence[Similar]:
        try:
            return await sqlite_search.nearest(self._execute, index, query)
        except sqlite3.Error as error:
            raise failure(error) from error

    async def holds(self, index: int) -> bool:
        try:
            return sqlite_search.holds(self._execute, index)
        except sqlite3.Error as error:
            raise failure(error) from error


class SqliteWriter(SqliteReader):
    """The one connection that writes. What it has not committed yet, it reads."""

    __slots__ = ("_execute_many", "_next_seq", "writing")

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._execute_many = connection.cursor().executemany
        (last,) = self._execute("SELECT max(seq) FROM documents").fetchone()
        self._next_seq: int = (last or 0) + 1
        self.writing = False
        """Now SQLite must not be interrupted: it would roll back the whole batch."""

    def apply(self, changes: Sequence[Changes]) -> None:
        """Write what some mutations changed, in their order.

        Raises:
            sqlite3.Error: half of it may be written: the batch has to be rolled back.
        """
        self.writing = True
        try:
            inserted: list[DocumentChange] = []
            for each in changes:
                if each.inserts_only:
                    inserted += each.documents
                    continue
                self._insert([*inserted, *[change for change in each.documents if change.inserted]])
                inserted = []
                self._change(each)
            self._insert(inserted)
        finally:
            self.writing = False

    def store_clock(self, ts: int, catalog_ts: int) -> None:
        """Write the timestamps of the batch's last mutation: the last statement before its COMMIT."""
        self._execute("UPDATE clock SET ts = ?, catalog_ts = ?", (ts, catalog_ts))

    def commit(self) -> None:
        """Returns when the batch is durable, and visible to snapshots. Runs in the commit thread."""
        self.connection.execute("COMMIT")

    def _insert(self, changes: Sequence[DocumentChange]) -> None:
        documents: list[object] = []
        entries: list[object] = []
        searched: list[tuple[int, DocumentChange]] = []
        for seq, change in enumerate(changes, self._next_seq):
            indexes, _, keys, size, body, found = change
            if found:
                searched.append((seq, change))
            documents += (seq, size, body)
            for index, key in zip(indexes, keys, strict=True):
                entries += (index, key, seq)
        self._next_seq += len(changes)
        self._insert_rows(_INSERT_DOCUMENTS, documents)
        self._insert_rows(_INSERT_ENTRIES, entries)
        for seq, change in searched:
            sqlite_search.write(self._execute, seq, change)

    def _insert_rows(self, statements: _Inserts, values: Sequence[object]) -> None:
        done = 0
        for count, statement in statements:
            while len(values) - done >= count:
                self._execute(statement, values[done : done + count])
                done += count

    def _change(self, changes: Changes) -> None:
        for span in changes.cleared:
            self._clear(span)
        for change in changes.documents:
            if change.before:
                self._update(change)
        self._insert_rows(_ADD_ENTRIES, [part for entry in changes.entries for part in entry])
        for found in changes.found:
            sqlite_search.add(self._execute, self._seq(*found.by_id), found)
        for index in changes.emptied:
            sqlite_search.clear(self._execute, index)

    def _update(self, change: DocumentChange) -> None:
        seq = self._seq(change.indexes[0], change.before[0])
        if change.found:
            sqlite_search.write(self._execute, seq, change)
        after = change.after or (None,) * len(change.indexes)
        changed = [row for row in zip(change.indexes, change.before, after, strict=True) if row[1] != row[2]]
        if changed:
            self._execute_many("DELETE FROM entries WHERE idx = ? AND key = ?", [row[:2] for row in changed])
        if change.deleted:
            self._execute("DELETE FROM documents WHERE seq = ?", (seq,))
            return
        self._execute("UPDATE documents SET size = ?, body = ? WHERE seq = ?", (change.size, change.body, seq))
        if changed:
            added = [(index, key, seq) for index, _, key in changed]
            self._execute_many(_INSERT_ENTRY, added)

    def _clear(self, span: KeyRange) -> None:
        if span.stop is None:
            self._execute("DELETE FROM entries WHERE idx = ? AND key >= ?", span[:2])
        else:
            self._execute("DELETE FROM entries WHERE idx = ? AND key >= ? AND key < ?", span)

    def _seq(self, index: int, key: bytes) -> int:
        row = self._execute("SELECT seq FROM entries WHERE idx = ? AND key = ?", (index, key)).fetchone()
        assert row is not None, "a document that is changed exists"
        return row[0]


def _fetch_bounded(cursor: sqlite3.Cursor, bytes_max: int) -> list[Row]:
    rows: list[Row] = []
    total = 0
    for row in cursor:
        rows.append(row)
        total += row[1]
        if total > bytes_max:
            break
    return rows
