"""What makes an acknowledged write survive the loss of power: the log is synced by every commit."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pyconvex.clock import SystemClock
from pyconvex.settings import Limits
from pyconvex.store.sqlite.file import SqliteFile
from pyconvex.store.sqlite.persistence import SqlitePersistence
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction

FULL = 2
"""`PRAGMA synchronous` of a database whose log is synced at every commit (https://sqlite.org/pragma.html)."""


def asked(connection: sqlite3.Connection, pragma: str) -> object:
    return connection.execute(f"PRAGMA {pragma}").fetchone()[0]


def test_a_database_of_a_deployment_is_synced_at_every_commit(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "x.db")
    file.prepare()
    connection = file.connect()
    try:
        assert asked(connection, "synchronous") == FULL
        assert asked(connection, "journal_mode") == "wal"
    finally:
        connection.close()


def test_every_connection_that_writes_is_such_a_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[object, bool]] = []
    connect: Callable[..., sqlite3.Connection] = SqliteFile.connect

    def noted(file: SqliteFile, *, writing: bool = True) -> sqlite3.Connection:
        connection = connect(file, writing=writing)
        if writing:
            opened.append((asked(connection, "synchronous"), file.durable))
        return connection

    monkeypatch.setattr(SqliteFile, "connect", noted)

    async def write() -> None:
        store = Store(SqlitePersistence(tmp_path / "x.db"), Limits(), SystemClock())
        await store.open()

        async def insert(transaction: Transaction) -> None:
            await transaction.insert("notes", {})

        await store.mutate(insert)
        await store.close()

    asyncio.run(write())
    assert len(opened) >= 2
    assert set(opened) == {(FULL, True)}
