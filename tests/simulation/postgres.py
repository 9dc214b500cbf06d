"""Processes on one PostgreSQL that is a dictionary: the committers, the histories and the retries are the real ones.

Instead of statements and connections there are versions in memory, reached after a while. What is left out is tested
on a real server: SQL, and connections that break.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from pyconvex.store.keys import Changes, KeyRange
from pyconvex.store.persistence import Conflict, Persistence, Row
from pyconvex.store.postgres import persistence as postgres
from pyconvex.store.postgres import server as postgres_server
from pyconvex.store.postgres.commits import Record
from pyconvex.store.postgres.committer import Committer
from pyconvex.store.search.selection import Candidates, SearchQuery
from pyconvex.store.search.vectors import Similar, VectorQuery

from .loop import SeededClock, SeededLoop
from .world import Engine


@dataclass(frozen=True)
class Version:
    """The whole database after a commit."""

    record: Record
    rows: dict[tuple[int, bytes], tuple[int, bytes]]


@dataclass
class Database:
    chance: Random
    versions: list[Version] = field(default_factory=lambda: [Version(Record(0, 0, 1, 0, b"", []), {})])

    def __post_init__(self) -> None:
        self.lock = asyncio.Lock()
        self.dead = False

    async def away(self) -> None:
        """The way to the server and back."""
        await asyncio.sleep(self.chance.expovariate(2000))

    def newer_than(self, ts: int) -> list[Record]:
        """The records since `ts`, with the one of that time or the newest before it."""
        records = [version.record for version in self.versions]
        first = max(place for place, record in enumerate(records) if record.ts <= ts)
        return records[first:]

    def commit(self, record: Record, members: Sequence[Changes]) -> None:
        rows = dict(self.versions[-1].rows)
        for changes in members:
            for span in changes.cleared:
                rows = {key: row for key, row in rows.items() if not span.covers(*key)}
            for change in changes.documents:
                for entry in zip(change.indexes, change.before, strict=False):
                    del rows[entry]
                for entry in zip(change.indexes, change.after, strict=False):
                    rows[entry] = (change.size, change.body)
            for new in changes.entries:
                rows[new.index, new.key] = rows[new.owner_index, new.owner_key]
        self.versions.append(Version(record, rows))


class Server:
    """In the place of `postgres_server.Server`."""

    vector_schema = None

    def __init__(self, database: Database) -> None:
        self.database = database


class Reader:
    """In the place of `PostgresReader`: its snapshot begins with the first read, or with `begin`."""

    def __init__(self, pool: Any, ts: int = 0, catalog_ts: int = 0) -> None:
        self._database: Database = pool.server.database
        self._version: Version | None = None
        self.ts = ts
        self.catalog_ts = catalog_ts
        self.conflict: Conflict | None = None
        self.outdated = False
        self.lost = False

    async def begin(self) -> None:
        await self._database.away()
        self._version = self._database.versions[-1]
        self.ts, self.catalog_ts = self._version.record.ts, self._version.record.catalog_ts

    def end(self) -> None:
        pass

    async def get(self, index: int, key: bytes) -> tuple[int, bytes] | None:
        return (await self._rows()).get((index, key))

    async def scan(self, span: KeyRange, *, reverse: bool, limit: int, bytes_max: int) -> Sequence[Row]:
        found = await self._found(span)
        return (found[::-1] if reverse else found)[:limit]

    async def keys(self, span: KeyRange, *, limit: int) -> Sequence[bytes]:
        return [key for key, _, _ in await self._found(span)][:limit]

    async def count(self, span: KeyRange) -> tuple[int, bytes | None]:
        return len(await self._found(span)), None

    async def at(self, index: int, keys: Sequence[bytes]) -> Sequence[Row]:
        rows = await self._rows()
        return [(key, *rows[index, key]) for key in keys if (index, key) in rows]

    async def search(self, index: int, query: SearchQuery, *, limit: int) -> Candidates:
        raise NotImplementedError

    async def nearest(self, index: int, query: VectorQuery) -> Sequence[Similar]:
        raise NotImplementedError

    async def holds(self, index: int) -> bool:
        return False

    async def _found(self, span: KeyRange) -> list[Row]:
        rows = await self._rows()
        return sorted((key, *row) for (index, key), row in rows.items() if span.covers(index, key))

    async def _rows(self) -> dict[tuple[int, bytes], tuple[int, bytes]]:
        if self._version is None:
            catalog_ts = self.catalog_ts
            await self.begin()
            self.outdated = catalog_ts != self.catalog_ts
        else:
            await self._database.away()
        assert self._version is not None
        return self._version.rows


class SeededCommitter(Committer):
    """The real one up to the connection: in the place of two round trips, two waits."""

    async def _commit_surely(self, batch: Any) -> None:
        database = cast(Server, self._server).database
        history = self._history
        async with database.lock:
            await database.away()
            history.learn(database.newer_than(history.ts), history.ts)
            record, writes, commits = self._certify(batch)
            if not record.members and not history.is_behind:
                return
            writes.statements(record)
            history.expect(batch.name, commits)
            await database.away()
            if database.dead:
                return
            database.commit(record, [member.changes for member, _ in batch.stamps])
            if database.chance.random() < 0.5:
                await database.away()
        self.wrote.set()
        if not history.is_known(batch.name):
            history.add(record)


class Notices:
    """In the place of those that go through the server: each process looks now and then."""

    def __init__(self, pool: Any, history: Any, committer: Any, node: int) -> None:
        self._database: Database = pool.server.database
        self._history = history
        self._node = node
        self._looking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def living(self) -> frozenset[int]:
        return frozenset((self._node,))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._database.chance.expovariate(100))
            self._history.learn(self._database.newer_than(self._history.ts), self._history.ts)


class Node(postgres.PostgresPersistence):
    """One process."""

    def __init__(self, database: Database, clock: SeededClock, node: int) -> None:
        super().__init__("postgresql://nowhere", clock=clock)
        self.node = node
        self._database = database

    async def open(self) -> None:
        server = cast(postgres_server.Server, Server(self._database))
        opened = postgres._Open(server, self._clock, self._publish, self.node)  # pyright: ignore[reportPrivateUsage]  # most of what is simulated
        opened.history.start(self._database.versions[-1].record)
        await opened.notices.open()
        await opened.committer.lift()
        self._open = opened


class PostgresEngine(Engine):
    """Two processes on one database."""

    def __init__(
        self, *, nodes: int = 2, weaken: Callable[[Persistence], Persistence] = lambda persistence: persistence
    ) -> None:
        self._nodes = nodes
        self._weaken = weaken
        self._database: Database | None = None
        self._lives = 0

    def processes(self, loop: SeededLoop, chance: Random) -> list[tuple[Persistence, SeededClock]]:
        before = self._database
        self._database = Database(chance) if before is None else Database(chance, before.versions)
        self._lives += 1
        found: list[tuple[Persistence, SeededClock]] = []
        for number in range(self._nodes):
            # Their clocks differ by up to a second.
            clock = SeededClock(loop, chance, 1000.0 * self._lives + chance.random())
            found.append((self._weaken(Node(self._database, clock, 10 * self._lives + number)), clock))
        return found

    def died(self) -> None:
        assert self._database is not None
        self._database.dead = True
