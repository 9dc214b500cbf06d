"""Statements: reading documents through a connection, and writing a mutation's changes."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from .keys import Changes, DocumentChange, KeyRange, NewEntry
from .persistence import Row
from .sqlite_file import failure

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
_INSERT_DOCUMENT = "INSERT INTO documents VALUES (?, ?, ?)"
_INSERT_ENTRY = "INSERT INTO entries VALUES (?, ?, ?)"
_SMALL_SCAN_ROWS = 16
"""Scans of at most this many documents of at most a megabyte are fetched in one go, without counting bytes."""


class SqliteReader:
    """The `Reader` of one connection: a snapshot, or the open batch."""

    __slots__ = ("_execute", "catalog_ts", "connection", "ts")

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


class SqliteWriter(SqliteReader):
    """The one connection that writes. What it has not committed yet, it reads."""

    __slots__ = ("_execute_many", "_next_seq")

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._execute_many = connection.cursor().executemany
        (last,) = self._execute("SELECT max(seq) FROM documents").fetchone()
        self._next_seq: int = (last or 0) + 1

    def apply(self, changes: Changes, ts: int) -> None:
        """Write one mutation's changes.

        Raises:
            sqlite3.Error: half of it may be written: the batch has to be rolled back.
        """
        for span in changes.cleared:
            self._clear(span)
        documents = changes.documents
        if len(documents) == 1 and documents[0].inserted:
            self._insert_one(documents[0])
        elif documents:
            self._insert([change for change in documents if change.inserted])
            for change in documents:
                if not change.inserted:
                    self._update(change)
        for entry in changes.entries:
            self._add_entry(entry)
        self.ts = ts
        if changes.catalog:
            self.catalog_ts = ts

    def store_clock(self) -> None:
        """Write the timestamps of the batch's last mutation: the last statement before its COMMIT."""
        self._execute("UPDATE clock SET ts = ?, catalog_ts = ?", (self.ts, self.catalog_ts))

    def commit(self) -> None:
        """Returns when the batch is durable, and visible to snapshots. Runs in the commit thread."""
        self.connection.execute("COMMIT")

    def _insert_one(self, change: DocumentChange) -> None:
        """What most mutations do, in two calls of SQLite."""
        indexes, _, keys, size, body = change
        seq = self._next_seq
        self._next_seq = seq + 1
        self._execute(_INSERT_DOCUMENT, (seq, size, body))
        self._execute_many(_INSERT_ENTRY, [(index, key, seq) for index, key in zip(indexes, keys, strict=True)])

    def _insert(self, changes: Sequence[DocumentChange]) -> None:
        numbered = list(enumerate(changes, self._next_seq))
        self._next_seq += len(numbered)
        self._execute_many(_INSERT_DOCUMENT, [(seq, change.size, change.body) for seq, change in numbered])
        entries = [
            (index, key, seq)
            for seq, change in numbered
            for index, key in zip(change.indexes, change.after, strict=True)
        ]
        self._execute_many(_INSERT_ENTRY, entries)

    def _update(self, change: DocumentChange) -> None:
        seq = self._seq(change.indexes[0], change.before[0])
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

    def _add_entry(self, entry: NewEntry) -> None:
        row = (entry.index, entry.key, self._seq(*entry.by_id))
        # A write since the index was begun may have added the same entry.
        self._execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", row)

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
