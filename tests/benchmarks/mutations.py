"""Durable mutations inside one process, against raw sqlite3 with one commit for each insert."""

import asyncio
import itertools
import json
import sqlite3
import time
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Goal, Row, ratio, raw
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.identity import ADMIN
from pyconvex.host import Host, HostOptions

ROUNDS, SECONDS = 5, 1.5
GOALS = {1: None, 16: None, 64: Goal(3, at_least=True)}


def run(scratch: Path) -> list[Row]:
    return asyncio.run(_run(scratch))


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
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, author TEXT, created REAL, document TEXT)")
    database.execute("CREATE INDEX by_author ON messages (author, created)")
    database.execute("CREATE INDEX by_creation ON messages (created)")
    return database


def _sqlite3(database: sqlite3.Connection) -> float:
    begun = time.perf_counter()
    for done in itertools.count(1):
        now = time.time()
        author = f"author {done % 100}"
        document = json.dumps({"author": author, "body": "x" * 100, "_creationTime": now})
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO messages (author, created, document) VALUES (?, ?, ?)", (author, now, document))
        database.execute("COMMIT")
        if (seconds := time.perf_counter() - begun) > SECONDS:
            return done / seconds
    raise AssertionError("count never ends")
