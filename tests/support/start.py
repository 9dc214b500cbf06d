"""`pyconvex start` as it is run in production: in a process of its own, its output read as JSON."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .dev import BIN, WAIT_SECONDS, Dev, environment_of, wait_until
from .ports import free_port


@dataclass(slots=True)
class Started(Dev):
    """A running `pyconvex start`. `said` is its standard error."""

    lines: Path = field(repr=False)
    """Its standard output."""

    def events(self, type: str) -> list[dict[str, Any]]:
        """What it reported of that type; every line of its output is JSON."""
        whole = self.lines.read_text().rpartition("\n")[0]
        events = [json.loads(line) for line in whole.splitlines()]
        return [event for event in events if event["type"] == type]

    def until(self, type: str, count: int = 1) -> dict[str, Any]:
        """The `count`-th event of that type, once it is there."""
        wait_until(lambda: len(self.events(type)) >= count or self.process.poll() is not None, f"{count} {type}")
        events = self.events(type)
        assert len(events) >= count, f"{self.lines.read_text()}\n{self.said}"
        return events[count - 1]

    def call(self, kind: str, path: str, args: Mapping[str, object] | None = None) -> Any:
        """The whole answer of the client API."""
        body = json.dumps({"path": path, "args": args or {}, "format": "json"})
        return self.fetch("POST", f"/api/{kind}", body, {"content-type": "application/json"}, port=self.port).json

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)


@contextlib.contextmanager
def launched(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Generator[Started]:
    """`pyconvex start` in `folder` on free ports, just begun; ended when the block ends."""
    port, site_port = free_port(), free_port()
    output, lines = folder / f"stderr-{port}.txt", folder / f"stdout-{port}.txt"
    with output.open("wb") as stderr, lines.open("wb") as stdout:
        process = subprocess.Popen(
            [BIN / "pyconvex", "start", "--port", str(port), "--site-port", str(site_port), *arguments],
            cwd=folder,
            env=environment_of(environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    running = Started(folder, port, site_port, process, output, lines)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
        if process.poll() is None:
            process.kill()
            process.wait()


@contextlib.contextmanager
def start(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Generator[Started]:
    """As `launched`, and the functions are loaded."""
    with launched(folder, *arguments, environment=environment) as running:
        running.until("loaded")
        yield running
