"""Commit → its one subscriber has the Transition, among 10,000 distinct live queries and among 100.

Each query reads one room through an index, and each commit writes into one room.
"""

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Goal, Row, alternate_async, ratio, raw
from benchmarks.processes import BIN, serving
from benchmarks.sockets import Arrivals, Client, connect, connect_many, subscribe
from pyconvex.values.timestamps import decode_timestamp

FEW, MANY = 100, 10_000
SOCKETS = 50
ROUNDS, COMMITS = 5, 40
PATIENCE_SECONDS = 120.0


def run(scratch: Path) -> list[Row]:
    with ExitStack() as servers:
        command = [BIN / "pyconvex", "dev", "--port", "{port}", "--ephemeral"]
        ports = {
            queries: servers.enter_context(
                serving(command, folder=projects.board(scratch / f"board-{queries}"), path="/version")
            ).port
            for queries in (FEW, MANY)
        }
        samples = asyncio.run(_measure(ports))
    figure = ratio(samples, f"{MANY:,} queries", f"{FEW:,} queries")
    return [Row(f"{MANY:,} live queries, to {FEW}", figure, Goal(2), raw(samples, "ms", 2))]


async def _measure(ports: dict[int, int]) -> dict[str, list[float]]:
    async with contextlib.AsyncExitStack() as sessions:
        rooms = {queries: await sessions.enter_async_context(_rooms(port, queries)) for queries, port in ports.items()}
        return await alternate_async(ROUNDS, {f"{queries:,} queries": each.median for queries, each in rooms.items()})


class _Rooms:
    """One live query for each of so many rooms, and a client that writes into them."""

    def __init__(self, writer: Client, count: int, arrivals: Arrivals) -> None:
        self._writer = writer
        self._count = count
        self._arrivals = arrivals
        self._requests = 0

    async def median(self) -> float:
        """Of a few commits, in ms."""
        return statistics.median([await self._commit() for _ in range(COMMITS)])

    async def _commit(self) -> float:
        done = self._arrivals.expect(1)
        number, self._requests = self._requests, self._requests + 1
        args = [{"body": f"note {number}", "room": number * 7919 % self._count}]
        self._writer.say({"type": "Mutation", "requestId": number, "udfPath": "board:write", "args": args})
        await asyncio.wait_for(done, PATIENCE_SECONDS)
        now = time.time_ns()
        return (now - decode_timestamp(json.loads(self._arrivals.last)["endVersion"]["ts"])) / 1e6


@contextlib.asynccontextmanager
async def _rooms(port: int, count: int) -> AsyncGenerator[_Rooms]:
    arrivals = Arrivals()
    readers = await connect_many(port, "/api/1.48.0/sync", SOCKETS, arrivals)
    subscribed = arrivals.expect(SOCKETS)
    for first, reader in enumerate(readers):
        await subscribe(reader, [("board:in_room", {"room": room}) for room in range(first, count, SOCKETS)])
    await asyncio.wait_for(subscribed, PATIENCE_SECONDS)
    writer = await connect(port, "/api/1.48.0/sync", lambda _: None)
    await subscribe(writer, [])
    try:
        yield _Rooms(writer, count, arrivals)
    finally:
        for client in (*readers, writer):
            client.close()
