"""One SQLite file: how it is opened, which tables it has, and what SQLite's errors mean."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from pyconvex.errors import StartFailed
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.sqlite import search as sqlite_search

APPLICATION_ID: Final = 0x7079_6378
"""Marks the file as ours in its header ("pycx"), so that no other program's database is taken for one."""

PROGRESS_STEPS: Final = 20_000
"""SQLite asks after this many of its steps (about a millisecond) whether a read may go on."""

LOG_BYTES_KEPT: Final = 64 * 2**20
"""A log that grew beyond this, because a reader held on to it, is cut when it starts over."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        # Rows of `documents` are appended, so new documents share pages; everything is found through `entries`,
        # by id as well, and scans fetch documents by a small integer.
        "CREATE TABLE documents (seq INTEGER PRIMARY KEY, size INTEGER NOT NULL, body BLOB NOT NULL)",
        """CREATE TABLE entries (idx INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (idx, key))
        WITHOUT ROWID""",
        "CREATE TABLE clock (ts INTEGER NOT NULL, catalog_ts INTEGER NOT NULL)",
        "INSERT INTO clock VALUES (0, 0)",
    ),
    sqlite_search.MIGRATION,
)
"""What brings layout version n to n + 1. Entries are only ever added."""

_OPEN_PATIENCE_MS = 2_000


class SqliteFile(Struct, frozen=True):
    """Where the database is and how carefully it is written.

    `size_limit_bytes` bounds the file: beyond it, writes fail as on a full disk.
    """

    path: Path
    durable: bool = True
    size_limit_bytes: int | None = None

    def prepare(self) -> None:
        """Make the file, or bring its tables up to date.

        Raises:
            StartFailed: it cannot be used, is no pyconvex database, or was written by a newer version.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
            connection = self.connect()
            try:
                connection.execute(f"PRAGMA busy_timeout={_OPEN_PATIENCE_MS}")
                _check_log(connection, self.path)
                _migrate(connection, self.path)
            finally:
                connection.close()
        except OSError as error:
            raise StartFailed("StorageUnusable", f"cannot write to {self.path}: {error.strerror}") from error
        except sqlite3.Error as error:
            code, message, hint = describe(error)
            raise StartFailed(code, f"cannot open {self.path}: {message}", hint=hint) from error

    def connect(self, *, writing: bool = True) -> sqlite3.Connection:
        """A connection that never waits for a lock: waiting would block the event loop."""
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            for pragma in self._pragmas(writing):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _pragmas(self, writing: bool) -> list[str]:
        if not writing:
            # A reader's pages are stale with the next commit: a large cache would only be filled again and again.
            return ["temp_store=MEMORY", "cache_size=-4096", "query_only=ON"]
        pragmas = ["temp_store=MEMORY", "cache_size=-65536"]
        pragmas += ["journal_mode=WAL", f"synchronous={'FULL' if self.durable else 'OFF'}"]
        if self.durable:
            # The checkpoint thread does it: a commit must not pay for it.
            pragmas += ["wal_autocheckpoint=0", f"journal_size_limit={LOG_BYTES_KEPT}"]
        if self.size_limit_bytes is not None:
            pragmas.append(f"max_page_count={max(1, self.size_limit_bytes // 4096)}")
        return pragmas


def interrupt_when(connection: sqlite3.Connection, expired: Callable[[], bool]) -> None:
    """Let long reads of `connection` end with an error as soon as `expired` says so."""
    connection.set_progress_handler(expired, PROGRESS_STEPS)


def describe(error: sqlite3.Error) -> tuple[str, str, str | None]:
    """Code, message and hint for an error of SQLite."""
    number = getattr(error, "sqlite_errorcode", None)
    known = None if number is None else _MEANINGS.get(number & 0xFF)
    return known or ("StorageFailed", f"the database failed: {error}", None)


def failure(error: sqlite3.Error) -> StoreFailed:
    """The error of ours for an error of SQLite at run time; the caller raises it from the original."""
    code, message, hint = describe(error)
    return StoreFailed(code, message, hint=hint)


_MEANINGS: Final[dict[int, tuple[str, str, str | None]]] = {
    sqlite3.SQLITE_FULL: (
        "DiskFull",
        "the disk is full, nothing was written",
        "free some space; the deployment goes on by itself",
    ),
    sqlite3.SQLITE_READONLY: (
        "StorageReadOnly",
        "the database is read-only",
        "give the user that runs pyconvex the right to write the file and its folder",
    ),
    sqlite3.SQLITE_CANTOPEN: ("StorageUnusable", "the database file cannot be opened", "look at the folder's rights"),
    sqlite3.SQLITE_PERM: ("StorageUnusable", "the database file cannot be opened", "look at the folder's rights"),
    sqlite3.SQLITE_NOTADB: (
        "NotADatabase",
        "the file is not a database",
        "move it away to start with an empty database, or put a backup in its place",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "StorageCorrupt",
        "the database is damaged",
        "put a backup in its place, or try `sqlite3 FILE .recover` on a copy",
    ),
    sqlite3.SQLITE_IOERR: ("StorageFailed", "the disk failed to read or write", "look at the system's log"),
    sqlite3.SQLITE_BUSY: (
        "DatabaseLocked",
        "another program holds the database",
        "close what has the file open for writing: a database browser, a backup",
    ),
    sqlite3.SQLITE_LOCKED: ("DatabaseLocked", "another program holds the database", None),
    sqlite3.SQLITE_INTERRUPT: ("ReadInterrupted", "the read took longer than its function may run", None),
}


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    _check_owner(connection, path)
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise StartFailed(
            "DatabaseNewer",
            f"{path} was written by a newer pyconvex (layout {version}, this one knows {len(MIGRATIONS)})",
            hint="upgrade pyconvex, or use a copy of the database from before the upgrade",
        )
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute("UPDATE layout SET version = ?", (len(MIGRATIONS),))
    connection.execute("COMMIT")


def _check_log(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse file systems on which readers and the writer would lock each other out."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        raise StartFailed(
            "StorageUnusable",
            f"the file system of {path} cannot share memory between connections",
            hint="keep the database on a local disk, not on a network folder",
        )


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and tables:
        raise StartFailed(
            "NotADatabase",
            f"{path} is a database of another program",
            hint="move it away to start with an empty database",
        )
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")


def _version(connection: sqlite3.Connection) -> int:
    connection.execute("CREATE TABLE IF NOT EXISTS layout (version INTEGER NOT NULL)")
    row = connection.execute("SELECT version FROM layout").fetchone()
    if row is None:
        connection.execute("INSERT INTO layout VALUES (0)")
        return 0
    return row[0]
