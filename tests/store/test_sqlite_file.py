"""What the store says about files it cannot use, and what it makes of those it can."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pyconvex.clock import SystemClock
from pyconvex.errors import StartFailed
from pyconvex.settings import Limits
from pyconvex.store.sqlite.file import MIGRATIONS
from pyconvex.store.sqlite.persistence import SqlitePersistence
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction


def refusal(path: Path) -> StartFailed:
    async def main() -> None:
        persistence = SqlitePersistence(path)
        await persistence.open()
        await persistence.close()

    with pytest.raises(StartFailed) as failed:
        asyncio.run(main())
    assert str(path) in str(failed.value)
    return failed.value


def make(path: Path) -> None:
    async def main() -> None:
        persistence = SqlitePersistence(path)
        await persistence.open()
        await persistence.close()

    asyncio.run(main())


def test_the_folder_and_the_file_are_made_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "pyconvex.db"

    async def main() -> None:
        store = Store(SqlitePersistence(path), Limits(), SystemClock())
        await store.open()
        await store.mutate(lambda transaction: transaction.insert("notes", {}))
        assert all(file.stat().st_mode & 0o077 == 0 for file in path.parent.iterdir())
        await store.close()

    asyncio.run(main())
    assert [file.name for file in path.parent.iterdir()] == ["pyconvex.db"]


def test_a_temporary_database_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    async def main() -> None:
        persistence = SqlitePersistence(None)
        await persistence.open()
        assert list(tmp_path.iterdir())
        await persistence.close()

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_something_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("these are not the pages you are looking for\n" * 100)
    assert refusal(path).code == "NotADatabase"
    assert path.read_text().startswith("these are not")


def test_the_database_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    failed = refusal(path)
    assert failed.code == "NotADatabase"
    assert "another program" in str(failed)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    make(path)
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("UPDATE layout SET version = 99")
        newer.commit()
    failed = refusal(path)
    assert failed.code == "DatabaseNewer"
    assert "layout 99" in str(failed)
    with closing(sqlite3.connect(path)) as newer:
        assert newer.execute("SELECT version FROM layout").fetchone() == (99,)


def test_an_older_database_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    make(path)
    later = (*MIGRATIONS, ("CREATE TABLE added (x)", "INSERT INTO added VALUES (5)"))
    monkeypatch.setattr("pyconvex.store.sqlite.file.MIGRATIONS", later)
    make(path)
    make(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version FROM layout").fetchall() == [(len(later),)]
        assert database.execute("SELECT x FROM added").fetchall() == [(5,)]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    make(path)
    monkeypatch.setattr(
        "pyconvex.store.sqlite.file.MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE added (x)", "NO SUCH STATEMENT"))
    )
    refusal(path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT version FROM layout").fetchall() == [(len(MIGRATIONS),)]
        assert database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'added'").fetchone() == (0,)


def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    make(path)
    data = bytearray(path.read_bytes())
    data[100:] = b"\xa5" * (len(data) - 100)
    path.write_bytes(data)
    assert refusal(path).code == "StorageCorrupt"


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file" / "x.db").code == "StorageUnusable"
    (tmp_path / "folder").mkdir()
    assert refusal(tmp_path / "folder").code == "StorageUnusable"


def test_a_database_that_another_program_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyconvex.store.sqlite.file._OPEN_PATIENCE_MS", 20)
    path = tmp_path / "x.db"
    make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert refusal(path).code == "DatabaseLocked"


def test_who_is_cancelled_while_it_closes_closes_again(tmp_path: Path) -> None:
    path = tmp_path / "pyconvex.db"

    async def main() -> None:
        persistence = SqlitePersistence(path)
        store = Store(persistence, Limits(), SystemClock())
        await store.open()
        go_on = asyncio.Event()

        async def slow(transaction: Transaction) -> None:
            await go_on.wait()
            await transaction.insert("notes", {})

        mutation = asyncio.create_task(store.mutate(slow))
        await asyncio.sleep(0)
        for _ in range(2):
            closing = asyncio.create_task(store.close())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
        others = [asyncio.create_task(store.close()) for _ in range(2)]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(mutation, *others)
        await store.close()
        assert [each.name for each in tmp_path.iterdir()] == [path.name], "the log was tidied up by the last connection"

    asyncio.run(main())
