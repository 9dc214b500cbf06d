"""Servers under measurement: started on a free loopback port, ended by their own process group."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.ports import free_port

HOST = "127.0.0.1"
BIN = Path(sys.executable).parent
PEERS = Path(__file__).parent / "peers"


def get(port: int, path: str = "/", timeout: float = 5.0) -> bytes | None:
    """The body of one GET on a connection of its own; None when it was not answered with 200."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=timeout) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode())
        reply = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = reply.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 200"):
            return body
    return None


def post(port: int, path: str, body: object) -> None:
    """One POST of JSON, which has to be answered with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        if reply.status != 200:
            raise RuntimeError(f"{path} was answered with {reply.status}: {reply.read()!r}")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and how long it took to its first 200, in seconds."""

    port: int
    started_in: float
    pid: int


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path],
    *,
    folder: Path,
    path: str = "/",
    environment: Mapping[str, str] | None = None,
    limit: float = 60.0,
) -> Generator[Server]:
    """Run `command` (`{port}` filled in) in `folder` until the block ends."""
    port = free_port()
    log = folder.parent / f"{folder.name}.log"  # not in the folder, which some of these servers watch
    with log.open("ab") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [str(part).replace("{port}", str(port)) for part in command],
            cwd=folder,
            env=_environment(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        while get(port, path) is None:
            if process.poll() is not None or time.perf_counter() - begun > limit:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.001)
        yield Server(port, time.perf_counter() - begun, process.pid)
    finally:
        _end(process)


@contextlib.contextmanager
def serving_peer(module: str, scratch: Path) -> Generator[Server]:
    """One of the `peers` on the same Hypercorn and loop as pyconvex, in a folder of its own below `scratch`."""
    folder = scratch / module
    folder.mkdir()
    with serving([sys.executable, PEERS / "serve.py", module, "{port}", "uvloop"], folder=folder) as server:
        yield server


def _environment(changes: Mapping[str, str]) -> dict[str, str]:
    """This one's, with the bytecode cache of every ordinary start: the peers got theirs when they were installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **changes}


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
    process.wait()
