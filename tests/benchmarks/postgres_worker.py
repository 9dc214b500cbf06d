"""One of the processes that postgres.py measures: a node of pyconvex, or raw psycopg.

It is asked on stdin and answers each line with a number.
"""

import asyncio
import itertools
import json
import os
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg

from pyconvex.engine.auth.identity import ADMIN
from pyconvex.engine.execution import Call, Caller
from pyconvex.host import Host, HostOptions
from pyconvex.host import run as run_loop

SEED_DOCUMENTS = 1_000

DOCUMENT = b"INSERT INTO documents (size, body) VALUES (%b, %b)"
ENTRIES = b"""INSERT INTO entries SELECT idx, key, currval('documents_seq_seq')
FROM unnest(%b::bigint[], %b::bytea[]) AS u (idx, key)"""

Work = Callable[[int], Awaitable[object]]
"""One insert by the caller of that number, or what so many callers need beforehand."""


async def pyconvex(url: str, folder: Path) -> None:
    async with Host.open(HostOptions(project=folder, database=url)) as host:
        await host.reload()
        numbers = itertools.count()

        async def call(function: str, **arguments: object) -> None:
            tester = Call(caller=Caller.TESTER, identity=ADMIN, request_id="0" * 16)
            outcome = await host.runner.call(f"messages:{function}", arguments, tester, internal=True)
            assert outcome.failure is None, outcome.failure.text

        async def insert(_caller: int) -> None:
            await call("send_one", author=f"author {next(numbers) % 100}", body="x" * 100)

        async def fill(count: int) -> None:
            for _ in range(0, count, SEED_DOCUMENTS):
                await call("seed", count=SEED_DOCUMENTS)

        async def prepare(callers: int) -> None:
            await asyncio.gather(*[insert(caller) for caller in range(callers)])

        await _serve(insert, prepare, fill)


async def raw(url: str, _folder: Path) -> None:
    connections: list[psycopg.AsyncConnection] = []
    numbers = itertools.count()

    async def insert(caller: int) -> None:
        """The rows that one mutation writes; all its statements are on their way at once."""
        author = f"author {next(numbers) % 100}"
        internal, now = os.urandom(16), time.time()
        created = struct.pack(">d", now) + internal
        body = json.dumps({"_id": internal.hex(), "_creationTime": now, "author": author, "body": "x" * 100})
        connection = connections[caller]
        async with connection.pipeline(), connection.transaction():
            await connection.execute(DOCUMENT, (len(body), body), prepare=True)
            keys = [internal, created, author.encode() + created]
            await connection.execute(ENTRIES, ([1, 2, 3], keys), prepare=True)

    async def prepare(callers: int) -> None:
        while len(connections) < callers:
            connections.append(await psycopg.AsyncConnection.connect(url, autocommit=True))

    await _serve(insert, prepare)


async def _serve(insert: Work, prepare: Work, fill: Work | None = None) -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        what, *numbers = line.split()
        if what == "fill" and fill is not None:
            await fill(int(numbers[0]))
            print(1, flush=True)
        else:
            await prepare(int(numbers[0]))
            print(await _rate(insert, int(numbers[0]), float(numbers[1])), flush=True)


async def _rate(insert: Work, callers: int, seconds: float) -> float:
    begun = time.perf_counter()
    done = 0

    async def caller(number: int) -> None:
        nonlocal done
        while time.perf_counter() - begun < seconds:
            await insert(number)
            done += 1

    await asyncio.gather(*[caller(number) for number in range(callers)])
    return done / (time.perf_counter() - begun)


if __name__ == "__main__":
    kind, place, project = sys.argv[1:]
    run_loop((pyconvex if kind == "pyconvex" else raw)(place, Path(project)))
