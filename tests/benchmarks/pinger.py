"""`python -m benchmarks.pinger PORT PATH`: a request every few milliseconds until stdin ends, then all latencies in ms.

A process of its own, so that what the measuring process does with a thousand messages does not count as latency.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import HOST

PAUSE_SECONDS = 0.003
BODY = b"\r\n\r\nhello"


def main(port: int, path: str) -> None:
    ended = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    print(json.dumps(latencies(port, path, ended)))


def latencies(port: int, path: str, ended: threading.Event) -> list[float]:
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
    found: list[float] = []
    with socket.create_connection((HOST, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not ended.is_set():
            begun = time.perf_counter()
            connection.sendall(request)
            _receive(connection)
            found.append(1000 * (time.perf_counter() - begun))
            time.sleep(PAUSE_SECONDS)
    return found


def _receive(connection: socket.socket) -> None:
    reply = b""
    while not reply.endswith(BODY):
        part = connection.recv(65536)
        reply += part
        if not part or not reply.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the answer was {reply!r}")


@contextmanager
def pinging(port: int, path: str, found: list[float]) -> Generator[None]:
    """Requests while the block runs; their latencies in ms are in `found` afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pinger", str(port), path],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield
    finally:
        answer, _ = process.communicate()
        if process.returncode:
            raise RuntimeError("the trivial requests failed")
        found += json.loads(answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
