"""The store: snapshots for queries, one transaction per mutation, and the schema that is in force.

It knows no engine: everything goes through the `Persistence` it is given.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Final, TypeVar

from pyconvex.clock import Clock
from pyconvex.schema import EMPTY_SCHEMA, Schema
from pyconvex.settings import Limits

from .activation import Activation, Pending, SchemaChange, SchemaViolation, Violation
from .catalog import EMPTY_CATALOG, Catalog, read_catalog
from .keys import Changes, Commit
from .persistence import Committed, Persistence, Reader, StoreFailed
from .transaction import Transaction

__all__ = ["SchemaChange", "SchemaViolation", "Store", "Violation"]

T = TypeVar("T")

_CATALOGS_MAX: Final = 4
_CLOCK_STEP_MS: Final = 1_000.0


class Store:
    """All documents of a deployment.

    Args:
        persistence: the engine; the store opens and closes it.
        limits: what one transaction may read and write.
        clock: creation times and the random part of ids.
    """

    def __init__(self, persistence: Persistence, limits: Limits, clock: Clock) -> None:
        self.schema: Schema = EMPTY_SCHEMA
        """What new documents are validated against."""
        self.catalog: Catalog = EMPTY_CATALOG
        """The tables as the newest snapshot has seen them."""
        self.pending: Pending | None = None
        """The schema that is being activated; what is written meanwhile is held against it as well."""
        self._persistence = persistence
        self._limits = limits
        self._clock = clock
        self._catalogs: dict[int, Catalog] = {0: EMPTY_CATALOG}
        self._schemas: dict[str, Schema] = {}
        self._next_creation_time = 0.0
        self._activation = Activation(self, persistence)

    async def open(self) -> None:
        """Open the database.

        Raises:
            StartFailed: it cannot be used.
        """
        await self._persistence.open()
        async with self.snapshot():
            pass

    async def close(self) -> None:
        """Let running mutations end and give the database back."""
        await self._activation.close()
        await self._persistence.close()

    def snapshot(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction to read in: everything in it is seen as of its `ts`, whatever is committed meanwhile."""
        return _Snapshot(self, self._persistence.snapshot())

    async def mutate(
        self, work: Callable[[Transaction], Awaitable[T]], *, limits: Limits | None = None
    ) -> Committed[T]:
        """Run `work` and commit what it wrote; `limits` take the place of the store's.

        `work` may run more than once, so it must do nothing but use its transaction. When it raises, or the caller is
        cancelled before it has ended, nothing of it is kept.

        Returns:
            What `work` returned, and the timestamp from which on every query sees its writes. They are durable then.

        Raises:
            StoreFailed: the changes could not be kept.
        """
        changed_catalog = False

        async def attempt(reader: Reader) -> tuple[T, Changes]:
            nonlocal changed_catalog
            catalog = self._catalogs.get(reader.catalog_ts) or await self._load_catalog(reader)
            transaction = self._transaction(reader, catalog, self._creation_time(), limits)
            try:
                value = await work(transaction)
            finally:
                self._next_creation_time = max(self._next_creation_time, transaction.next_creation_time)
            changes = transaction.changes()
            changed_catalog = changes.catalog
            if self.pending is not None:
                self.pending.examine(transaction, changes)
            return value, changes

        committed = await self._persistence.transact(attempt)
        if changed_catalog:
            # The mutation is done whatever comes of this: the store may be closing.
            with suppress(StoreFailed):
                async with self.snapshot():
                    pass
        return committed

    def on_commit(self, callback: Callable[[Commit], None]) -> None:
        """Call `callback` for every commit that changed documents, in their order, when it is durable."""
        self._persistence.on_commit(callback)

    async def activate(self, schema: Schema) -> SchemaChange:
        """Put a schema into force: create its tables, build its indexes, drop those it no longer has.

        The event loop and other transactions go on meanwhile. All or nothing: the old schema stays in force when
        documents do not match the new one, those written during the activation included.

        Raises:
            SchemaViolation: up to ten documents that do not match.
        """
        return await self._activation.run(schema)

    def adopt(self, schema: Schema, digest: str) -> None:
        """The schema object for a digest that is in force, or will be when a commit says so."""
        self._schemas[digest] = schema

    def settle(self, schema: Schema, digest: str) -> None:
        """From now on `schema` is the active one."""
        self.schema = schema
        self._schemas = {digest: schema}

    def table_name(self, number: int) -> str | None:
        """The newest name of a table, for what is checked outside of a transaction."""
        table = self.catalog.numbered(number)
        return None if table is None else table.name

    async def begin(self, reader: Reader) -> Transaction:
        """A transaction to read in, on a view that somebody else opens and ends."""
        catalog = self._catalogs.get(reader.catalog_ts) or await self._load_catalog(reader)
        self.catalog = catalog
        return self._transaction(reader, catalog, 0.0)

    def _transaction(
        self, reader: Reader, catalog: Catalog, creation_time: float, limits: Limits | None = None
    ) -> Transaction:
        schema = self.schema if catalog.schema is None else self._schemas.get(catalog.schema, self.schema)
        return Transaction(reader, catalog, schema, limits or self._limits, self._clock, creation_time)

    async def _load_catalog(self, reader: Reader) -> Catalog:
        catalog = await read_catalog(reader)
        while len(self._catalogs) >= _CATALOGS_MAX:
            del self._catalogs[min(self._catalogs)]
        self._catalogs[reader.catalog_ts] = catalog
        return catalog

    def _creation_time(self) -> float:
        """Now; a little more when the clock has not moved, so that documents keep the order of their mutations."""
        now = self._clock.now_ms()
        return self._next_creation_time if 0 <= self._next_creation_time - now < _CLOCK_STEP_MS else now


class _Snapshot:
    """`async with` by hand: the decorator's generator would cost as much as the snapshot."""

    __slots__ = ("_begun", "_store")

    def __init__(self, store: Store, begun: AbstractAsyncContextManager[Reader]) -> None:
        self._store = store
        self._begun = begun

    async def __aenter__(self) -> Transaction:
        reader = await self._begun.__aenter__()
        try:
            return await self._store.begin(reader)
        except BaseException as error:
            await self._begun.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._begun.__aexit__(kind, error, trace)
