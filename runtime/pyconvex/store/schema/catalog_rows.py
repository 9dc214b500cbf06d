"""Changing the catalog: its documents, as a transaction reads and writes them."""

from collections.abc import Sequence
from typing import cast

from msgspec.structs import replace

from pyconvex.schema import TableDefinition
from pyconvex.store.transaction import Transaction
from pyconvex.values.ids import decode_id
from pyconvex.values.value import Value

from .catalog import EMPTY_CATALOG, INDEXES, TABLES, Catalog, Index, IndexState, Table, index_number
from .plan import index_of, leftovers
from .rows import SchemaRow


async def by_number(transaction: Transaction, table: str) -> dict[int, str]:
    """The ids of a catalog table's documents by the number of what they stand for."""
    rows = [row async for row in transaction.scan(EMPTY_CATALOG.system(table).by_creation_time)]
    return {cast(int, row["number"]): cast(str, row["_id"]) for row in rows}


async def set_states(transaction: Transaction, states: dict[int, IndexState]) -> None:
    """Put indexes, by their numbers, into other states."""
    documents = await by_number(transaction, INDEXES) if states else {}
    for number, state in states.items():
        await transaction.patch(decode_id(documents[number]), {"state": state.value})


async def drop_leftovers(transaction: Transaction, schemas: Sequence[SchemaRow]) -> None:
    """Give up the indexes that nobody is going to finish, now that these `schemas` are all there are."""
    catalog = Catalog(transaction.catalog.tables, schemas=schemas)
    unfinished = leftovers(catalog, transaction.schema)
    await set_states(transaction, dict.fromkeys(unfinished, IndexState.DROPPED))


async def create_table(transaction: Transaction, number: int, name: str, definition: TableDefinition) -> None:
    """A table with all its indexes. It holds nothing yet, so they are complete."""
    made = Table(number, name).indexes_made
    indexes = [
        replace(index_of(declared), number=index_number(number, made + offset))
        for offset, declared in enumerate(definition.declared)
    ]
    await transaction.insert(TABLES, Table(number, name, indexes, indexes_made=made + len(indexes)).document())
    for index in indexes:
        await transaction.insert(INDEXES, index.document(number))


async def create_indexes(transaction: Transaction, wanted: Sequence[tuple[str, Index]]) -> list[tuple[Table, Index]]:
    """New indexes of existing tables, to be filled; with their numbers. Those that have one are there already."""
    documents = await by_number(transaction, TABLES) if wanted else {}
    made: dict[str, int] = {}
    created: list[tuple[Table, Index]] = []
    for name, index in wanted:
        table = transaction.catalog.table(name)
        assert table is not None, "only existing tables have indexes to be filled"
        if not index.number:
            slot = made.get(name, table.indexes_made)
            made[name] = slot + 1
            index = replace(index, number=index_number(table.number, slot))
            await transaction.insert(INDEXES, replace(index, state=IndexState.BACKFILLING).document(table.number))
        created.append((table, index))
    for name, count in made.items():
        table = transaction.catalog.table(name)
        assert table is not None
        fields: dict[str, Value] = {"indexesMade": count}
        await transaction.patch(decode_id(documents[table.number]), {**fields})
    return created
