"""File saved → first response from the new code, under light load: nothing may fail, and no socket be lost."""

import asyncio
import contextlib
import re
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Goal, Row, raw
from benchmarks.processes import BIN, PEERS, serving
from benchmarks.sockets import Arrivals, connect_many, subscribe
from support.ports import free_port

SAVES, ROUNDS = 10, 5
LIGHT_LOAD_PER_SECOND = 20
SOCKETS = 20
"""Sessions with a live query each, open all the time."""
REQUEST_SECONDS = 2.0
"""After which an unanswered request has failed: a server that restarts may leave one hanging."""


@dataclass(slots=True)
class Counts:
    answered: int = 0
    failed: int = 0
    lost: int = 0
    seconds: list[float] = field(default_factory=list[float])


def run(scratch: Path) -> list[Row]:
    with ExitStack() as servers:
        cases: dict[str, _Case] = {}
        for modules in (10, 100, 500):
            folder = projects.marked(scratch / f"modules-{modules}", modules)
            api_port = free_port()
            command = [BIN / "pyconvex", "dev", "--site-port", "{port}", "--port", str(api_port)]
            server = servers.enter_context(serving(command, folder=folder))
            cases[f"{modules} modules"] = _Case(server.port, folder / "convex" / "http.py", api_port)
        folder = scratch / "uvicorn"
        folder.mkdir()
        module = folder / "starlette_reload.py"
        module.write_text((PEERS / "starlette_reload.py").read_text())
        command = [BIN / "uvicorn", "starlette_reload:app", "--port", "{port}", "--reload"]
        server = servers.enter_context(serving(command, folder=folder))
        cases["uvicorn --reload"] = _Case(server.port, module)
        return _rows(_measure(cases))


@dataclass(frozen=True, slots=True)
class _Case:
    port: int
    module: Path
    """The file that is saved."""
    api_port: int | None = None
    """Where WebSockets are served, if they are."""


def _measure(cases: dict[str, _Case]) -> dict[str, Counts]:
    counts = {name: Counts() for name in cases}
    for round_number in range(ROUNDS):
        for name, case in cases.items():
            asyncio.run(_with_sockets(case, round_number * SAVES, counts[name]))
    return counts


async def _with_sockets(case: _Case, first: int, counts: Counts) -> None:
    if case.api_port is None:
        await _saves(case.port, case.module, first, counts)
        return
    arrivals = Arrivals()
    clients = await connect_many(case.api_port, "/api/1.48.0/sync", SOCKETS, arrivals)
    answered = arrivals.expect(SOCKETS)
    for client in clients:
        await subscribe(client, [("module_0:listed", {})])
    await asyncio.wait_for(answered, 20)
    await _saves(case.port, case.module, first, counts)
    counts.lost += sum(client.lost for client in clients)
    for client in clients:
        client.close()


def _rows(counts: dict[str, Counts]) -> list[Row]:
    milliseconds = {name: [1000 * value for value in count.seconds] for name, count in counts.items()}
    medians = {name: statistics.median(values) for name, values in milliseconds.items()}
    rows = [
        Row(f"{name}, median", medians[name], goal, raw({"": milliseconds[name]}, "ms", 1).strip(), unit="ms")
        for name, goal in (("10 modules", Goal(25)), ("100 modules", Goal(40)), ("500 modules", None))
    ]
    peers = {name: milliseconds[name] for name in ("10 modules", "uvicorn --reload")}
    rows.append(
        Row(
            "10 modules, to uvicorn",
            medians["10 modules"] / medians["uvicorn --reload"],
            Goal(0.06),
            raw(peers, "ms", 1),
        )
    )
    uvicorn_failed = counts["uvicorn --reload"].failed
    ours = [count for name, count in counts.items() if name.endswith("modules")]
    rows.append(
        Row(
            "failed or refused requests",
            sum(count.failed for count in ours),
            Goal(0),
            f"{sum(count.answered for count in ours):,} answered; uvicorn --reload failed {uvicorn_failed}",
            unit="",
        )
    )
    rows.append(Row("lost WebSockets", sum(count.lost for count in ours), Goal(0), f"{SOCKETS} sessions each", unit=""))
    return rows


async def _saves(port: int, module: Path, first: int, counts: Counts) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_light_load(port, counts, stop))
        for number in range(first + 1, first + SAVES + 1):
            # Another length each time: else Python's bytecode cache gives a server that restarts the old code.
            marker = f"version-{number}{'.' * (number % 3)}"
            text = re.sub(r"version-\d+\.*", marker, module.read_text())
            begun = time.perf_counter()
            module.write_text(text)
            await _until_answered(port, marker, counts)
            counts.seconds.append(time.perf_counter() - begun)
            await asyncio.sleep(0.15)
        stop.set()


async def _until_answered(port: int, marker: str, counts: Counts) -> None:
    async with asyncio.timeout(20):
        while marker not in await _request(port, counts):
            await asyncio.sleep(0.001)


async def _light_load(port: int, counts: Counts, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await _request(port, counts)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1 / LIGHT_LOAD_PER_SECOND)


async def _request(port: int, counts: Counts) -> str:
    reply = ""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(REQUEST_SECONDS):
            reply = await _get(port)
    if reply.startswith("HTTP/1.1 200"):
        counts.answered += 1
    else:
        counts.failed += 1
    return reply


async def _get(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return (await reader.read()).decode()
    finally:
        writer.close()
