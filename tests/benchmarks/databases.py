"""The databases that the same work is measured on, empty."""

from collections.abc import Generator
from contextlib import contextmanager
from itertools import count

from pyconvex.host.database import SQLITE
from support.postgres import server

ENGINES = ("sqlite", "postgres")
_numbers = count(1)


@contextmanager
def postgres() -> Generator[str]:
    """The URL of a database whose commits are synced to the disk."""
    name = f"bench_{next(_numbers)}"
    server(durable=True).execute(f"CREATE DATABASE {name}")
    try:
        yield server(durable=True).database_url(name)
    finally:
        server(durable=True).execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def database(engine: str) -> Generator[str]:
    """What `--database` takes."""
    if engine == "postgres":
        with postgres() as url:
            yield url
    else:
        yield SQLITE
