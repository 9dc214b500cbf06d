"""Building an index on documents that are there, against raw inserts of the same entries in the same batches."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.databases import postgres
from benchmarks.measure import Row, Samples, ratio, raw
from pyconvex.clock import SystemClock
from pyconvex.host import run as run_loop
from pyconvex.schema import Schema, define_schema, define_table
from pyconvex.settings import Limits
from pyconvex.store.persistence import Persistence
from pyconvex.store.postgres.persistence import PostgresPersistence
from pyconvex.store.schema.backfill import CHUNK_DOCUMENTS
from pyconvex.store.sqlite.persistence import SqlitePersistence
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import v
from pyconvex.values.keys import encode_key

DOCUMENTS = int(os.environ.get("PYCONVEX_BENCH_DOCUMENTS", "100000"))
ROUNDS = 5
FILL_DOCUMENTS = 5_000

Entry = tuple[int, bytes, int]
RawInsert = Callable[[Sequence[Entry]], object]


def run(scratch: Path) -> list[Row]:
    with postgres() as ours, postgres() as theirs, _raw_postgres(theirs) as insert:
        return [
            run_loop(_measure("sqlite", SqlitePersistence(scratch / "pyconvex.db"), _raw_sqlite(scratch / "raw.db"))),
            run_loop(_measure("postgres", PostgresPersistence(ours), insert)),
        ]


async def _measure(name: str, persistence: Persistence, insert: RawInsert) -> Row:
    store = Store(persistence, Limits(), SystemClock())
    await store.open()
    try:
        plain, indexed = _schema(), _schema("by_author")
        await store.activate(plain)
        for first in range(0, DOCUMENTS, FILL_DOCUMENTS):
            await store.mutate(lambda transaction, first=first: _fill(transaction, first))
        samples: Samples = {"pyconvex": [], "raw": []}
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            await store.activate(indexed)
            samples["pyconvex"].append(DOCUMENTS / (time.perf_counter() - begun))
            await store.activate(plain)
            samples["raw"].append(await asyncio.to_thread(_raw_rate, insert))
        return Row(f"{name}, to raw inserts", ratio(samples, "pyconvex", "raw"), None, raw(samples, "documents/s"))
    finally:
        await store.close()


def _schema(*indexes: str) -> Schema:
    table = define_table({"author": v.string(), "body": v.string()})
    for name in indexes:
        table = table.index(name, ["author"])
    return define_schema({"documents": table})


async def _fill(transaction: Transaction, first: int) -> None:
    for number in range(first, first + FILL_DOCUMENTS):
        await transaction.insert("documents", {"author": _author(number), "body": "x" * 100})


def _author(number: int) -> str:
    return f"author {number % 997}"


def _raw_rate(insert: RawInsert) -> float:
    begun = time.perf_counter()
    index = int(begun * 1000)  # a new one each time
    for first in range(0, DOCUMENTS, CHUNK_DOCUMENTS):
        numbers = range(first, min(first + CHUNK_DOCUMENTS, DOCUMENTS))
        insert([(index, encode_key((_author(number), float(number), "x" * 32)), number) for number in numbers])
    return DOCUMENTS / (time.perf_counter() - begun)


def _raw_sqlite(path: Path) -> RawInsert:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(
        "CREATE TABLE entries (idx INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (idx, key))"
        " WITHOUT ROWID"
    )

    def insert(entries: Sequence[Entry]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO entries VALUES (?, ?, ?)", entries)
        database.execute("COMMIT")

    return insert


@contextmanager
def _raw_postgres(url: str) -> Generator[RawInsert]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE entries (idx bigint, key bytea, seq bigint, PRIMARY KEY (idx, key) INCLUDE (seq))"
        )

        def insert(entries: Sequence[Entry]) -> None:
            columns = [list(column) for column in zip(*entries, strict=True)]
            connection.execute(
                "INSERT INTO entries SELECT * FROM unnest(%s::bigint[], %s::bytea[], %s::bigint[])", columns
            )

        yield insert
