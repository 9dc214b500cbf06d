"""Durable writes and index reads through HTTP, against the two ways a Python developer would write them."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import projects
from benchmarks.load import drive, get_request, post_requests
from benchmarks.measure import Goal, Row, alternate, ratio, raw
from benchmarks.processes import BIN, Server, get, serving, serving_peer

ROUNDS, SECONDS, CONNECTIONS, STORED = 5, 2.0, 16, 100_000


def run(scratch: Path) -> list[Row]:
    with ExitStack() as servers:
        cases = _start(scratch, servers)
        for server in cases.values():
            for _ in range(10):
                assert get(server.port, f"/seed?count={STORED // 10}", timeout=60) is not None
        writes = _measure(cases, lambda: post_requests("/postMessage", _message))
        reads = _measure(cases, lambda: get_request("/getMessagesByAuthor?author=author%207"))
    return [*_rows("write", writes), *_rows("read", reads)]


def _start(scratch: Path, servers: ExitStack) -> dict[str, Server]:
    dev = [BIN / "pyconvex", "dev", "--site-port", "{port}"]
    folder = projects.messages(scratch / "messages")
    return {
        "pyconvex": servers.enter_context(serving(dev, folder=folder)),
        "Starlette": servers.enter_context(serving_peer("starlette_sqlite", scratch)),
        "SQLAlchemy": servers.enter_context(serving_peer("fastapi_sqlalchemy", scratch)),
    }


def _message(number: int) -> bytes:
    return json.dumps({"author": f"author {number % 100}", "body": "x" * 100}).encode()


def _measure(cases: dict[str, Server], request: Callable[[], Callable[[], bytes]]) -> dict[str, list[float]]:
    def throughput(server: Server) -> Callable[[], float]:
        return lambda: drive(server.port, request(), connections=CONNECTIONS, seconds=SECONDS).per_second

    return alternate(ROUNDS, {name: throughput(server) for name, server in cases.items()})


def _rows(what: str, samples: dict[str, list[float]]) -> list[Row]:
    return [
        Row(
            f"{what}, to Starlette and sqlite3",
            ratio(samples, "pyconvex", "Starlette"),
            Goal(0.6, at_least=True),
            raw(samples, "/s"),
        ),
        Row(f"{what}, to FastAPI and SQLAlchemy", ratio(samples, "pyconvex", "SQLAlchemy"), Goal(4, at_least=True), ""),
    ]
