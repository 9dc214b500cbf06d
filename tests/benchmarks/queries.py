"""Queries per second over `/api/query`, to a trivial HTTP action of the same deployment."""

from collections.abc import Callable
from pathlib import Path

from benchmarks import projects
from benchmarks.load import drive, get_request, post_requests
from benchmarks.measure import Row, alternate, ratio, raw
from benchmarks.processes import BIN, post, serving

ROUNDS, SECONDS, CONNECTIONS = 5, 2.0, 16
_CALL = '{"path":"board:%s","args":{},"format":"convex_encoded_json"}'


def run(scratch: Path) -> list[Row]:
    command = [BIN / "pyconvex", "dev", "--port", "{port}", "--ephemeral"]
    with serving(command, folder=projects.board(scratch / "board"), path="/version") as server:
        post(server.port, "/api/mutation", {"path": "board:write", "args": {"body": "x" * 100}})
        requests: dict[str, Callable[[], bytes]] = {
            "HTTP action": get_request("/http/hello"),
            "trivial query": post_requests("/api/query", lambda _: (_CALL % "nothing").encode()),
            "newest document": post_requests("/api/query", lambda _: (_CALL % "newest").encode()),
        }

        def throughput(request: Callable[[], bytes]) -> Callable[[], float]:
            return lambda: drive(server.port, request, connections=CONNECTIONS, seconds=SECONDS).per_second

        samples = alternate(ROUNDS, {name: throughput(request) for name, request in requests.items()})
    return [
        Row("a query that reads nothing", ratio(samples, "trivial query", "HTTP action"), None, raw(samples, "/s")),
        Row("a query that reads one document", ratio(samples, "newest document", "HTTP action"), None, ""),
    ]
