"""The tables of a PostgreSQL database, and how they are made and brought up to date.

Everything lives in a schema of its own, `pyconvex`. Nothing here takes more rights than the owner of that schema has.
"""

from typing import Final, LiteralString

import psycopg

from pyconvex.errors import StartFailed
from pyconvex.store.postgres import search as postgres_search

from .errors import shown

KEY_BYTES: Final = 2_500
"""How much of a key is kept in the index; PostgreSQL's end near 2,700 bytes an entry."""

LOCK_CLASS: Final = 0x7079_6378
"""First half of our advisory locks ("pycx"); the second half says which one."""
COMMIT_LOCK: Final = 0
LAYOUT_LOCK: Final = -1
"""Nodes' numbers are the other ones: each node holds the lock of its number as long as it lives."""

MIGRATIONS: Final[tuple[tuple[LiteralString, ...], ...]] = (
    (
        "CREATE TABLE pyconvex.documents (seq bigint PRIMARY KEY, size integer NOT NULL, body text NOT NULL)",
        # `key` is the key up to KEY_BYTES, `rest` what is beyond, and `hash` the SHA-256 of that, or empty without it.
        """CREATE TABLE pyconvex.entries (idx bigint NOT NULL, key bytea NOT NULL, hash bytea NOT NULL,
        seq bigint NOT NULL, rest bytea NOT NULL, PRIMARY KEY (idx, key, hash) INCLUDE (seq))""",
        # One row for each batch of mutations that were committed together. The newest one is the database's clock:
        # a row that is updated with each commit would grow without bounds while somebody holds an old snapshot.
        """CREATE TABLE pyconvex.commits (ts bigint PRIMARY KEY, catalog_ts bigint NOT NULL, next_seq bigint NOT NULL,
        node integer NOT NULL, batch bytea NOT NULL, members bytea NOT NULL)""",
        "ALTER TABLE pyconvex.commits ALTER COLUMN members SET STORAGE EXTERNAL",
        "ALTER TABLE pyconvex.commits SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)",
        "CREATE SEQUENCE pyconvex.nodes AS integer CYCLE",
        "INSERT INTO pyconvex.commits VALUES (0, 0, 1, 0, '', '')",
    ),
    postgres_search.MIGRATION,
)
"""What brings layout version n to n + 1. Entries are only ever added."""

_NEEDED_ENCODING = "UTF8"


async def prepare(connection: psycopg.AsyncConnection[tuple[object, ...]], url: str) -> None:
    """Make the tables, or bring them up to date. Processes that start at once take turns.

    Raises:
        StartFailed: the database cannot be used, or was written by a newer version.
        psycopg.Error: the server says no.
    """
    await _check_encoding(connection, url)
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (LOCK_CLASS, LAYOUT_LOCK))
        version = await _version(connection)
        if version > len(MIGRATIONS):
            raise StartFailed(
                "DatabaseNewer",
                f"{shown(url)} was written by a newer pyconvex (layout {version}, this one knows {len(MIGRATIONS)})",
                hint="upgrade pyconvex, or use a copy of the database from before the upgrade",
            )
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                await connection.execute(statement)
        if version < len(MIGRATIONS):
            await connection.execute("UPDATE pyconvex.layout SET version = %s", (len(MIGRATIONS),))


async def _check_encoding(connection: psycopg.AsyncConnection[tuple[object, ...]], url: str) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != _NEEDED_ENCODING:
        raise StartFailed(
            "DatabaseEncoding",
            f"{shown(url)} has the encoding {encoding}, and it must have {_NEEDED_ENCODING}",
            hint="create another one: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'",
        )


async def _version(connection: psycopg.AsyncConnection[tuple[object, ...]]) -> int:
    # Asked for first: CREATE SCHEMA IF NOT EXISTS takes the right to create one, also when it is there.
    if not await _value(connection, "SELECT to_regnamespace('pyconvex') IS NOT NULL"):
        await connection.execute("CREATE SCHEMA pyconvex")
    if not await _value(connection, "SELECT to_regclass('pyconvex.layout') IS NOT NULL"):
        await connection.execute("CREATE TABLE pyconvex.layout (version integer NOT NULL)")
        await connection.execute("INSERT INTO pyconvex.layout VALUES (0)")
    version = await _value(connection, "SELECT version FROM pyconvex.layout")
    assert isinstance(version, int)
    return version


async def _value(connection: psycopg.AsyncConnection[tuple[object, ...]], query: LiteralString) -> object:
    row = await (await connection.execute(query)).fetchone()
    assert row is not None, "the query has one row"
    return row[0]
