"""Commit → every subscriber has the Transition, to a bare Hypercorn broadcast of messages of the same size.

All clients subscribe to the same query. A measurement begins with the commit's own timestamp, that of the bare hub with
the first message of its broadcast; both end when the last client has read its message. Documents are in memory, so that
the time of a disk does not count. Requests are sent in rounds of their own, while commits go on.
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
from benchmarks.measure import Goal, Row, Samples, ratio, raw
from benchmarks.pinger import pinging
from benchmarks.processes import BIN, Server, serving, serving_peer
from benchmarks.sockets import Arrivals, Client, connect, connect_many, subscribe
from pyconvex.values.timestamps import decode_timestamp

CLIENTS = (1, 100, 1000)
ROUNDS, PUSHES = 5, 10
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.03
MESSAGE_BYTES = 200
"""Of the document; the Transition around it is longer."""


def run(scratch: Path) -> list[Row]:
    with ExitStack() as servers:
        command = [BIN / "pyconvex", "dev", "--port", "{port}", "--ephemeral"]
        ours = servers.enter_context(serving(command, folder=projects.board(scratch / "board"), path="/version"))
        bare = servers.enter_context(serving_peer("broadcast", scratch))
        return [row for clients in CLIENTS for row in _rows(ours, bare, clients)]


def _rows(ours: Server, bare: Server, clients: int) -> list[Row]:
    samples, latencies = asyncio.run(_measure(ours, bare, clients))
    goal = Goal(1.2) if clients > 1 else None
    rows = [
        Row(
            f"{clients:,} clients, to a bare broadcast", ratio(samples, "pyconvex", "bare"), goal, raw(samples, "ms", 2)
        )
    ]
    if clients > 1:
        p99 = statistics.quantiles(latencies, n=100)[98]
        note = (
            f"{len(latencies):,} requests, median {statistics.median(latencies):.1f} ms, worst {max(latencies):.1f} ms"
        )
        rows.append(Row(f"{clients:,} clients, p99 of a trivial request", p99, Goal(15), note, unit="ms"))
    return rows


async def _measure(ours: Server, bare: Server, clients: int) -> tuple[Samples, list[float]]:
    samples: Samples = {"pyconvex": [], "bare": []}
    latencies: list[float] = []
    async with _session(ours.port, clients) as session:
        size = await session.warm_up()
        async with _hub(bare.port, clients, size) as hub:
            await hub.push()
            for _ in range(ROUNDS):
                samples["pyconvex"].append(await _median(session))
                samples["bare"].append(await _median(hub))
                with pinging(ours.port, "/http/hello", latencies):  # apart, since the hub is asked nothing meanwhile
                    await _median(session)
    return samples, latencies


async def _median(pushed: "_Session | _Hub") -> float:
    """Of a few pushes, in ms."""
    found: list[float] = []
    for _ in range(PUSHES):
        found.append(await pushed.push())
        await asyncio.sleep(PAUSE_SECONDS)
    return statistics.median(found)


class _Session:
    """Clients of pyconvex with the same query, and one that commits."""

    def __init__(self, writer: Client, count: int, arrivals: Arrivals) -> None:
        self._writer = writer
        self._count = count
        self._arrivals = arrivals
        self._requests = 0

    async def warm_up(self) -> int:
        """The size of a Transition."""
        for _ in range(3):
            await self.push()
        return len(self._arrivals.last)

    async def push(self) -> float:
        done = self._arrivals.expect(self._count)
        number, self._requests = self._requests, self._requests + 1
        args = [{"body": f"{number:08}".ljust(MESSAGE_BYTES, "x")}]
        self._writer.say({"type": "Mutation", "requestId": number, "udfPath": "board:write", "args": args})
        await asyncio.wait_for(done, PATIENCE_SECONDS)
        now = time.time_ns()
        return (now - decode_timestamp(json.loads(self._arrivals.last)["endVersion"]["ts"])) / 1e6


class _Hub:
    def __init__(self, pusher: Client, count: int, arrivals: Arrivals) -> None:
        self._pusher = pusher
        self._count = count
        self._arrivals = arrivals

    async def push(self) -> float:
        done = self._arrivals.expect(self._count)
        self._pusher.say("push")
        await asyncio.wait_for(done, PATIENCE_SECONDS)
        now = time.time_ns()
        return (now - int(self._arrivals.last.rstrip(b"x"))) / 1e6


@contextlib.asynccontextmanager
async def _session(port: int, count: int) -> AsyncGenerator[_Session]:
    arrivals = Arrivals()
    readers = await connect_many(port, "/api/1.48.0/sync", count, arrivals)
    first = arrivals.expect(count)
    for reader in readers:
        await subscribe(reader, [("board:newest", {})])
    await asyncio.wait_for(first, PATIENCE_SECONDS)
    writer = await connect(port, "/api/1.48.0/sync", lambda _: None)
    await subscribe(writer, [])
    try:
        yield _Session(writer, count, arrivals)
    finally:
        for client in (*readers, writer):
            client.close()


@contextlib.asynccontextmanager
async def _hub(port: int, count: int, size: int) -> AsyncGenerator[_Hub]:
    arrivals = Arrivals()
    readers = await connect_many(port, "/sub", count, arrivals)
    pusher = await connect(port, f"/push?{size}", lambda _: None)
    try:
        yield _Hub(pusher, count, arrivals)
    finally:
        for client in (*readers, pusher):
            client.close()
