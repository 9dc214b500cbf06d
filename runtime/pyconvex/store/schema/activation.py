"""Putting a schema into force on a store that holds documents already and goes on being written.

1. The schema is written down as pending, and indexes that are missing in state `backfilling`: from then on every write,
   of every process, is held against the schema and keeps the indexes up to date.
2. Documents that are there are held against the schema in short snapshots.
3. They are added to the new indexes, a few at a time, each time in a mutation of its own.
4. One mutation makes the schema active and its indexes readable, creates tables, and drops what is gone.

Whatever fails before step 4 leaves the old schema in force, and leftovers that nobody reads, for `upkeep.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from msgspec.structs import replace

from pyconvex.clock import Clock
from pyconvex.errors import Remedy, UnfitDocument
from pyconvex.schema import TABLES_MAX, Schema
from pyconvex.store.keys import after_key
from pyconvex.store.pending import violation_of
from pyconvex.store.persistence import Persistence, Reader, StoreFailed
from pyconvex.store.transaction import Transaction
from pyconvex.store.upkeep import Upkeep
from pyconvex.values.containment import contains
from pyconvex.values.value import Value
from pyconvex.values.wire import load

from .backfill import CHUNK_BYTES, fill
from .catalog import SCHEMAS, Catalog, Index, IndexState, Table
from .catalog_rows import create_indexes, create_table, drop_leftovers, set_states
from .plan import Plan, SchemaChange, plan
from .progress import Reporter, Step
from .rows import (
    SchemaRace,
    SchemaRefused,
    SchemaRow,
    SchemaState,
    SchemaViolation,
    digest_of,
    pending_document,
)

if TYPE_CHECKING:
    from pyconvex.store.store import Store

VIOLATIONS_MAX: Final = 10
CHECKED_DOCUMENTS: Final = 128
"""Documents checked between two turns of the event loop: one or two milliseconds."""
TWIN_SECONDS: Final = 0.1
"""How often to look whether another process has put the same schema into force."""
_TABLES_AT_ONCE: Final = 20

Also: TypeAlias = Callable[[Transaction], Awaitable[None]]


class _Again(Exception):
    """Something came in between that the plan did not know of: begin anew."""


class _Begun(NamedTuple):
    """What is to be done, and for each table the indexes that have to be filled first."""

    plan: Plan
    building: dict[Table, tuple[Index, ...]]


class Activation:
    """The activations of one store, one at a time."""

    def __init__(self, store: "Store", persistence: Persistence, clock: Clock) -> None:
        self._store = store
        self._persistence = persistence
        self._clock = clock
        self._lock = asyncio.Lock()
        self._upkeep = Upkeep(store, persistence)

    async def run(self, schema: Schema, also: Also | None) -> SchemaChange:
        async with self._lock:
            await self._upkeep.stop()
            self._store.adopt(schema, digest_of(schema))
            try:
                while True:
                    with suppress(_Again):
                        return await self._attempt(schema, also)
            finally:
                self._upkeep.start()

    async def close(self) -> None:
        await self._upkeep.stop()

    async def _attempt(self, schema: Schema, also: Also | None) -> SchemaChange:
        digest = digest_of(schema)
        while True:
            async with self._store.snapshot() as transaction:
                active, twin = transaction.catalog.active, transaction.catalog.pending
            if active is not None and active.digest == digest:
                if also is not None:
                    await self._store.maintain(lambda transaction: _confirm(transaction, digest, also))
                return SchemaChange()
            if twin is None or twin.digest != digest or not await self._is_alive(twin):
                return await self._push(schema, twin, also)
            # Another process activates this very schema: processes that are started at once do not hinder each other.
            await asyncio.sleep(TWIN_SECONDS)

    async def _is_alive(self, row: SchemaRow) -> bool:
        """Whether somebody else goes on with a push. This process has no other one."""
        return row.node != self._store.node and row.node in await self._persistence.living()

    async def _push(self, schema: Schema, replaced: SchemaRow | None, also: Also | None) -> SchemaChange:
        push = self._clock.random_bytes(8).hex()
        row = pending_document(schema, push=push, node=self._store.node)
        begun = (await self._store.maintain(lambda transaction: _begin(transaction, schema, row, replaced))).value
        try:
            await self._check(schema, push)
            for table, indexes in begun.building.items():
                await self._fill(table, indexes, push)
            await self._store.maintain(lambda transaction: _finish(transaction, begun, schema, push, also))
        except Exception:
            # At once, so that nobody goes on holding writes against it.
            with suppress(StoreFailed):
                await self._store.maintain(lambda transaction: _abandon(transaction, push))
            raise
        return begun.plan.change(schema)

    async def _check(self, schema: Schema, push: str) -> None:
        """Hold the stored documents against the schema, where its tables may not contain what they did.

        Raises:
            SchemaViolation: some do not match.
            SchemaRace: another push took the place of this one.
        """
        if not schema.schema_validation:
            return
        active = self._store.schema if self._store.catalog.active else None
        violations: list[UnfitDocument] = []
        for name, definition in schema.tables.items():
            before = active.tables.get(name) if active is not None and active.schema_validation else None
            if before is None or not contains(definition.validator, before.validator):
                reporter = self._store.reporter(Step.CHECK, (name,))
                with reporter:
                    await self._check_table(name, schema, push, violations, reporter)
        if violations:
            async with self._store.snapshot() as transaction:
                _own_row(transaction.catalog, push)
            raise SchemaViolation.stored(tuple(violations))

    async def _check_table(
        self, name: str, schema: Schema, push: str, violations: list[UnfitDocument], reporter: Reporter
    ) -> None:
        position: bytes | None = b""
        while position is not None and len(violations) < VIOLATIONS_MAX:
            async with self._store.snapshot() as transaction:
                _own_row(transaction.catalog, push)
                table = transaction.catalog.table(name)
                if table is None:
                    return
                span, reader = table.by_creation_time.range(position), transaction.reader
                rows = await reader.scan(span, reverse=False, limit=CHECKED_DOCUMENTS, bytes_max=CHUNK_BYTES)
                if reporter.is_due:
                    await reporter.tell(reader, span.index)
            for _key, _size, body in rows:
                document = cast("dict[str, Value]", load(body))
                violation = violation_of(name, document, schema, transaction.table_name)
                if violation is not None and len(violations) < VIOLATIONS_MAX:
                    violations.append(violation)
            position = after_key(rows[-1][0]) if rows else None
            reporter.more(len(rows))
            await asyncio.sleep(0)

    async def _fill(self, table: Table, indexes: tuple[Index, ...], push: str) -> None:
        async def allowed(reader: Reader) -> None:
            _own_row(await self._store.catalog_of(reader), push)

        reporter = self._store.reporter(Step.BUILD, tuple(f"{table.name}.{index.name}" for index in indexes))
        await fill(self._persistence, table, indexes, allowed=allowed, reporter=reporter)


def _own_row(catalog: Catalog, push: str) -> SchemaRow:
    """The pending schema of a push, as long as nothing has happened to it.

    Raises:
        SchemaRace: another push took its place.
        SchemaViolation: somebody wrote what it does not allow.
    """
    row = next((row for row in catalog.schemas if row.push == push), None)
    if row is None:
        raise SchemaRace
    if row.violation is not None:
        raise SchemaViolation.written(row.violation)
    return row


async def _begin(
    transaction: Transaction, schema: Schema, document: dict[str, Value], replaced: SchemaRow | None
) -> _Begun:
    """Write down the schema and the indexes to be filled; every mutation after this one minds them.

    Args:
        replaced: the push, if any, that was found on its way before; it is known not to be a living twin.
    """
    catalog = transaction.catalog
    twin = catalog.pending
    if twin and twin.digest == document["digest"] and not (replaced and replaced.push == twin.push):
        raise _Again
    standing = [row for row in catalog.schemas if row.state is SchemaState.ACTIVE]
    for row in catalog.schemas:
        if row not in standing:
            await transaction.delete(row.id)
    await drop_leftovers(transaction, standing)
    drawn = plan(catalog, transaction.schema, schema)
    if catalog.user_tables + len(drawn.missing) > TABLES_MAX:
        raise _too_many_tables(catalog.user_tables)
    created = await create_indexes(transaction, (*drawn.build, *drawn.stage))
    await transaction.insert(SCHEMAS, {**document, "building": [index.number for _, index in created]})
    building: dict[Table, tuple[Index, ...]] = {}
    for table, index in created[: len(drawn.build)]:
        building[table] = (*building.get(table, ()), replace(index, state=IndexState.ENABLED))
    return _Begun(drawn, building)


async def _finish(transaction: Transaction, begun: _Begun, schema: Schema, push: str, also: Also | None) -> None:
    """Put the schema into force."""
    catalog = transaction.catalog
    row = _own_row(catalog, push)
    states = {index.number: index.state for indexes in begun.building.values() for index in indexes}
    states |= {index.number: state for index, state in begun.plan.switch}
    states |= {index.number: IndexState.DROPPED for _, index in begun.plan.drop}
    await set_states(transaction, states)
    number = catalog.next_number()
    for offset, name in enumerate(begun.plan.missing):
        if catalog.table(name) is not None:
            raise _Again
        await create_table(transaction, number + offset, name, schema.tables[name])
        if offset % _TABLES_AT_ONCE == _TABLES_AT_ONCE - 1:
            await asyncio.sleep(0)
    if catalog.active is not None:
        await transaction.delete(catalog.active.id)
    await transaction.patch(row.id, {"state": SchemaState.ACTIVE.value, "building": []})
    if also is not None:
        await also(transaction)


def _too_many_tables(present: int) -> SchemaRefused:
    message = f"a deployment cannot have more than {TABLES_MAX} tables, and this one has {present} already"
    hint = "tables that the schema does not declare any more count as well, as long as they are there"
    return SchemaRefused("TooManyTables", message, hint=hint, remedy=Remedy.SAVE_FILE)


async def _confirm(transaction: Transaction, digest: str, also: Also) -> None:
    active = transaction.catalog.active
    if active is None or active.digest != digest:
        raise _Again
    await also(transaction)


async def _abandon(transaction: Transaction, push: str) -> None:
    for row in transaction.catalog.schemas:
        if row.push == push:
            await transaction.delete(row.id)
    await drop_leftovers(transaction, [row for row in transaction.catalog.schemas if row.push != push])
