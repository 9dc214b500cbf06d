"""kill -9 in the middle of writing: nothing acknowledged is lost, nothing happens twice, nothing half is visible."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Generator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

import pyconvex
from support.pairs import LIMITS, SCHEMA, check_all, numbers_since, write
from support.postgres import server
from support.stores import LASTING, Database

ROUNDS = int(os.environ.get("PYCONVEX_KILL_ROUNDS", "10"))
WRITER = Path(__file__).with_name("kill_writer.py")
SOURCES = (Path(pyconvex.__file__).parent.parent, WRITER.parent.parent)
PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.faults


class Writer:
    """A process that writes until it is killed, again and again."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None and process.stdout is not None
        self._input: IO[bytes] = process.stdin
        self._output: IO[bytes] = process.stdout

    def write_until_killed(self, first: int, acknowledgements: int) -> dict[int, int]:
        """Number → commit timestamp of each acknowledged write."""
        self._input.write(b"%d\n" % first)
        self._input.flush()
        pid = int(self._output.readline())
        lines = [self._output.readline() for _ in range(acknowledgements)]
        os.kill(pid, signal.SIGKILL)
        while (line := self._output.readline()) != b"dead\n":
            lines.append(line)
        return {int(number): int(ts) for number, ts in (line.split() for line in lines)}


@contextmanager
def writer(database: Database) -> Generator[Writer]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, SOURCES))}
    command = [sys.executable, str(WRITER), database.kind, database.place]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        try:
            yield Writer(process)
        finally:
            process.kill()


@pytest.mark.parametrize("database", LASTING, indirect=True)
def test_a_process_is_killed(database: Database) -> None:
    chance = random.Random(5)
    acknowledged: dict[int, int] = {}
    asyncio.run(_prepare(database))
    with writer(database) as writing:
        first = 0
        for _ in range(ROUNDS):
            newly = writing.write_until_killed(first, acknowledgements=chance.randrange(1, 300))
            first = asyncio.run(_check_round(database, first, newly))
            acknowledged |= newly
    asyncio.run(_check_end(database, acknowledged.keys()))
    assert len(acknowledged) > ROUNDS


async def _prepare(database: Database) -> None:
    async with database.open(SCHEMA):
        pass


async def _check_round(database: Database, first: int, acknowledged: dict[int, int]) -> int:
    """The first number of the next round."""
    async with database.open(limits=LIMITS) as store:
        stored, ts = await numbers_since(store, first)
    assert acknowledged.keys() <= stored
    assert ts >= max(acknowledged.values())
    # The unacknowledged may be there or not; the next round must not meet their numbers.
    return max(stored) + 100


async def _check_end(database: Database, acknowledged: Set[int]) -> None:
    async with database.open(limits=LIMITS) as store:
        stored, _ = await numbers_since(store, 0)
        assert acknowledged <= stored
        await check_all(store)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_postgres_is_killed(database: Database) -> None:
    """The process lives on: what was on its way is settled by the commit record."""
    chance = random.Random(6)
    acknowledged: dict[int, int] = {}
    refused: set[int] = set()

    async def main() -> None:
        async with database.open(SCHEMA, limits=LIMITS) as store:
            writing = asyncio.create_task(write(store, 0, acknowledged.__setitem__, refused=refused))
            try:
                for _ in range(ROUNDS):
                    await until_more(chance.randrange(1, 300))
                    await asyncio.to_thread(server().kill, everything=chance.random() < 0.5)
                    await asyncio.to_thread(server().start)
                await until_more(10)
            finally:
                writing.cancel()
                await asyncio.wait([writing])
            stored, ts = await numbers_since(store, 0)
            assert acknowledged.keys() <= stored
            assert not refused & stored
            assert ts >= max(acknowledged.values())
            assert len(set(acknowledged.values())) == len(acknowledged)
            await check_all(store)

    async def until_more(count: int) -> None:
        wanted = len(acknowledged) + count
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(acknowledged) < wanted:
                await asyncio.sleep(0.001)

    asyncio.run(main())
    print(f"{len(acknowledged)} acknowledged, {len(refused)} refused")
