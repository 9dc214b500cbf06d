"""Which tables and indexes there are, at one timestamp.

The catalog is kept as documents of private system tables of the same store. So a table that a failed sub-transaction
created goes away with its other writes, and every engine stores the catalog for free.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from pyconvex.values.keys import encode_key
from pyconvex.values.value import Undefined, Value, undefined
from pyconvex.values.wire import load

from .keys import KeyRange
from .persistence import Reader

TABLES: Final = "_tables"
INDEXES: Final = "_indexes"
SCHEMAS: Final = "_schemas"
ENVIRONMENT: Final = "_environment_variables"
FILES: Final = "_files"
SCHEDULED_FUNCTIONS: Final = "_scheduled_functions"
STORAGE: Final = "_storage"

SYSTEM_TABLES: Final[Mapping[str, int]] = {
    TABLES: 512,
    INDEXES: 513,
    SCHEMAS: 514,
    ENVIRONMENT: 515,
    FILES: 516,
    SCHEDULED_FUNCTIONS: 539,
    STORAGE: 540,
}
"""Tables that exist from the start. Convex fixes the numbers of the last two; they never change once given out."""

PUBLIC_SYSTEM_TABLES: Final = frozenset({SCHEDULED_FUNCTIONS, STORAGE})
"""Those that users read with `ctx.db.system`; the others look as if they did not exist."""

FIRST_USER_TABLE: Final = 10_001
BY_ID: Final = "by_id"
BY_CREATION_TIME: Final = "by_creation_time"

_INDEX_BITS = 16
_BUILT_IN = 2


class IndexState(StrEnum):
    BACKFILLING = "backfilling"
    """New writes keep it up to date, older documents are being added: not to be read yet."""
    STAGED = "staged"
    """Complete, but not to be read until the schema says so."""
    ENABLED = "enabled"
    DROPPED = "dropped"
    """Neither written nor read any more; its entries are being removed."""


@dataclass(frozen=True, slots=True)
class Index:
    """One index. `fields` leaves out `_creationTime` and `_id`, which every key ends with."""

    number: int
    name: str
    fields: tuple[str, ...]
    state: IndexState = IndexState.ENABLED

    @property
    def readable(self) -> bool:
        return self.state is IndexState.ENABLED

    def document(self, table: int) -> dict[str, Value]:
        """What the catalog keeps of the index."""
        fields: list[Value] = [*self.fields]
        return {"table": table, "number": self.number, "name": self.name, "fields": fields, "state": self.state.value}

    def range(self, start: bytes = b"", stop: bytes | None = None) -> KeyRange:
        return KeyRange(self.number, start, stop)


def index_number(table: int, slot: int) -> int:
    """Numbers of indexes tell their table and are given out once: 0 and 1 are the built-in ones, others count on."""
    assert slot < 1 << _INDEX_BITS, f"table {table} has had more indexes than have numbers"
    return table << _INDEX_BITS | slot


class Table:
    """A table and the indexes that its writes keep up to date, immutable.

    Args:
        extra: the indexes that the schema declares; `by_id` and `by_creation_time` come by themselves.
        indexes_made: how many indexes the table ever had; the next one gets this slot.
    """

    def __init__(self, number: int, name: str, extra: Iterable[Index] = (), *, indexes_made: int = _BUILT_IN) -> None:
        self.number = number
        self.name = name
        self.indexes_made = indexes_made
        self.by_id: Final = Index(index_number(number, 0), BY_ID, ("_id",))
        self.by_creation_time: Final = Index(index_number(number, 1), BY_CREATION_TIME, ("_creationTime",))
        self.extra = tuple(extra)
        self.indexes = (self.by_id, self.by_creation_time, *self.extra)
        self.numbers = tuple(index.number for index in self.indexes)
        """The indexes' numbers, in the order in which `keys_of` gives a document's keys."""
        self._paths = [[tuple(field.split(".")) for field in index.fields] for index in self.extra]
        self._readable = {index.name: index for index in sorted(self.indexes, key=lambda index: index.readable)}

    @property
    def is_system(self) -> bool:
        return self.number < FIRST_USER_TABLE

    def index(self, name: str) -> Index | None:
        """The index of that name: the readable one, when another of the same name is being built."""
        return self._readable.get(name)

    def document(self) -> dict[str, Value]:
        """What the catalog keeps of the table; its indexes have documents of their own."""
        return {"name": self.name, "number": self.number, "indexesMade": self.indexes_made}

    def keys_of(self, document: Mapping[str, Value]) -> tuple[bytes, ...]:
        """The document's key in each index; user indexes end with creation time and id, so equal values keep order."""
        id_key = encode_key((document["_id"],))
        creation_key = encode_key((document["_creationTime"],)) + id_key
        if not self._paths:
            return id_key, creation_key
        extra = [encode_key([_at(document, path) for path in paths]) + creation_key for paths in self._paths]
        return id_key, creation_key, *extra


