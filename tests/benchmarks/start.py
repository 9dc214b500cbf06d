"""Process start to the first 200, and how long `--help` takes."""

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Goal, Row, alternate, ratio, raw
from benchmarks.processes import BIN, PEERS, serving

ROUNDS = 9


def run(scratch: Path) -> list[Row]:
    for module in ("bare_asgi", "fastapi_hello"):
        (scratch / module).mkdir()
        shutil.copy(PEERS / f"{module}.py", scratch / module)
    folder = projects.hello(scratch / "hello")
    bind = "127.0.0.1:{port}"
    cases = {
        "pyconvex": _started([BIN / "pyconvex", "dev", "--site-port", "{port}"], folder),
        "hypercorn": _started([BIN / "hypercorn", "bare_asgi:app", "--bind", bind], scratch / "bare_asgi"),
        "fastapi dev": _started(
            [BIN / "fastapi", "dev", "fastapi_hello.py", "--port", "{port}"], scratch / "fastapi_hello"
        ),
    }
    alternate(1, cases)
    samples = alternate(ROUNDS, cases)
    helped = alternate(ROUNDS, {"--help": _help})
    return [
        Row(
            "dev to the first 200, to hypercorn", ratio(samples, "pyconvex", "hypercorn"), Goal(1.0), raw(samples, "ms")
        ),
        Row("dev to the first 200, to fastapi dev", ratio(samples, "pyconvex", "fastapi dev"), Goal(0.25), ""),
        Row("--help", statistics.median(helped["--help"]), Goal(300), raw(helped, "ms"), unit="ms"),
    ]


def _started(command: list[str | Path], folder: Path) -> Callable[[], float]:
    def measure() -> float:
        with serving(command, folder=folder) as server:
            return server.started_in * 1000

    return measure


def _help() -> float:
    begun = time.perf_counter()
    subprocess.run([BIN / "pyconvex", "--help"], check=True, capture_output=True)
    return (time.perf_counter() - begun) * 1000
