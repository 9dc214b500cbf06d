"""Durable mutations on PostgreSQL, against raw psycopg doing the same inserts with one commit for each."""

import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from benchmarks import projects
from benchmarks.databases import postgres
from benchmarks.measure import Goal, Row, Samples, ratio, raw

ROUNDS, SECONDS = 7, 1.5
FILLED = 200_000
"""Documents that are there already."""
CASES = (  # nodes, callers of each, goal
    (1, 1, None),
    (1, 16, Goal(0.7, at_least=True)),
    (1, 64, None),
    (3, 16, Goal(0.6, at_least=True)),
)
NODES = 3

TABLES = """
CREATE TABLE documents (seq bigserial PRIMARY KEY, size integer NOT NULL, body text NOT NULL);
CREATE TABLE entries (idx bigint, key bytea, seq bigint NOT NULL, PRIMARY KEY (idx, key) INCLUDE (seq));
"""
FILL = f"""
INSERT INTO documents (size, body) SELECT 150, repeat('x', 200) FROM generate_series(1, {FILLED});
INSERT INTO entries SELECT idx, sha256(convert_to(seq::text || idx, 'UTF8')), seq
FROM documents, generate_series(1, 3) AS idx;
"""


def run(scratch: Path) -> list[Row]:
    with postgres() as ours, postgres() as theirs, ExitStack() as closing:
        with psycopg.connect(theirs, autocommit=True) as connection:
            connection.execute(TABLES.encode())
            connection.execute(FILL.encode())
        workers = {
            name: [
                closing.enter_context(worker(name, url, projects.messages(scratch / f"{name}-{node}")))
                for node in range(NODES)
            ]
            for name, url in (("pyconvex", ours), ("psycopg", theirs))
        }
        workers["pyconvex"][0].ask("fill", FILLED)
        for url in (ours, theirs):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
                connection.execute("CHECKPOINT")
        return [_row(workers, *case) for case in CASES]


def _row(workers: "dict[str, list[Worker]]", nodes: int, callers: int, goal: Goal | None) -> Row:
    samples: Samples = {name: [] for name in workers}
    for _ in range(ROUNDS):
        for name, group in workers.items():
            samples[name].append(_rate(group[:nodes], callers))
    name = f"{nodes * callers} callers, {nodes} node{'s' * (nodes > 1)}, to psycopg"
    return Row(name, ratio(samples, "pyconvex", "psycopg"), goal, raw(samples, "/s"))


def _rate(workers: "Sequence[Worker]", callers: int) -> float:
    for each in workers:
        each.begin("insert", callers, SECONDS)
    return sum(each.end() for each in workers)


class Worker:
    """A process that does what it is asked for."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None and process.stdout is not None
        self._input, self._output = process.stdin, process.stdout

    def ask(self, what: str, *numbers: float) -> float:
        self.begin(what, *numbers)
        return self.end()

    def begin(self, what: str, *numbers: float) -> None:
        print(what, *numbers, file=self._input, flush=True)

    def end(self) -> float:
        line = self._output.readline()
        if not line:
            raise RuntimeError("a worker ended by itself")
        return float(line)


@contextmanager
def worker(name: str, url: str, folder: Path) -> Generator[Worker]:
    command = [sys.executable, "-m", "benchmarks.postgres_worker", name, url, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Worker(process)
        finally:
            process.kill()
