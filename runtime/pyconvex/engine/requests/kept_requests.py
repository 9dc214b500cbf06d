"""Kept requests on disk: a small SQLite file that only its owner can read, with the oldest deleted.

This is a convenience, not data: what a full disk does not take is dropped, and a file that cannot be read any more is
begun anew.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

_LAYOUT: Final = """
    CREATE TABLE IF NOT EXISTS requests (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, size INTEGER NOT NULL,
        head BLOB NOT NULL, body BLOB NOT NULL
    )
"""
_TOO_MANY: Final = """
    DELETE FROM requests WHERE number IN (
        SELECT number FROM (
            SELECT number, row_number() OVER newest AS place, sum(size) OVER newest AS bytes
            FROM requests WINDOW newest AS (ORDER BY number DESC)
        ) WHERE place > ? OR (bytes > ? AND place > 1)
    )
"""


class KeptRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it arrived, and what became of it."""

    id: str
    """Its request id, as error bodies and the log have it."""
    at_ms: float
    """When it arrived, milliseconds since 1970."""
    method: str
    path: str
    """As it was sent, without the query; below the alias `/http`, the rest."""
    query: str
    headers: list[tuple[str, str]]
    """In order, names in lower case, values as Latin-1."""
    body: bytes = b""
    """As much of it as is kept."""
    body_bytes: int
    """How much of it arrived."""
    whole: bool
    """Whether all of the body arrived and is kept, so that the request can be sent again."""
    client: str | None
    status: int
    """What was answered; 0 when nothing was."""
    took_ms: float | None
    """None while it is in progress."""
    replay_of: str | None = None
    """The id of the request that this one repeats."""
    scheme: str = "http"
    host: str | None = None
    """A trusted proxy's word for its `Host` header."""


class KeptRequests:
    """At most `count_max` requests and about `bytes_max` bytes, in `file` (mode 600) or in memory. All of it blocks."""

    def __init__(self, file: Path | None, count_max: int, bytes_max: int) -> None:
        self._file = file
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._using = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def add(self, requests: Sequence[KeptRequest]) -> None:
        """Keep these, in this order, and let go of the oldest."""
        rows = [_row(each) for each in requests]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT INTO requests (id, size, head, body) VALUES (?, ?, ?, ?)", rows)
                connection.execute(_TOO_MANY, (self._count_max, self._bytes_max))

        with self._using:
            self._attempt(write)

    def newest(self, limit: int) -> list[KeptRequest]:
        """The newest requests, oldest first, without their bodies."""
        return self._read("SELECT head, x'' FROM requests ORDER BY number DESC LIMIT ?", limit)[::-1]

    def find(self, id: str) -> list[KeptRequest]:
        """The requests whose ids begin with `id`, newest first, whole."""
        where = "substr(id, 1, ?) = ?"
        return self._read(f"SELECT head, body FROM requests WHERE {where} ORDER BY number DESC", len(id), id)

    def close(self) -> None:
        with self._using:
            self._disconnect()

    def _read(self, query: str, *parameters: object) -> list[KeptRequest]:
        found: list[KeptRequest] = []

        def read(connection: sqlite3.Connection) -> None:
            for head, body in connection.execute(query, parameters):
                found.append(msgspec.structs.replace(msgspec.json.decode(head, type=KeptRequest), body=body))

        with self._using:
            if self._connection is not None or (self._file is not None and self._file.exists()):
                self._attempt(read)
        return found

    def _attempt(self, work: Callable[[sqlite3.Connection], None]) -> None:
        import sqlite3

        for _ in range(2):
            try:
                return work(self._opened())
            except (sqlite3.OperationalError, OSError):
                return None
            except (sqlite3.DatabaseError, msgspec.MsgspecError):
                self._begin_anew()
        return None

    def _opened(self) -> sqlite3.Connection:
        import sqlite3

        if self._connection is None:
            if self._file is not None:
                os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
                self._file.chmod(0o600)  # one that was there before, too; SQLite's own files get the same mode
            connection = sqlite3.connect(self._file or ":memory:", check_same_thread=False)
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(_LAYOUT)
            self._connection = connection
        return self._connection

    def _begin_anew(self) -> None:
        self._disconnect()
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _row(request: KeptRequest) -> tuple[str, int, bytes, bytes]:
    head = msgspec.json.encode(msgspec.structs.replace(request, body=b""))
    return request.id, len(head) + len(request.body), head, request.body
