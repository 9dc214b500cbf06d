"""The store: snapshots for queries, one transaction per mutation, and the schema that is in force.

It knows no engine: everything goes through the `Persistence` it is given.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from types import TracebackType
from typing import Final, NamedTuple, TypeVar

from pyconvex.clock import Clock
from pyconvex.schema import EMPTY_SCHEMA, Schema
from pyconvex.settings import Limits
from pyconvex.store.schema.activation import Activation, Also
from pyconvex.store.schema.catalog import EMPTY_CATALOG, Catalog, read_catalog
from pyconvex.store.schema.plan import SchemaChange
from pyconvex.store.schema.progress import Progress, Report, Reporter, Step
from pyconvex.store.schema.rows import SchemaRace, SchemaRefused, SchemaRow, SchemaViolation

from .keys import Changes, Commit, DocumentChange, Verdict
from .pending import Pending
from .persistence import Committed, Persistence, Reader, StoreFailed
from .transaction import Transaction
from .usage import UNLIMITED

__all__ = ["Progress", "SchemaChange", "SchemaRace", "SchemaRefused", "SchemaViolation", "Step", "Store"]

T = TypeVar("T")

_STATES_MAX: Final = 4
_CLOCK_STEP_MS: Final = 1_000.0


class _State(NamedTuple):
    """A catalog, and the schemas that it names."""

    catalog: Catalog
    schema: Schema
    pending: Pending | None


class Store:
    """All documents of a deployment.

    Args:
        persistence: the engine; the store opens and closes it.
        limits: what one transaction may read and write.
        clock: creation times and the random part of ids.
    """

    def __init__(self, persistence: Persistence, limits: Limits, clock: Clock) -> None:
        self.report: Report | None = None
        """Told of work on stored documents that takes its time."""
        self._persistence = persistence
        self._limits = limits
        self._clock = clock
        self._newest = _State(EMPTY_CATALOG, EMPTY_SCHEMA, None)
        self._newest_ts = 0
        self._states: dict[int, _State] = {0: self._newest}
        """By the timestamp of the commit that made them."""
        self._schemas: dict[str, Schema] = {}
        """By digest."""
        self._adopted = ""
        self._next_creation_time = 0.0
        self._activation = Activation(self, persistence, clock)

    @property
    def schema(self) -> Schema:
        """What new documents are validated against, as the newest snapshot has seen it."""
        return self._newest.schema

    @property
    def catalog(self) -> Catalog:
        """The tables as the newest snapshot has seen them."""
        return self._newest.catalog

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

    def snapshot(self, kind: type[Transaction] = Transaction) -> AbstractAsyncContextManager[Transaction]:
        """A transaction to read in: everything in it is seen as of its `ts`, whatever is committed meanwhile."""
        return _Snapshot(self, self._persistence.snapshot(), kind)

    async def mutate(
        self,
        work: Callable[[Transaction], Awaitable[T]],
        *,
        limits: Limits | None = None,
        label: str = "",
        kind: type[Transaction] = Transaction,
        patient: bool = False,
        claim: Callable[[], Exception | None] | None = None,
    ) -> Committed[T]:
        """Run `work` and commit what it wrote; `limits` take the place of the store's.

        `label` tells other mutations who it was that came in their way. A `patient` mutation runs again after
        conflicts for as long as it takes. `claim` is called when it is about to be committed: nothing of it is kept if
        the caller is cancelled before, or if `claim` answers the error to raise instead.

        `work` may run more than once, so it must do nothing but use its transaction. When it raises, or the caller is
        cancelled before it has ended, nothing of it is kept.

        Returns:
            What `work` returned, and the timestamp from which on every query sees its writes. They are durable then.

        Raises:
            Conflict: others came in its way every time it was run.
            StoreFailed: the changes could not be kept.
        """
        changed_catalog = False

        async def attempt(reader: Reader) -> tuple[T, Changes]:
            nonlocal changed_catalog
            state = self._states.get(reader.catalog_ts) or await self._load_state(reader)
            transaction = self._transaction(kind, reader, state, self._creation_time(), limits)
            try:
                value = await work(transaction)
            finally:
                self._next_creation_time = max(self._next_creation_time, transaction.next_creation_time)
            changes = transaction.changes()
            changes.label = label
            if state.pending is not None:
                another = partial(self._transaction, Transaction, reader, state, 0.0, UNLIMITED)
                changes = await state.pending.examine(transaction, changes, another)
            if claim is not None:
                changes.verdict = partial(_claimed, claim, changes.verdict)
            changed_catalog = changes.catalog
            return value, changes

        committed = await self._persistence.transact(attempt, patient=patient)
        if changed_catalog:
            # The mutation is done whatever comes of this: the store may be closing.
            with suppress(StoreFailed):
                async with self.snapshot():
                    pass
        return committed

    def on_commit(self, callback: Callable[[Commit], None]) -> None:
        """Call `callback` for every commit that changed documents, in their order, when it is durable."""
        self._persistence.on_commit(callback)

    async def hear(self, ts: int) -> None:
        """Wait until the callbacks of `on_commit` were told of all commits up to `ts`.

        Raises:
            StoreFailed: the database cannot be reached.
        """
        await self._persistence.hear(ts)

    async def lift(self, ts: int) -> None:
        """Make the next snapshot one of `ts` or later, where a client has seen that timestamp already.

        Raises:
            StoreFailed: that could not be done.
        """
        await self._persistence.lift(ts)

    @property
    def node(self) -> int:
        """The number of this process on this database."""
        return self._persistence.node

    async def living(self) -> frozenset[int]:
        """The numbers of the processes that use this database now."""
        return await self._persistence.living()

    async def maintain(self, work: Callable[[Transaction], Awaitable[T]]) -> Committed[T]:
        """`mutate` for what is pyconvex's own business: it may be as large, and take as many attempts, as it wants.

        Raises:
            StoreFailed: the changes could not be kept.
        """
        return await self.mutate(work, limits=UNLIMITED, patient=True)

    async def activate(self, schema: Schema, also: Also | None = None) -> SchemaChange:
        """Put a schema into force: create its tables, build its indexes, drop those it no longer has.

        The event loop and other transactions go on meanwhile, here and in other processes. All or nothing: the old
        schema stays in force when documents do not match the new one, those written during the activation included.

        Args:
            also: what else to write in the mutation that puts the schema into force, or that finds it in force.

        Raises:
            SchemaViolation: up to ten documents that do not match.
            SchemaRace: another activation began while this one was on its way.
            SchemaRefused: it has too many tables, with those that are there.
        """
        return await self._activation.run(schema, also)

    def adopt(self, schema: Schema, digest: str) -> None:
        """The schema object to use wherever one of this digest is in force."""
        self._adopted = digest
        self._schemas[digest] = schema
        self._states = {ts: self._state(state.catalog) for ts, state in self._states.items()}
        self._newest = self._state(self._newest.catalog)

    def reporter(self, step: Step, names: tuple[str, ...], *, background: bool = False) -> Reporter:
        """Reports some work on stored documents, to whoever listens by then."""
        return Reporter(self._tell, self._clock, step, names, background=background)

    def table_name(self, number: int) -> str | None:
        """The newest name of a table, for what is checked outside of a transaction."""
        table = self.catalog.numbered(number)
        return None if table is None else table.name

    async def begin(self, reader: Reader, kind: type[Transaction] = Transaction) -> Transaction:
        """A transaction to read in, on a view that somebody else opens and ends."""
        state = self._states.get(reader.catalog_ts) or await self._load_state(reader)
        if reader.ts >= self._newest_ts:  # views may be held for long
            self._newest, self._newest_ts = state, reader.ts
        return self._transaction(kind, reader, state, 0.0)

    async def catalog_of(self, reader: Reader) -> Catalog:
        """The catalog as `reader` sees it."""
        state = self._states.get(reader.catalog_ts) or await self._load_state(reader)
        return state.catalog

    def _transaction(
        self,
        kind: type[Transaction],
        reader: Reader,
        state: _State,
        creation_time: float,
        limits: Limits | None = None,
    ) -> Transaction:
        return kind(reader, state.catalog, state.schema, limits or self._limits, self._clock, creation_time)

    async def _load_state(self, reader: Reader) -> _State:
        catalog = await read_catalog(reader)
        state = self._state(catalog)
        while len(self._states) >= _STATES_MAX:
            del self._states[min(self._states)]
        self._states[reader.catalog_ts] = state
        in_use = {row.digest for each in self._states.values() for row in each.catalog.schemas} | {self._adopted}
        self._schemas = {digest: schema for digest, schema in self._schemas.items() if digest in in_use}
        return state

    def _state(self, catalog: Catalog) -> _State:
        active, pending = catalog.active, catalog.pending
        schema = EMPTY_SCHEMA if active is None else self._schema(active)
        return _State(catalog, schema, None if pending is None else Pending(pending, self._schema(pending)))

    def _schema(self, row: SchemaRow) -> Schema:
        schema = self._schemas.get(row.digest)
        if schema is None:
            schema = self._schemas[row.digest] = row.schema()
        return schema

    def _tell(self, progress: Progress) -> None:
        if self.report is not None:
            self.report(progress)

    def _creation_time(self) -> float:
        """Now; a little more when the clock has not moved, so that documents keep the order of their mutations."""
        now = self._clock.now_ms()
        return self._next_creation_time if 0 <= self._next_creation_time - now < _CLOCK_STEP_MS else now


def _claimed(
    claim: Callable[[], Exception | None],
    verdict: Verdict | None,
    documents: Sequence[DocumentChange],
    commits: Iterable[Commit],
) -> Exception | None:
    return claim() or (verdict and verdict(documents, commits))


class _Snapshot:
    """`async with` by hand: the decorator's generator would cost as much as the snapshot."""

    __slots__ = ("_begun", "_kind", "_store")

    def __init__(self, store: Store, begun: AbstractAsyncContextManager[Reader], kind: type[Transaction]) -> None:
        self._store = store
        self._begun = begun
        self._kind = kind

    async def __aenter__(self) -> Transaction:
        reader = await self._begun.__aenter__()
        try:
            return await self._store.begin(reader, self._kind)
        except BaseException as error:
            await self._begun.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._begun.__aexit__(kind, error, trace)
