"""`pyconvex` as its users run it: the console script, in a process and a project of its own."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .ports import free_port

BIN = Path(sys.executable).parent
WAIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Ran:
    exit_code: int
    stdout: str
    stderr: str


def pyconvex(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None, stdin: str = "") -> Ran:
    """Run one command to its end."""
    done = subprocess.run(
        [BIN / "pyconvex", *arguments],
        cwd=folder,
        env=environment_of(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def wait_until(condition: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    reason: str

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Dev:
    """A running `pyconvex dev`."""

    folder: Path
    port: int
    site_port: int
    process: subprocess.Popen[bytes]
    output: Path = field(repr=False)

    @property
    def said(self) -> str:
        return self.output.read_text()

    def fetch(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.site_port, timeout=WAIT_SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            reply = connection.getresponse()
            headers = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, headers, reply.read(), reply.reason)

    def answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.fetch("GET", "/version", port=self.port).status == 200
        return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    def interrupt(self) -> int:
        """Ctrl-C, and the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(WAIT_SECONDS)


@contextlib.contextmanager
def dev(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Generator[Dev]:
    """`pyconvex dev` in `folder` on free ports, ready to answer; ended when the block ends."""
    port, site_port = free_port(), free_port()
    output = folder / "dev-output.txt"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [BIN / "pyconvex", "dev", "--port", str(port), "--site-port", str(site_port), *arguments],
            cwd=folder,
            env=environment_of(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    running = Dev(folder, port, site_port, process, output)
    try:
        wait_until(lambda: running.answers() or process.poll() is not None, "pyconvex dev answers")
        assert process.poll() is None, running.said
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        if process.poll() is None:
            process.kill()
            process.wait()


def init(folder: Path, template: str) -> Path:
    ran = pyconvex("init", str(folder), "--template", template, folder=folder.parent)
    assert ran.exit_code == 0, ran.stderr
    return folder


def environment_of(changes: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYCONVEX_", "CONVEX_"))}
    return {**kept, "NO_COLOR": "1", **(changes or {})}
