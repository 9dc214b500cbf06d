"""Putting a schema into force on a store that holds documents already and goes on being written.

1. Indexes that are missing get a catalog row in state `backfilling`: from then on every write keeps them up to date.
2. Documents are held against the new schema in short snapshots; those written from now on as they are written.
3. Older documents are added to the new indexes, a few at a time, each time in a mutation of its own.
4. One mutation makes the new indexes readable, creates tables, drops what is gone and names the schema.

Whatever fails before step 4 leaves the old schema in force, and indexes that nobody reads, which are swept away.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from pyconvex.errors import DeveloperError, Remedy
from pyconvex.schema import Schema, TableDefinition
from pyconvex.settings import Limits
from pyconvex.values.ids import decode_id
from pyconvex.values.validators import TableNames, ValidationFailed
from pyconvex.values.value import Value
from pyconvex.values.wire import load

from .catalog import (
    EMPTY_CATALOG,
    INDEXES,
    SCHEMAS,
    TABLES,
    Catalog,
    Index,
    IndexState,
    Table,
    index_number,
)
from .documents import user_fields
from .keys import Changes, IndexKey, KeyRange, NewEntry, ReadSet, after_key
from .persistence import Committed, Persistence, Reader, StoreFailed
from .transaction import Transaction

if TYPE_CHECKING:
    from .store import Store

T = TypeVar("T")

VIOLATIONS_MAX: Final = 10
CHUNK_DOCUMENTS: Final = 128
"""Documents read, checked or indexed between two turns of the event loop: one or two milliseconds."""
_TABLES_AT_ONCE: Final = 20
_CHUNK_BYTES: Final = 2**20
_CLEARED_ENTRIES: Final = 512
_UNLIMITED: Final = Limits(
    read_bytes=2**62, read_documents=2**62, read_ranges=2**62, write_bytes=2**62, write_documents=2**62
)
"""A catalog may be larger than what a function may read."""


class Violation(NamedTuple):
    """A document that does not match the schema: its id, the path inside it ("" for the whole), and Convex's text."""

    id: str
    path: str
    reason: str
    table: str


class SchemaViolation(DeveloperError):
    """A schema that stored documents do not match; up to ten of them are in `violations`."""

    def __init__(self, message: str, violations: Sequence[Violation]) -> None:
        super().__init__(
            "SchemaViolation",
            message,
            hint="make the schema accept these documents, or change them first",
            remedy=Remedy.CHANGE_DATA,
        )
        self.violations = tuple(violations)


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """What an activation changed; indexes are written `table.index`."""

    tables_created: tuple[str, ...] = ()
    indexes_created: tuple[str, ...] = ()
    indexes_dropped: tuple[str, ...] = ()


class Pending:
    """A schema on its way into force."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.refusal: SchemaViolation | None = None

    def examine(self, transaction: Transaction, changes: Changes) -> None:
        """Hold what a mutation wrote against the schema: a mismatch lets the mutation be and refuses the schema."""
        for change in changes.documents:
            if change.deleted or self.refusal is not None:
                continue
            document = cast("dict[str, Value]", load(change.body))
            name = transaction.table_name(decode_id(cast(str, document["_id"])).table) or ""
            violation = violation_of(name, document, self.schema, transaction.table_name)
            if violation is not None:
                message = f'New document in table "{name}" does not match the schema: {violation.reason}'
                self.refusal = SchemaViolation(message, [violation])


class _Raced(Exception):
    """A table appeared that was to be created: plan again."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The difference between a catalog and a schema."""

    missing: tuple[str, ...]
    """Tables to be created."""
    build: tuple[tuple[str, Index], ...]
    """(table, index) that existing tables lack; the numbers are given out when the building begins."""
    drop: tuple[tuple[str, Index], ...]
    switch: tuple[tuple[Index, IndexState], ...]
    """Complete indexes that become staged, or no longer are."""


