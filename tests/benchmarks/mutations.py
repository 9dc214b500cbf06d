"""Durable mutations inside one process, against raw sqlite3 writing the same rows with one commit for each."""

import asyncio
import itertools
import json
import os
import sqlite3
import struct
import time
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Goal, Row, ratio, raw
from pyconvex.engine.auth.identity import ADMIN
from pyconvex.engine.execution import Call, Caller
from pyconvex.host import Host, HostOptions
from pyconvex.host import run as run_loop

ROUNDS, SECONDS = 5, 1.5
GOALS = {1: None, 16: None, 64: Goal(3, at_least=True)}


def run(scratch: Path) -> list[Row]:
    return run_loop(_run(scratch))


async def _run(scratch: Path) -> list[Row]:
    folder = projects.messages(scratch / "mutations")
    database = _raw_database(scratch / "raw.db")
    async with Host.open(HostOptions(project=folder)) as host:
        await host.reload()
        rows: list[Row] = []
        for callers, goal in GOALS.items():
            samples: dict[str, list[float]] = {"pyconvex": [], "sqlite3": []}
            for _ in range(ROUNDS):
                samples["pyconvex"].append(await _pyconvex(host, callers))
                samples["sqlite3"].append(_sqlite3(database))
            rows.append(
                Row(f"{callers} callers, to sqlite3", ratio(samples, "pyconvex", "sqlite3"), goal, raw(samples, "/s"))
            )
        return rows


async def _pyconvex(host: Host, callers: int) -> float:
    done = 0
    end = time.perf_counter() + SECONDS

    async def caller() -> None:
        nonlocal done
        call = Call(caller=Caller.TESTER, identity=ADMIN, request_id="0" * 16)
        while time.perf_counter() < end:
            message = {"author": f"author {done % 100}", "body": "x" * 100}
            outcome = await host.runner.call("messages:send_one", message, call, internal=True)
            assert outcome.failure is None, outcome.failure.text
            done += 1

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as callers_running:
        for _ in range(callers):
            callers_running.create_task(caller())
    return done / (time.perf_counter() - begun)


def _raw_database(path: Path) -> sqlite3.Connection:
    """The same tables as the store's: documents, and their keys in each of three indexes."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE documents (seq INTEGER PRIMARY KEY, size INTEGER NOT NULL, body BLOB NOT NULL)")
    database.execute(
        "CREATE TABLE entries (idx INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (idx, key))"
        " WITHOUT ROWID"
    )
    return database


def _sqlite3(database: sqlite3.Connection) -> float:
    begun = time.perf_counter()
    for done in itertools.count(1):
        _insert(database, f"author {done % 100}")
        if (seconds := time.perf_counter() - begun) > SECONDS:
            return done / seconds
    raise AssertionError("count never ends")


def _insert(database: sqlite3.Connection, author: str) -> None:
    """The rows that one mutation writes, with one commit."""
    internal, now = os.urandom(16), time.time()
    document = json.dumps({"_id": internal.hex(), "_creationTime": now, "author": author, "body": "x" * 100}).encode()
    created = struct.pack(">d", now) + internal
    database.execute("BEGIN IMMEDIATE")
    seq = database.execute("INSERT INTO documents (size, body) VALUES (?, ?)", (len(document), document)).lastrowid
    entries = [(1, internal, seq), (2, created, seq), (3, author.encode() + created, seq)]
    database.executemany("INSERT INTO entries VALUES (?, ?, ?)", entries)
    database.execute("COMMIT")
