"""Requests per second of a trivial HTTP action, against a bare ASGI application and FastAPI on the same Hypercorn."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import projects
from benchmarks.load import drive, get_request
from benchmarks.measure import Goal, Row, alternate, ratio, raw
from benchmarks.processes import BIN, Server, serving, serving_peer

ROUNDS, SECONDS = 5, 2.0


def run(scratch: Path) -> list[Row]:
    with ExitStack() as servers:
        cases = _start(scratch, servers)
        return [row for connections in (16, 64) for row in _rows(cases, connections)]


def _start(scratch: Path, servers: ExitStack) -> dict[str, Server]:
    dev = [BIN / "pyconvex", "dev", "--site-port", "{port}"]
    folder = projects.hello(scratch / "hello")
    return {
        "pyconvex": servers.enter_context(serving(dev, folder=folder)),
        "bare ASGI": servers.enter_context(serving_peer("bare_asgi", scratch)),
        "FastAPI": servers.enter_context(serving_peer("fastapi_hello", scratch)),
    }


def _rows(cases: dict[str, Server], connections: int) -> list[Row]:
    def throughput(server: Server) -> Callable[[], float]:
        return lambda: drive(server.port, get_request("/"), connections=connections, seconds=SECONDS).per_second

    samples = alternate(ROUNDS, {name: throughput(server) for name, server in cases.items()})
    figures = raw(samples, "/s")
    return [
        Row(
            f"{connections} connections, to bare ASGI",
            ratio(samples, "pyconvex", "bare ASGI"),
            Goal(0.8, at_least=True),
            figures,
        ),
        Row(
            f"{connections} connections, to FastAPI",
            ratio(samples, "pyconvex", "FastAPI"),
            Goal(1.3, at_least=True),
            "",
        ),
    ]
