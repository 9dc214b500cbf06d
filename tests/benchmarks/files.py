"""A large file up and down again: throughput to a bare Starlette application on the same Hypercorn, and peak memory.

Both write the file to the same disk; pyconvex also takes its SHA-256, and answers when the disk has it.
`PYCONVEX_FILE_MIB` makes it smaller than 1 GiB.
"""

import http.client
import json
import os
import re
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import projects
from benchmarks.measure import Goal, Row, Samples, ratio, raw
from benchmarks.processes import BIN, HOST, Server, serving, serving_peer

MIB = 2**20
LARGE = int(os.environ.get("PYCONVEX_FILE_MIB", "1024"))
SMALL = 64
ROUNDS = 3
_BLOCK = bytes(range(256)) * (MIB // 256)


class Pyconvex:
    """Uploads to a URL of a mutation's, downloads from one of a query's."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def there_and_back(self, mib: int) -> tuple[float, float]:
        """MiB per second of an upload, and of a download; nothing is left behind."""
        up, answer = _sent(self.server.port, _path(self._call("mutation", "upload_url")), mib)
        file = {"id": json.loads(answer)["storageId"]}
        down = _received(self.server.port, _path(self._call("query", "url", file)), mib)
        self._call("mutation", "remove", file)
        return up, down

    def _call(self, kind: str, name: str, args: dict[str, str] | None = None) -> str:
        body = json.dumps({"path": f"files:{name}", "args": args or {}, "format": "json"})
        with closing(http.client.HTTPConnection(HOST, self.server.port, timeout=60)) as connection:
            connection.request("POST", f"/api/{kind}", body, {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())["value"]


class Starlette:
    """Uploads and downloads one file."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def there_and_back(self, mib: int) -> tuple[float, float]:
        up, _ = _sent(self.server.port, "/upload", mib)
        return up, _received(self.server.port, "/file", mib)


def run(scratch: Path) -> list[Row]:
    with ExitStack() as servers:
        command = [BIN / "pyconvex", "start", "--port", "{port}", "--site-port", "0"]
        ours = Pyconvex(servers.enter_context(serving(command, folder=projects.files(scratch / "files"))))
        theirs = Starlette(servers.enter_context(serving_peer("starlette_files", scratch)))
        for each in (ours, theirs):
            each.there_and_back(SMALL)
        small = _peak_mib(ours.server)
        up: Samples = {"pyconvex": [], "Starlette": []}
        down: Samples = {"pyconvex": [], "Starlette": []}
        for _ in range(ROUNDS):
            for name, each in (("pyconvex", ours), ("Starlette", theirs)):
                sent, received = each.there_and_back(LARGE)
                up[name].append(sent)
                down[name].append(received)
        large = _peak_mib(ours.server)
    goal = Goal(0.8, at_least=True)
    peaks = f"{large:.0f} MiB after {LARGE:,} MiB, {small:.0f} MiB after {SMALL} MiB"
    return [
        Row(f"upload of {LARGE:,} MiB, to Starlette", ratio(up, "pyconvex", "Starlette"), goal, raw(up, "MiB/s")),
        Row(f"download of {LARGE:,} MiB, to Starlette", ratio(down, "pyconvex", "Starlette"), goal, raw(down, "MiB/s")),
        Row("peak memory, to that of a small file", large / small, Goal(1.1), peaks),
    ]


def _sent(port: int, path: str, mib: int) -> tuple[float, bytes]:
    """MiB per second until the answer to an upload is there, and the answer."""
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Length: {mib * MIB}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((HOST, port), timeout=300) as connection:
        began = time.perf_counter()
        connection.sendall(head.encode())
        for _ in range(mib):
            connection.sendall(_BLOCK)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        seconds = time.perf_counter() - began
    _check(answer[:12])
    return mib / seconds, answer.partition(b"\r\n\r\n")[2]


def _received(port: int, path: str, mib: int) -> float:
    """MiB per second of a download."""
    with socket.create_connection((HOST, port), timeout=300) as connection:
        began = time.perf_counter()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode())
        buffer = memoryview(bytearray(MIB))
        received = connection.recv_into(buffer)
        _check(bytes(buffer[:12]))
        while read := connection.recv_into(buffer):
            received += read
        seconds = time.perf_counter() - began
    if received < mib * MIB:
        raise RuntimeError(f"only {received} bytes of {path} came")
    return mib / seconds


def _check(status_line: bytes) -> None:
    if not status_line.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"answered with {status_line!r}")


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def _peak_mib(server: Server) -> float:
    """The most memory that the server's process has ever had."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None, "this benchmark runs on Linux"
    return int(found[1]) / 1024
