"""kill -9 in the middle of writing: nothing acknowledged is lost, nothing half is visible."""

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pyconvex
from pyconvex.clock import SystemClock
from pyconvex.settings import Limits
from pyconvex.store.sqlite import SqlitePersistence
from pyconvex.store.store import Store
from pyconvex.values import Value
from pyconvex.values.ids import decode_id

ROUNDS = int(os.environ.get("PYCONVEX_KILL_ROUNDS", "5"))
WRITER = Path(__file__).with_name("kill_writer.py")


def test_no_acknowledged_write_is_lost_and_none_is_half_done(tmp_path: Path) -> None:
    path = tmp_path / "pyconvex.db"
    chance = random.Random(5)
    acknowledged: dict[int, int] = {}
    first = 0
    for _ in range(ROUNDS):
        acknowledged |= write_until_killed(path, first, acknowledgements=chance.randrange(1, 400))
        pairs, ts = asyncio.run(contents(path))
        left, right = pairs
        assert left == right
        assert acknowledged.keys() <= left.keys()
        assert ts >= max(acknowledged.values())
        # The unacknowledged may be there or not; the next round must not meet their numbers.
        first = max(left) + 100
    assert len(acknowledged) > ROUNDS


def write_until_killed(path: Path, first: int, acknowledgements: int) -> dict[int, int]:
    """Number → commit timestamp of each acknowledged write."""
    environment = {**os.environ, "PYTHONPATH": str(Path(pyconvex.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, str(WRITER), str(path), str(first)], stdout=subprocess.PIPE, env=environment
    ) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledgements)]
        writer.kill()
        rest = writer.stdout.read().split(b"\n")[:-1]  # The last one may be cut off.
    assert all(lines), "the writer ended by itself"
    return {int(number): int(ts) for number, ts in (line.split() for line in [*lines, *rest])}


async def contents(path: Path) -> tuple[list[dict[int, str]], int]:
    """The numbers and paddings of both tables, checked against each other way of finding them; the newest timestamp."""
    store = Store(
        SqlitePersistence(path), Limits(read_documents=10**6, read_bytes=2**40, read_ranges=10**6), SystemClock()
    )
    await store.open()
    try:
        async with store.snapshot() as transaction:
            sides: list[dict[int, str]] = []
            for table in ("left", "right"):
                found: list[list[dict[str, Value]]] = []
                for name in ("by_id", "by_creation_time", "by_n"):
                    index = transaction.index(table, name)
                    assert index is not None
                    found.append(sorted(await transaction.take(index), key=lambda document: str(document["_id"])))
                assert found[0] == found[1] == found[2]
                for document in found[0][::50]:
                    assert await transaction.get(decode_id(str(document["_id"]))) == document
                sides.append({int(str(document["n"])): str(document["padding"]) for document in found[0]})
            return sides, transaction.ts
    finally:
        await store.close()