class Activation:
    """The activations of one store, one at a time."""

    def __init__(self, store: "Store", persistence: Persistence) -> None:
        self._store = store
        self._persistence = persistence
        self._lock = asyncio.Lock()
        self._sweep: asyncio.Task[None] | None = None

    async def run(self, schema: Schema) -> SchemaChange:
        async with self._lock:
            await self._stop_sweep()
            digest = _digest(schema)
            if self._store.catalog.schema == digest and not self._leftovers():
                self._store.settle(schema, digest)
                return SchemaChange()
            self._store.pending = pending = Pending(schema)
            try:
                while True:
                    try:
                        return await self._activate(schema, digest, pending)
                    except _Raced:
                        continue
            finally:
                self._store.pending = None
                if self._leftovers():
                    self._sweep = asyncio.create_task(self._sweep_leftovers(), name="sweep dropped indexes")

    async def close(self) -> None:
        await self._stop_sweep()

    async def _activate(self, schema: Schema, digest: str, pending: Pending) -> SchemaChange:
        plan, building, old = (await self._mutate(lambda transaction: _begin(transaction, schema))).value
        await self._check(schema, old, pending)
        for table, indexes in building.items():
            await self._fill(table, indexes)

        async def finish(transaction: Transaction) -> None:
            if pending.refusal is not None:
                raise pending.refusal
            await _finish(transaction, plan, building, schema, digest)

        self._store.adopt(schema, digest)
        await self._mutate(finish)
        self._store.settle(schema, digest)
        created = [f"{name}.{index.name}" for name in plan.missing for index in schema.tables[name].indexes]
        return SchemaChange(
            tables_created=plan.missing,
            indexes_created=(*created, *(f"{name}.{index.name}" for name, index in plan.build)),
            indexes_dropped=tuple(f"{name}.{index.name}" for name, index in plan.drop),
        )

    async def _fill(self, table: Table, indexes: tuple[Index, ...]) -> None:
        """Add the documents that were there before the indexes."""
        wanted = {index.number for index in indexes}
        position = b""

        async def add_some(reader: Reader) -> tuple[bytes | None, Changes]:
            span = KeyRange(table.by_id.number, position, None)
            rows = await reader.scan(span, reverse=False, limit=CHUNK_DOCUMENTS, bytes_max=_CHUNK_BYTES)
            reads = ReadSet()
            reads.add(*span)
            entries = [
                NewEntry(number, key, IndexKey(table.by_id.number, row[0]))
                for row in rows
                for number, key in zip(table.numbers, table.keys_of(_document(row[2])), strict=True)
                if number in wanted
            ]
            return (rows[-1][0] if rows else None), Changes(reads, entries=entries)

        while (last := (await self._persistence.transact(add_some)).value) is not None:
            position = after_key(last)

    async def _check(self, schema: Schema, old: dict[str, object], pending: Pending) -> None:
        """Hold the stored documents against the schema, where its tables' validators have changed.

        Raises:
            SchemaViolation: some do not match.
        """
        if not schema.schema_validation:
            return
        violations: list[Violation] = []
        for name, definition in schema.tables.items():
            if old.get(name) == definition.validator.json():
                continue
            await self._check_table(name, schema, violations)
        if pending.refusal is not None:
            raise pending.refusal
        if violations:
            first = violations[0]
            message = (
                f'Document with ID "{first.id}" in table "{first.table}" does not match the schema: {first.reason}'
            )
            raise SchemaViolation(message, violations)

    async def _check_table(self, name: str, schema: Schema, violations: list[Violation]) -> None:
        position: bytes | None = b""
        while position is not None and len(violations) < VIOLATIONS_MAX:
            async with self._persistence.snapshot() as reader:
                catalog = self._store.catalog
                table = catalog.table(name)
                if table is None:
                    return
                span = table.by_id.range(position)
                rows = await reader.scan(span, reverse=False, limit=CHUNK_DOCUMENTS, bytes_max=_CHUNK_BYTES)
            for _key, _size, body in rows:
                violation = violation_of(name, _document(body), schema, _names(catalog))
                if violation is not None and len(violations) < VIOLATIONS_MAX:
                    violations.append(violation)
            position = after_key(rows[-1][0]) if rows else None
            await asyncio.sleep(0)

    def _leftovers(self) -> bool:
        catalog = self._store.catalog
        return bool(catalog.dropped) or any(_unfinished(table) for table in catalog.tables)

    async def _sweep_leftovers(self) -> None:
        """Remove the entries of dropped indexes, and what an activation left behind that never ended."""
        try:
            await self._mutate(_drop_unfinished)
            for index in self._store.catalog.dropped:
                await self._clear(index)
                await self._mutate(lambda transaction, number=index.number: _forget(transaction, number))
        except StoreFailed:
            # Nobody reads those entries; the next activation sweeps again.
            return

    async def _clear(self, index: Index) -> None:
        async def remove_some(reader: Reader) -> tuple[bool, Changes]:
            keys = await reader.keys(index.range(), limit=_CLEARED_ENTRIES)
            if not keys:
                return False, Changes(ReadSet())
            return True, Changes(ReadSet(), cleared=[index.range(keys[0], after_key(keys[-1]))])

        while (await self._persistence.transact(remove_some)).value:
            pass

    async def _mutate(self, work: Callable[[Transaction], Awaitable[T]]) -> Committed[T]:
        return await self._store.mutate(work, limits=_UNLIMITED)

    async def _stop_sweep(self) -> None:
        sweep, self._sweep = self._sweep, None
        if sweep is not None:
            sweep.cancel()
            await asyncio.gather(sweep, return_exceptions=True)


