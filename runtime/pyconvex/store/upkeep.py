"""What goes on behind the scenes after an activation: staged indexes are filled, and what is gone is swept away.

Leftovers are entries of dropped indexes, and whatever a push left behind that never ended. Nobody reads any of it, so
it can wait; what is not done when the process ends is done by the next one.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyconvex.store.schema.backfill import fill
from pyconvex.store.schema.catalog import INDEXES, Catalog, Index, IndexKind, IndexState, Table
from pyconvex.store.schema.catalog_rows import by_number, drop_leftovers
from pyconvex.store.schema.plan import is_unfinished, leftovers, staged_builds
from pyconvex.store.schema.progress import Step
from pyconvex.store.schema.rows import SchemaRow, SchemaState
from pyconvex.values.ids import decode_id
from pyconvex.values.value import Value

from .keys import Changes, ReadSet, after_key
from .persistence import Persistence, Reader, StoreFailed
from .transaction import Transaction

if TYPE_CHECKING:
    from .store import Store

CLEARED_ENTRIES: Final = 512
LOOK_SECONDS: Final = 2.0
"""How often to see whether another process still fills the indexes that it began with."""


class _Settled(Exception):
    """An index that was being filled is not to be filled any more."""


class Upkeep:
    """The background work of one store; at most one round of it goes on at a time."""

    def __init__(self, store: "Store", persistence: Persistence) -> None:
        self._store = store
        self._persistence = persistence
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Do what there is to do, if anything."""
        if self._task is None and self._is_needed():
            self._task = asyncio.create_task(self._run(), name="upkeep of indexes")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _is_needed(self) -> bool:
        catalog, schema = self._store.catalog, self._store.schema
        unsettled = [row for row in catalog.schemas if row.state is not SchemaState.ACTIVE]
        return bool(catalog.dropped or unsettled or leftovers(catalog, schema) or [*staged_builds(catalog, schema)])

    async def _run(self) -> None:
        # Should the database fail, the next activation or the next process goes on.
        with suppress(StoreFailed):
            await self._sweep()
            await self._fill_staged()

    # --- sweeping

    async def _sweep(self) -> None:
        abandoned = await self._abandoned()
        await self._store.maintain(lambda transaction: _give_up(transaction, abandoned))
        for index in self._store.catalog.dropped:
            await self._clear(index)
            await self._store.maintain(lambda transaction, number=index.number: _forget(transaction, number))

    async def _abandoned(self) -> frozenset[str]:
        """The pushes that nobody is going to end: this process has none now, and others may be dead."""
        # In this order: whoever has begun a push is alive from before, if he is.
        async with self._store.snapshot() as transaction:
            rows = [row for row in transaction.catalog.schemas if row.state is not SchemaState.ACTIVE]
        living = await self._persistence.living() if rows else frozenset[int]()
        return frozenset(row.push for row in rows if row.node == self._store.node or row.node not in living)

    async def _clear(self, index: Index) -> None:
        async def remove_some(reader: Reader) -> tuple[bool, Changes]:
            if index.kind is not IndexKind.DATABASE:
                left = await reader.holds(index.number)
                return left, Changes(ReadSet(), emptied=[index.number] if left else ())
            keys = await reader.keys(index.range(), limit=CLEARED_ENTRIES)
            if not keys:
                return False, Changes(ReadSet())
            return True, Changes(ReadSet(), cleared=[index.range(keys[0], after_key(keys[-1]))])

        while (await self._persistence.transact(remove_some, patient=True)).value:
            pass

    # --- staged indexes

    async def _fill_staged(self) -> None:
        while True:
            async with self._store.snapshot() as transaction:
                builds = [*staged_builds(transaction.catalog, transaction.schema)]
            if not builds:
                return
            living = await self._persistence.living()
            mine = [(table, index) for table, index in builds if index.builder not in living - {self._store.node}]
            if not mine:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            table = mine[0][0]
            with suppress(_Settled):
                await self._fill(table, [index for owner, index in mine if owner is table])

    async def _fill(self, table: Table, indexes: Sequence[Index]) -> None:
        numbers = [index.number for index in indexes]
        store = self._store
        await store.maintain(lambda transaction: _set(transaction, numbers, "builder", store.node))

        async def allowed(reader: Reader) -> None:
            if not _are_unfinished(await store.catalog_of(reader), table.number, numbers):
                raise _Settled

        names = tuple(f"{table.name}.{index.name}" for index in indexes)
        reporter = store.reporter(Step.BUILD, names, background=True)
        await fill(self._persistence, table, indexes, allowed=allowed, reporter=reporter)
        await store.maintain(lambda transaction: _set(transaction, numbers, "state", IndexState.STAGED.value))


def _are_unfinished(catalog: Catalog, table: int, numbers: Sequence[int]) -> bool:
    found = catalog.numbered(table)
    unfinished = {index.number for index in found.extra if is_unfinished(index)} if found else set[int]()
    return unfinished.issuperset(numbers)


async def _give_up(transaction: Transaction, pushes: frozenset[str]) -> None:
    """Forget pushes that nobody is going to end, and drop the indexes that nobody is going to finish."""
    catalog = transaction.catalog
    kept: list[SchemaRow] = []
    for row in catalog.schemas:
        if row.push in pushes and row.state is not SchemaState.ACTIVE:
            await transaction.delete(row.id)
        else:
            kept.append(row)
    await drop_leftovers(transaction, kept)


async def _set(transaction: Transaction, numbers: Sequence[int], field: str, value: Value) -> None:
    """Change a field of indexes that are being filled; those that were settled meanwhile stay as they are."""
    unfinished = {index.number for table in transaction.catalog.tables for index in table.extra if is_unfinished(index)}
    documents = await by_number(transaction, INDEXES)
    for number in unfinished.intersection(numbers):
        await transaction.patch(decode_id(documents[number]), {field: value})


async def _forget(transaction: Transaction, index: int) -> None:
    document = (await by_number(transaction, INDEXES)).get(index)
    if document is not None:  # another process may have swept it as well
        await transaction.delete(decode_id(document))
