"""Stores on each kind of database that deployments and tests of users have."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pyconvex.clock import Clock, SystemClock
from pyconvex.schema import Schema
from pyconvex.settings import Limits
from pyconvex.store.persistence import Persistence
from pyconvex.store.sqlite.persistence import SqlitePersistence
from pyconvex.store.store import Store

from .postgres import fresh_database, server

OpenStore: TypeAlias = Callable[..., AbstractAsyncContextManager[Store]]
"""`async with open_store(schema, limits=…, clock=…) as store`."""

SQLITE = ["file", "memory"]
LASTING = ["file", "postgres"]
"""What is there still after a restart."""
KINDS = ["file", "memory", "postgres"]


@dataclass
class Database:
    """One test's database. What is opened on it one after another sees the same documents, except in memory."""

    kind: str
    place: str = ""

    def persistence(self, clock: Clock | None = None) -> Persistence:
        if self.kind == "postgres":
            from pyconvex.store.postgres.persistence import PostgresPersistence

            return PostgresPersistence(self.place, clock=clock)
        return SqlitePersistence(Path(self.place) if self.place else None, clock=clock)

    @asynccontextmanager
    async def open(
        self, schema: Schema | None = None, *, limits: Limits | None = None, clock: Clock | None = None
    ) -> AsyncGenerator[Store]:
        clock = clock or SystemClock()
        store = Store(self.persistence(clock), limits or Limits(), clock)
        await store.open()
        try:
            if schema is not None:
                await store.activate(schema)
            yield store
        finally:
            await store.close()


@contextmanager
def database_of(kind: str, folder: Path) -> Generator[Database]:
    """A new database of that kind; a file is kept in `folder`."""
    if kind == "postgres":
        with fresh_database() as name:
            yield Database(kind, server().database_url(name))
    else:
        yield Database(kind, str(folder / "pyconvex.db") if kind == "file" else "")