def violation_of(table: str, document: dict[str, Value], schema: Schema, tables: TableNames) -> Violation | None:
    """How a stored document fails the schema; None when it matches, or the schema says nothing about it."""
    definition = schema.tables.get(table) if schema.schema_validation else None
    if definition is None:
        return None
    try:
        definition.validator.validate(user_fields(document), tables)
    except ValidationFailed as failed:
        return Violation(cast(str, document["_id"]), failed.path, failed.reason, table)
    return None


async def _begin(
    transaction: Transaction, schema: Schema
) -> tuple[_Plan, dict[Table, tuple[Index, ...]], dict[str, object]]:
    """Write down the indexes to be built; every mutation after this one keeps them up to date."""
    await _drop_unfinished(transaction)
    plan = _plan(transaction.catalog, schema)
    building: dict[Table, tuple[Index, ...]] = {}
    documents = await _by_number(transaction, TABLES) if plan.build else {}
    for name in dict.fromkeys(name for name, _ in plan.build):
        table = transaction.catalog.table(name)
        assert table is not None, "only existing tables have indexes to be built"
        made = table.indexes_made
        indexes: list[Index] = []
        for owner, index in plan.build:
            if owner == name:
                indexes.append(replace(index, number=index_number(table.number, made + len(indexes))))
        for index in indexes:
            building_index = replace(index, state=IndexState.BACKFILLING)
            await transaction.insert(INDEXES, building_index.document(table.number))
        made += len(indexes)
        await transaction.patch(decode_id(documents[table.number]), {"indexesMade": made})
        kept = tuple(index for index in table.extra if index.state is not IndexState.BACKFILLING)
        building[Table(table.number, name, (*kept, *indexes), indexes_made=made)] = tuple(indexes)
    return plan, building, await _active_validators(transaction)


async def _finish(
    transaction: Transaction,
    plan: _Plan,
    building: dict[Table, tuple[Index, ...]],
    schema: Schema,
    digest: str,
) -> None:
    documents = await _by_number(transaction, INDEXES)
    states = {index.number: index.state for indexes in building.values() for index in indexes}
    states |= {index.number: state for index, state in plan.switch}
    states |= {index.number: IndexState.DROPPED for _, index in plan.drop}
    for number, state in states.items():
        await transaction.patch(decode_id(documents[number]), {"state": state.value})
    number = transaction.catalog.next_number()
    for offset, name in enumerate(plan.missing):
        if transaction.catalog.table(name) is not None:
            raise _Raced
        await _create_table(transaction, number + offset, name, schema.tables[name])
        if offset % _TABLES_AT_ONCE == _TABLES_AT_ONCE - 1:
            await asyncio.sleep(0)
    for old in await _rows(transaction, SCHEMAS):
        await transaction.delete(decode_id(cast(str, old["_id"])))
    await transaction.insert(SCHEMAS, {"digest": digest, "schema": _text(schema)})


