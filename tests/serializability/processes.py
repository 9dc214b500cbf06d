"""Several processes that run one arena together, each with a store of its own on one database.

Run as a program it is one of them: it reads arenas from stdin, one in a line, and answers each with its history.
"""

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import msgspec

import pyconvex
from pyconvex.clock import SystemClock
from pyconvex.settings import Limits
from pyconvex.store.postgres.persistence import PostgresPersistence
from pyconvex.store.store import Store

from .history import History
from .workload import SCHEMA, Arena, run

_SOURCES = (Path(pyconvex.__file__).parent.parent, Path(__file__).parent.parent)


class Node:
    """Another process; `begin` an arena in all of them before the first `end`."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None and process.stdout is not None
        self._input: IO[bytes] = process.stdin
        self._output: IO[bytes] = process.stdout

    def begin(self, arena: Arena) -> None:
        self._input.write(msgspec.json.encode(arena) + b"\n")
        self._input.flush()

    def end(self) -> History:
        line = self._output.readline()
        assert line, "a node ended by itself"
        return msgspec.msgpack.decode(base64.b64decode(line), type=History)


@contextmanager
def nodes(url: str, count: int) -> Generator[Sequence[Node]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _SOURCES))}
    with ExitStack() as closing:
        processes = [
            closing.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "serializability.processes", url],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                )
            )
            for _ in range(count)
        ]
        try:
            yield [Node(process) for process in processes]
        finally:
            for process in processes:
                process.kill()


async def main(url: str) -> None:
    clock = SystemClock()
    store = Store(PostgresPersistence(url, clock=clock), Limits(), clock)
    await store.open()
    await store.activate(SCHEMA)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        history = await run(store, msgspec.json.decode(line, type=Arena))
        sys.stdout.buffer.write(base64.b64encode(msgspec.msgpack.encode(history)) + b"\n")
        sys.stdout.buffer.flush()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
