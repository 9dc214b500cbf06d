"""`python -m benchmarks [NAME ...]`: run the benchmarks one after another and print the table."""

import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import print_rows

TITLES = {
    "start": "start: process to first response",
    "reload": "reload: file saved to first response from the new code, under light load",
    "http": "http: a trivial HTTP action",
    "echo": "20 MiB to an HTTP action and back",
    "files": "stored files: a large one up and down again",
    "queries": "queries over the client API",
    "fanout": "one commit to all subscribers of a query, over WebSockets",
    "invalidation": "one commit among many live queries, over WebSockets",
    "sessions": "memory of WebSocket sessions",
    "messages": "write and read: /postMessage (durable) and /getMessagesByAuthor (10 newest of 100,000)",
    "mutations": "mutations in process, durable, on SQLite",
    "postgres": "mutations in process, durable, on PostgreSQL with 200,000 documents",
    "growth": "one call in a table of 1,000,000 documents, to one of 1,000",
    "backfill": "an index built on 100,000 documents",
}


def main(names: list[str]) -> None:
    if unknown := [name for name in names if name not in TITLES]:
        sys.exit(f"error: no benchmark {unknown[0]!r}\nhint: choose from {', '.join(TITLES)}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}")
    for name in names or TITLES:
        with tempfile.TemporaryDirectory(prefix="pyconvex-bench-") as scratch:
            print_rows(TITLES[name], importlib.import_module(f"benchmarks.{name}").run(Path(scratch)))


if __name__ == "__main__":
    main(sys.argv[1:])