async def _create_table(transaction: Transaction, number: int, name: str, definition: TableDefinition) -> None:
    made = Table(number, name).indexes_made
    indexes = [
        Index(index_number(number, made + offset), index.name, index.fields, _state(index.staged))
        for offset, index in enumerate(definition.indexes)
    ]
    table = Table(number, name, indexes, indexes_made=made + len(indexes))
    await transaction.insert(TABLES, table.document())
    for index in indexes:
        await transaction.insert(INDEXES, index.document(number))


async def _drop_unfinished(transaction: Transaction) -> None:
    """Give up indexes whose building was interrupted."""
    unfinished = {index.number for table in transaction.catalog.tables for index in _unfinished(table)}
    if not unfinished:
        return
    documents = await _by_number(transaction, INDEXES)
    for number in unfinished:
        await transaction.patch(decode_id(documents[number]), {"state": IndexState.DROPPED.value})


async def _forget(transaction: Transaction, index: int) -> None:
    documents = await _by_number(transaction, INDEXES)
    await transaction.delete(decode_id(documents[index]))


def _plan(catalog: Catalog, schema: Schema) -> _Plan:
    missing: list[str] = []
    build: list[tuple[str, Index]] = []
    drop: list[tuple[str, Index]] = []
    switch: list[tuple[Index, IndexState]] = []
    for name, definition in schema.tables.items():
        table = catalog.table(name)
        if table is None:
            missing.append(name)
            continue
        complete = {(index.name, index.fields): index for index in table.extra if not _is_unfinished(index)}
        for wanted in definition.indexes:
            present = complete.pop((wanted.name, wanted.fields), None)
            state = _state(wanted.staged)
            if present is None:
                build.append((name, Index(0, wanted.name, wanted.fields, state)))
            elif present.state is not state:
                switch.append((present, state))
        drop += [(name, index) for index in complete.values()]
    for table in catalog.tables:
        if table.name not in schema.tables:
            drop += [(table.name, index) for index in table.extra if not _is_unfinished(index)]
    return _Plan(tuple(missing), tuple(build), tuple(drop), tuple(switch))


def _state(staged: bool) -> IndexState:
    return IndexState.STAGED if staged else IndexState.ENABLED


def _is_unfinished(index: Index) -> bool:
    return index.state is IndexState.BACKFILLING


def _unfinished(table: Table) -> list[Index]:
    return [index for index in table.extra if _is_unfinished(index)]


async def _rows(transaction: Transaction, table: str) -> list[dict[str, Value]]:
    return [row async for row in transaction.scan(EMPTY_CATALOG.system(table).by_creation_time)]


async def _by_number(transaction: Transaction, table: str) -> dict[int, str]:
    """The ids of a catalog table's documents by the number of what they stand for."""
    return {cast(int, row["number"]): cast(str, row["_id"]) for row in await _rows(transaction, table)}


async def _active_validators(transaction: Transaction) -> dict[str, object]:
    """The validators (as JSON) that every stored document is known to match, by table."""
    rows = await _rows(transaction, SCHEMAS)
    if not rows:
        return {}
    schema = cast("dict[str, Any]", json.loads(cast(str, rows[0]["schema"])))
    if not schema["schemaValidation"]:
        return {}
    return {table["tableName"]: table["documentType"] for table in schema["tables"]}


def _document(body: bytes) -> dict[str, Value]:
    return cast("dict[str, Value]", load(body))


def _names(catalog: Catalog) -> TableNames:
    def name(number: int) -> str | None:
        table = catalog.numbered(number)
        return None if table is None else table.name

    return name


def _text(schema: Schema) -> str:
    return json.dumps(schema.json(), sort_keys=True, separators=(",", ":"))


def _digest(schema: Schema) -> str:
    return hashlib.sha256(_text(schema).encode()).hexdigest()
