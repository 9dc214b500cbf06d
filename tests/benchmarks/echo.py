"""20 MiB sent and sent back: throughput to a bare Starlette application on the same Hypercorn, and peak memory.

Once with the body read whole before it is sent back, as most handlers do, and once as it comes.
"""

import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import projects
from benchmarks.measure import Goal, Row, alternate, ratio, raw
from benchmarks.processes import BIN, HOST, Server, serving, serving_peer

MIB = 2**20
SIZE_MIB = 20
ROUNDS, ECHOES = 7, 4
_BODY = bytes(range(256)) * (SIZE_MIB * MIB // 256)


def run(scratch: Path) -> list[Row]:
    with ExitStack() as servers:
        command = [BIN / "pyconvex", "start", "--port", "0", "--site-port", "{port}"]
        cases = {
            "pyconvex": servers.enter_context(serving(command, folder=projects.echo(scratch / "echo"))),
            "Starlette": servers.enter_context(serving_peer("starlette_echo", scratch)),
        }
        return [row for path in ("/whole", "/streamed") for row in _rows(cases, path)]


def _rows(cases: dict[str, Server], path: str) -> list[Row]:
    before = {name: _memory_mib(server, "VmRSS") for name, server in cases.items()}
    for server in cases.values():
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # forget the peak so far (proc(5))
    samples = alternate(ROUNDS, {name: _throughput(server, path) for name, server in cases.items()})
    peak = {name: _memory_mib(server, "VmHWM") - before[name] for name, server in cases.items()}
    peaks = ", ".join(f"{name} {grown:.0f} MiB more than before" for name, grown in peak.items())
    name = f"{SIZE_MIB} MiB {path.removeprefix('/')}"
    goal = Goal(0.8, at_least=True)
    return [
        Row(f"{name}, to Starlette", ratio(samples, "pyconvex", "Starlette"), goal, raw(samples, "MiB/s")),
        Row(f"{name}, peak memory", peak["pyconvex"], None, peaks, "MiB"),
    ]


def _throughput(server: Server, path: str) -> Callable[[], float]:
    def measure() -> float:
        began = time.perf_counter()
        for _ in range(ECHOES):
            _echo(server.port, path)
        return ECHOES * SIZE_MIB / (time.perf_counter() - began)

    return measure


def _echo(port: int, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Length: {len(_BODY)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((HOST, port), timeout=60) as connection:
        sender = threading.Thread(target=connection.sendall, args=(head.encode() + _BODY,))
        sender.start()
        buffer = memoryview(bytearray(MIB))
        received = connection.recv_into(buffer)
        status = bytes(buffer[:12])
        while read := connection.recv_into(buffer):
            received += read
        sender.join()
    if status != b"HTTP/1.1 200" or received < len(_BODY):
        raise RuntimeError(f"answered with {status!r} and {received} bytes")


def _memory_mib(server: Server, name: str) -> float:
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found is not None, "this benchmark runs on Linux"
    return int(found[1]) / 1024
