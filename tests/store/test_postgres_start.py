"""The first meeting with a PostgreSQL database: who may use it, what is made there, and what is refused and how."""

import asyncio
import subprocess
import sys
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from pyconvex.clock import SystemClock
from pyconvex.errors import StartFailed
from pyconvex.host import Host, HostOptions
from pyconvex.settings import Limits
from pyconvex.store.postgres import layout as postgres_layout
from pyconvex.store.postgres.persistence import PostgresPersistence
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from support.postgres import GIVEN, SECURED, fresh_database, server

SECRET = "s3cret p@ss"
QUOTED = "s3cret%20p%40ss"


async def use(url: str) -> int:
    """Open a store, write to it, and say how many notes there are."""
    store = Store(PostgresPersistence(url), Limits(), SystemClock())
    await store.open()
    try:

        async def work(transaction: Transaction) -> int:
            await transaction.insert("notes", {})
            index = transaction.index("notes", "by_id")
            assert index is not None
            return len(await transaction.take(index))

        return (await store.mutate(work)).value
    finally:
        await store.close()


def refusal(url: str) -> StartFailed:
    with pytest.raises(StartFailed) as caught:
        asyncio.run(use(url))
    assert SECRET not in str(caught.value) and QUOTED not in str(caught.value)
    return caught.value


@contextmanager
def role(name: str, options: str = "") -> Generator[str]:
    server().execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE {options}")
    try:
        yield name
    finally:
        server().execute(f"DROP ROLE {name}")


def test_processes_that_start_at_once_on_an_empty_database_do_not_collide() -> None:
    async def all_at_once(url: str) -> None:
        stores = [Store(PostgresPersistence(url), Limits(), SystemClock()) for _ in range(5)]
        async with AsyncExitStack() as closing:
            await asyncio.gather(*[store.open() for store in stores])
            for store in stores:
                closing.push_async_callback(store.close)
            assert len({store.node for store in stores}) == 5

    with fresh_database() as name:
        asyncio.run(all_at_once(server().database_url(name)))
        assert server().execute("SELECT version FROM pyconvex.layout", name) == [(len(postgres_layout.MIGRATIONS),)]


def test_a_newer_layout_is_left_alone() -> None:
    with fresh_database() as name:
        url = server().database_url(name)
        asyncio.run(use(url))
        server().execute("UPDATE pyconvex.layout SET version = 99", name)
        refused = refusal(url)
        assert refused.code == "DatabaseNewer"
        assert f"layout 99, this one knows {len(postgres_layout.MIGRATIONS)}" in str(refused)
        assert server().execute("SELECT version FROM pyconvex.layout", name) == [(99,)]


def test_an_older_layout_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    with fresh_database() as name:
        url = server().database_url(name)
        asyncio.run(use(url))
        later = (*postgres_layout.MIGRATIONS, ("CREATE TABLE pyconvex.added (x int)",))
        monkeypatch.setattr(postgres_layout, "MIGRATIONS", later)
        assert asyncio.run(use(url)) == 2
        assert server().execute("SELECT version FROM pyconvex.layout", name) == [(len(later),)]
        assert server().execute("SELECT count(*) FROM pyconvex.added", name) == [(0,)]


def test_an_ordinary_role_that_owns_the_database_is_enough() -> None:
    with role("pyconvex_owner") as owner, fresh_database(OWNER=owner) as name:
        assert asyncio.run(use(server().database_url(name, user=owner))) == 1


def test_an_ordinary_role_is_enough_where_its_schema_is_there_already() -> None:
    with role("pyconvex_guest") as guest, fresh_database() as name:
        url = server().database_url(name, user=guest)
        refused = refusal(url)
        assert refused.code == "DatabaseRights"
        assert refused.hint is not None and "CREATE SCHEMA pyconvex AUTHORIZATION" in refused.hint
        server().execute(f"CREATE SCHEMA pyconvex AUTHORIZATION {guest}", name)
        assert asyncio.run(use(url)) == 1


@pytest.mark.skipif(GIVEN is not None, reason="who has to give a password is the affair of that server")
def test_passwords_are_asked_for_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    with role(SECURED, f"PASSWORD '{SECRET}'") as user, fresh_database(OWNER=user) as name:
        assert asyncio.run(use(server().database_url(name, user=user, password=QUOTED))) == 1
        for url in (
            server().database_url(name, user=user, password="wrong"),
            server().database_url(name, user=user),
        ):
            refused = refusal(url)
            assert refused.code == "DatabasePassword"
            assert "wrong" not in str(refused).replace("password is wrong", "")
    assert SECRET not in caplog.text and QUOTED not in caplog.text


def test_a_server_that_is_not_there() -> None:
    refused = refusal(f"postgresql://me:{QUOTED}@127.0.0.1:1/x")
    assert refused.code == "DatabaseUnreachable"
    assert str(refused).startswith("cannot open postgresql://me@127.0.0.1:1/x: the server cannot be reached: ")
    assert refused.hint is not None


def test_a_database_that_is_not_there() -> None:
    refused = refusal(server().database_url("pyconvex_nowhere"))
    assert refused.code == "DatabaseMissing"
    assert 'database "pyconvex_nowhere" does not exist' in str(refused)


@pytest.mark.parametrize("url", [f"postgresql://me:{SECRET}@host/x", f"postgresql://host/x?nonsense={SECRET}"])
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    refused = refusal(url)
    assert refused.code in ("DatabaseUrl", "DatabaseUnreachable")


def test_a_database_of_another_encoding() -> None:
    options = {"ENCODING": "'LATIN1'", "TEMPLATE": "template0", "LC_COLLATE": "'C'", "LC_CTYPE": "'C'"}
    with fresh_database(**options) as name:
        refused = refusal(server().database_url(name))
        assert refused.code == "DatabaseEncoding"
        assert "LATIN1" in str(refused) and "UTF8" in str(refused)


def test_a_missing_library_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith(("psycopg", "pyconvex.store.postgres.persistence"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    async def main() -> None:
        async with Host.open(HostOptions(project=tmp_path, database="postgresql://localhost/x")):
            pass

    with pytest.raises(StartFailed) as refused:
        asyncio.run(main())
    assert refused.value.code == "ExtraMissing"
    assert refused.value.hint == "pip install 'pyconvex[postgres]'"


def test_the_library_is_not_loaded_for_sqlite(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from pyconvex.host import Host, HostOptions
async def main():
    async with Host.open(HostOptions(project=Path({str(tmp_path)!r}))):
        print([name for name in sys.modules if name.startswith("psycopg")])
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
