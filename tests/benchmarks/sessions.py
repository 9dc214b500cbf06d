"""Memory of a session that has one live query and nothing to do, beside a bare WebSocket of the same Hypercorn."""

import asyncio
import statistics
from contextlib import ExitStack
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Row
from benchmarks.processes import BIN, Server, serving, serving_peer
from benchmarks.sockets import Arrivals, connect_many, subscribe

SESSIONS, ROUNDS = 1000, 3
PATIENCE_SECONDS = 60.0
SETTLE_SECONDS = 0.5


def run(scratch: Path) -> list[Row]:
    ours: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        with ExitStack() as servers:
            folder = projects.board(scratch / f"board-{number}")
            command = [BIN / "pyconvex", "dev", "--port", "{port}", "--ephemeral"]
            server = servers.enter_context(serving(command, folder=folder, path="/version"))
            ours.append(asyncio.run(_grown(server, "/api/1.48.0/sync", subscribes=True)))
            (scratch / str(number)).mkdir()
            hub = servers.enter_context(serving_peer("broadcast", scratch / str(number)))
            bare.append(asyncio.run(_grown(hub, "/sub", subscribes=False)))
    note = f"{SESSIONS:,} sessions; a bare WebSocket {statistics.median(bare):.1f} KiB"
    return [Row("one idle session", statistics.median(ours), None, note, unit="KiB")]


async def _grown(server: Server, path: str, *, subscribes: bool) -> float:
    """By how much the process grew for each socket, in KiB; the first hundred are not counted."""
    arrivals = Arrivals()
    clients = await connect_many(server.port, path, 100, lambda _: None)
    before = 0.0
    for count in (100, SESSIONS):
        more = await connect_many(server.port, path, count, arrivals)
        if subscribes:
            done = arrivals.expect(count)
            for client in more:
                await subscribe(client, [("board:newest", {})])
            await asyncio.wait_for(done, PATIENCE_SECONDS)
        clients += more
        await asyncio.sleep(SETTLE_SECONDS)
        if count == 100:
            before = _resident_kib(server.pid)
    grown = _resident_kib(server.pid) - before
    for client in clients:
        client.close()
    return grown / SESSIONS


def _resident_kib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmRSS:")).split()[1])
