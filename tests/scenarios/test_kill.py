"""kill -9 in the middle of writes: what was acknowledged is there, and no half of a mutation is."""

import concurrent.futures
import contextlib
import http.client
import json
import os
from pathlib import Path

import pytest

from support.dev import Dev, dev, wait_until

ROUNDS = int(os.environ.get("PYCONVEX_KILL_ROUNDS", "3"))
WRITERS = 8
WRITES_BEFORE_THE_KILL = 60

FUNCTIONS = """\
from ._generated.server import MutationCtx, QueryCtx, mutation, query


@mutation
async def pair(ctx: MutationCtx, key: str) -> None:
    await ctx.db.insert("left", {"key": key})
    await ctx.db.insert("right", {"key": key})


@query
async def stored(ctx: QueryCtx):
    left = [document["key"] for document in await ctx.db.query("left").collect()]
    right = [document["key"] for document in await ctx.db.query("right").collect()]
    return {"left": left, "right": right}
"""


class Writers:
    def __init__(self, running: Dev, round_number: int) -> None:
        self._running = running
        self._round = round_number
        self.acknowledged: list[str] = []

    def write(self, writer: int) -> None:
        """Write until the server is gone, keeping what it acknowledged."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            for number in range(100_000):
                key = f"{self._round}-{writer}-{number}"
                call = json.dumps({"path": "pairs:pair", "args": {"key": key}})
                reply = self._running.fetch(
                    "POST", "/api/mutation", call, {"Content-Type": "application/json"}, port=self._running.port
                )
                assert reply.status == 200, reply.text
                assert reply.json["status"] == "success", reply.text
                self.acknowledged.append(key)


@pytest.mark.faults
def test_kill_loses_nothing_and_halves_nothing(tmp_path: Path) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "pairs.py").write_text(FUNCTIONS)
    acknowledged: set[str] = set()
    for round_number in range(ROUNDS):
        with dev(tmp_path) as running, concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            writers = Writers(running, round_number)
            tasks = [pool.submit(writers.write, writer) for writer in range(WRITERS)]
            wait_until(lambda: len(writers.acknowledged) >= WRITES_BEFORE_THE_KILL, "writes are acknowledged")  # noqa: B023
            running.kill()
            for task in tasks:
                task.result()
        acknowledged.update(writers.acknowledged)
    left, right = _stored(tmp_path)
    assert left == right
    assert acknowledged - set(left) == set()
    assert len(left) == len(set(left))


def _stored(folder: Path) -> tuple[list[str], list[str]]:
    with dev(folder) as running:
        call = json.dumps({"path": "pairs:stored", "args": {}})
        reply = running.fetch("POST", "/api/query", call, {"Content-Type": "application/json"}, port=running.port)
        assert reply.json["status"] == "success", reply.text
        return sorted(reply.json["value"]["left"]), sorted(reply.json["value"]["right"])