class Catalog:
    """All tables of a deployment, immutable; a change makes a new one."""

    def __init__(self, tables: Iterable[Table], *, schema: str | None = None, dropped: Sequence[Index] = ()) -> None:
        self.schema = schema
        """Digest of the active schema; None before the first one."""
        self.dropped = tuple(dropped)
        """Indexes whose entries still wait to be removed."""
        self._by_name = {table.name: table for table in tables}
        self._by_number = {table.number: table for table in self._by_name.values()}

    @property
    def tables(self) -> tuple[Table, ...]:
        """User tables in the order of their creation, without the system's."""
        return tuple(self._by_number[number] for number in sorted(self._by_number) if number >= FIRST_USER_TABLE)

    def table(self, name: str) -> Table | None:
        return self._by_name.get(name)

    def system(self, name: str) -> Table:
        """A table that exists from the start."""
        return self._by_name[name]

    def numbered(self, number: int) -> Table | None:
        return self._by_number.get(number)

    def next_number(self) -> int:
        return max(FIRST_USER_TABLE, max(self._by_number) + 1)

    def with_table(self, table: Table) -> "Catalog":
        """This catalog with a table added or replaced."""
        tables = {**self._by_name, table.name: table}
        return Catalog(tables.values(), schema=self.schema, dropped=self.dropped)


_SYSTEM: Final = tuple(Table(number, name) for name, number in SYSTEM_TABLES.items())
EMPTY_CATALOG: Final = Catalog(_SYSTEM)


async def read_catalog(reader: Reader) -> Catalog:
    """The catalog as `reader` sees it."""
    indexes: dict[int, list[Index]] = {}
    for row in await _documents(reader, INDEXES):
        index = Index(
            cast(int, row["number"]),
            cast(str, row["name"]),
            tuple(cast("list[str]", row["fields"])),
            IndexState(cast(str, row["state"])),
        )
        indexes.setdefault(cast(int, row["table"]), []).append(index)
    tables = [*_SYSTEM]
    dropped: list[Index] = []
    for row in await _documents(reader, TABLES):
        number = cast(int, row["number"])
        mine = indexes.get(number, [])
        dropped += [index for index in mine if index.state is IndexState.DROPPED]
        kept = [index for index in mine if index.state is not IndexState.DROPPED]
        tables.append(Table(number, cast(str, row["name"]), kept, indexes_made=cast(int, row["indexesMade"])))
    schemas = await _documents(reader, SCHEMAS)
    digest = cast(str, schemas[0]["digest"]) if schemas else None
    return Catalog(tables, schema=digest, dropped=dropped)


async def _documents(reader: Reader, table: str) -> list[dict[str, Value]]:
    by_creation_time = Table(SYSTEM_TABLES[table], table).by_creation_time
    rows = await reader.scan(by_creation_time.range(), reverse=False, limit=2**31, bytes_max=2**31)
    return [cast("dict[str, Value]", load(body)) for _key, _size, body in rows]


def _at(document: Mapping[str, Value], path: tuple[str, ...]) -> Value | Undefined:
    value: Value | Undefined = document.get(path[0], undefined)
    for name in path[1:]:
        if not isinstance(value, dict):
            return undefined
        value = value.get(name, undefined)
    return value
