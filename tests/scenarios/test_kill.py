"""kill -9 in the middle of writes: what was acknowledged is there, and no half of a mutation is."""

import concurrent.futures
import contextlib
import http.client
import json
import os
from pathlib import Path

import pytest

from pyconvex.host.database import SQLITE_FILE
from support.dev import Dev, dev, wait_until
from support.stores import LASTING, database_of

ROUNDS = int(os.environ.get("PYCONVEX_KILL_ROUNDS", "3"))
WRITERS = 8
WRITES_BEFORE_THE_KILL = 60

SCHEMA = """\
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

side = define_table({"round": v.number(), "key": v.string()}).index("by_round", ["round"])
default = define_schema({"left": side, "right": side})
"""
FUNCTIONS = """\
from ._generated.server import MutationCtx, QueryCtx, mutation, query


@mutation
async def pair(ctx: MutationCtx, round: int, key: str) -> None:
    await ctx.db.insert("left", {"round": round, "key": key})
    await ctx.db.insert("right", {"round": round, "key": key})


@query
async def stored(ctx: QueryCtx, round: int):
    return {side: await keys(ctx, side, round) for side in ("left", "right")}


async def keys(ctx: QueryCtx, side: str, round: int):
    found = ctx.db.query(side).with_index("by_round", lambda q: q.eq("round", round))
    return [document["key"] for document in await found.collect()]
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
                call = json.dumps({"path": "pairs:pair", "args": {"round": self._round, "key": key}})
                reply = self._running.fetch(
                    "POST", "/api/mutation", call, {"Content-Type": "application/json"}, port=self._running.port
                )
                assert reply.status == 200, reply.text
                assert reply.json["status"] == "success", reply.text
                self.acknowledged.append(key)


@pytest.mark.faults
@pytest.mark.parametrize("kind", LASTING)
def test_kill_loses_nothing_and_halves_nothing(kind: str, tmp_path: Path) -> None:
    with database_of(kind, tmp_path) as database:
        _kill_again_and_again(tmp_path, {"PYCONVEX_DATABASE": database.place} if kind == "postgres" else {})
    assert (tmp_path / ".pyconvex" / SQLITE_FILE).exists() == (kind == "file")


def _kill_again_and_again(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "schema.py").write_text(SCHEMA)
    (tmp_path / "convex" / "pairs.py").write_text(FUNCTIONS)
    acknowledged: set[str] = set()
    for round_number in range(ROUNDS):
        with dev(tmp_path, environment=environment) as running, concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            writers = Writers(running, round_number)
            tasks = [pool.submit(writers.write, writer) for writer in range(WRITERS)]
            wait_until(lambda: len(writers.acknowledged) >= WRITES_BEFORE_THE_KILL, "writes are acknowledged")  # noqa: B023
            running.kill()
            for task in tasks:
                task.result()
        acknowledged.update(writers.acknowledged)
    left, right = _stored(tmp_path, environment)
    assert left == right
    assert acknowledged - set(left) == set()
    assert len(left) == len(set(left))


def _stored(folder: Path, environment: dict[str, str]) -> tuple[list[str], list[str]]:
    """The keys of both sides, of one round after another."""
    left: list[str] = []
    right: list[str] = []
    with dev(folder, environment=environment) as running:
        for round_number in range(ROUNDS):
            call = json.dumps({"path": "pairs:stored", "args": {"round": round_number}})
            reply = running.fetch("POST", "/api/query", call, {"Content-Type": "application/json"}, port=running.port)
            assert reply.json["status"] == "success", reply.text
            left += sorted(reply.json["value"]["left"])
            right += sorted(reply.json["value"]["right"])
    return left, right
