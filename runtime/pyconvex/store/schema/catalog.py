"""Which tables and indexes there are, at one timestamp.

The catalog is kept as documents of private system tables of the same store. So a table that a failed sub-transaction
created goes away with its other writes, and every engine stores the catalog for free.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, cast

from msgspec import Struct
from msgspec.structs import replace

from pyconvex.store.keys import KeyRange
from pyconvex.store.persistence import Reader
from pyconvex.store.search.entries import Entry, Path, search_entry, value_at, vector_entry
from pyconvex.values.keys import encode_key, value_key
from pyconvex.values.value import Value, undefined
from pyconvex.values.wire import load

from .rows import SchemaRow, SchemaState

TABLES: Final = "_tables"
INDEXES: Final = "_indexes"
SCHEMAS: Final = "_schemas"
ENVIRONMENT: Final = "_environment_variables"
FILES: Final = "_files"
JOBS: Final = "_jobs"
DEPLOYMENTS: Final = "_deployments"
SECRETS: Final = "_secrets"
SESSION_REQUESTS: Final = "_session_requests"
UPLOAD_URLS: Final = "_upload_urls"
SCHEDULED_FUNCTIONS: Final = "_scheduled_functions"
STORAGE: Final = "_storage"

SYSTEM_TABLES: Final[Mapping[str, int]] = {
    TABLES: 512,
    INDEXES: 513,
    SCHEMAS: 514,
    ENVIRONMENT: 515,
    FILES: 516,
    JOBS: 517,
    DEPLOYMENTS: 518,
    SECRETS: 519,
    SESSION_REQUESTS: 520,
    UPLOAD_URLS: 521,
    SCHEDULED_FUNCTIONS: 539,
    STORAGE: 540,
}
"""Tables that exist from the start. Convex fixes the numbers of the last two; they never change once given out."""

PUBLIC_SYSTEM_TABLES: Final = frozenset({SCHEDULED_FUNCTIONS, STORAGE})
"""Those that users read with `ctx.db.system`; the others look as if they did not exist."""

FIRST_USER_TABLE: Final = 10_001
BY_ID: Final = "by_id"
BY_CREATION_TIME: Final = "by_creation_time"

BY_DUE: Final = "by_due"

_INDEX_BITS = 16
_BUILT_IN = 2
_TIME_BYTES = 9
"""Length of a creation time in a key; the id follows, as a text."""


class IndexState(StrEnum):
    BACKFILLING = "backfilling"
    """New writes keep it up to date, older documents are being added: not to be read yet."""
    STAGED = "staged"
    """Complete, but not to be read until the schema says so."""
    ENABLED = "enabled"
    DROPPED = "dropped"
    """Neither written nor read any more; its entries are being removed."""


class IndexKind(StrEnum):
    DATABASE = "database"
    """Keys in order."""
    SEARCH = "search"
    VECTOR = "vector"


class Index(Struct, frozen=True):
    """One index. `fields` leaves out `_creationTime` and `_id`, which every key ends with.

    Indexes of the other kinds have one field, the text or the vector, and the fields that searches filter by.
    """

    number: int
    name: str
    fields: tuple[str, ...]
    state: IndexState = IndexState.ENABLED
    kind: IndexKind = IndexKind.DATABASE
    filter_fields: tuple[str, ...] = ()
    dimensions: int = 0
    """Of a vector index."""
    builder: int = 0
    """The process that fills it in the background."""

    @property
    def readable(self) -> bool:
        return self.state is IndexState.ENABLED

    def document(self, table: int) -> dict[str, Value]:
        """What the catalog keeps of the index."""
        fields: list[Value] = [*self.fields]
        document: dict[str, Value] = {"table": table, "number": self.number, "name": self.name, "fields": fields}
        document["state"] = self.state.value
        if self.kind is not IndexKind.DATABASE:
            document |= {"kind": self.kind.value, "filterFields": [*self.filter_fields], "dimensions": self.dimensions}
        if self.builder:
            document["builder"] = self.builder
        return document

    @classmethod
    def of(cls, document: Mapping[str, Value]) -> "Index":
        """The index that a document of the catalog describes."""
        return cls(
            cast(int, document["number"]),
            cast(str, document["name"]),
            tuple(cast("list[str]", document["fields"])),
            IndexState(cast(str, document["state"])),
            IndexKind(cast(str, document.get("kind", IndexKind.DATABASE))),
            tuple(cast("list[str]", document.get("filterFields", ()))),
            cast(int, document.get("dimensions", 0)),
            cast(int, document.get("builder", 0)),
        )

    @property
    def declaration(self) -> "Index":
        """What the schema says of it: equal for equal declarations, whatever their number and state."""
        return replace(self, number=0, state=IndexState.ENABLED, builder=0)

    def entry_of(self, document: Mapping[str, Value]) -> Entry | None:
        """What a search or vector index holds of a document; None when it leaves the document out."""
        field, filters = _path(self.fields[0]), [_path(name) for name in self.filter_fields]
        if self.kind is IndexKind.SEARCH:
            return search_entry(document, field, filters)
        return vector_entry(document, field, self.dimensions, filters)

    def range(self, start: bytes = b"", stop: bytes | None = None) -> KeyRange:
        return KeyRange(self.number, start, stop)


def table_of_index(index: int) -> int:
    """The number of the table that an index belongs to."""
    return index >> _INDEX_BITS


def creation_index(table: int) -> int:
    """The number of a table's `by_creation_time`."""
    return index_number(table, 1)


def id_in(creation_key: bytes) -> str:
    """The document's id in its key in `by_creation_time`."""
    return creation_key[_TIME_BYTES + 1 : -1].decode()


def id_key_in(creation_key: bytes) -> bytes:
    """The document's key in `by_id`, out of its key in `by_creation_time`."""
    return creation_key[_TIME_BYTES:]


def index_number(table: int, slot: int) -> int:
    """Numbers of indexes tell their table and are given out once: 0 and 1 are the built-in ones, others count on."""
    assert slot < 1 << _INDEX_BITS, f"table {table} has had more indexes than have numbers"
    return table << _INDEX_BITS | slot


def _by_name(indexes: Iterable[Index]) -> dict[str, Index]:
    return {index.name: index for index in sorted(indexes, key=lambda index: index.readable)}


def _path(field: str) -> Path:
    return tuple(field.split("."))


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
        self.by_creation_time: Final = Index(creation_index(number), BY_CREATION_TIME, ("_creationTime",))
        self.extra = tuple(extra)
        self.searched = tuple(index for index in self.extra if index.kind is not IndexKind.DATABASE)
        """Its search and vector indexes."""
        ordinary = [index for index in self.extra if index.kind is IndexKind.DATABASE]
        self.indexes = (self.by_id, self.by_creation_time, *ordinary)
        """Those that have keys in order."""
        self.numbers = tuple(index.number for index in self.indexes)
        """The indexes' numbers, in the order in which `keys_of` gives a document's keys."""
        self._paths = [[_path(field) for field in index.fields] for index in ordinary]
        self._readable = _by_name(self.indexes)
        self._searchable = _by_name(self.searched)

    @property
    def is_system(self) -> bool:
        return self.number < FIRST_USER_TABLE

    def index(self, name: str, kind: IndexKind = IndexKind.DATABASE) -> Index | None:
        """The index of that name: the readable one, when another of the same name is being built."""
        if kind is IndexKind.DATABASE:
            return self._readable.get(name)
        found = self._searchable.get(name)
        return found if found is not None and found.kind is kind else None

    def document(self) -> dict[str, Value]:
        """What the catalog keeps of the table; its indexes have documents of their own."""
        return {"name": self.name, "number": self.number, "indexesMade": self.indexes_made}

    def keys_of(self, document: Mapping[str, Value]) -> tuple[bytes, ...]:
        """The document's key in each index; user indexes end with creation time and id, so equal values keep order."""
        id_key = value_key(document["_id"])
        creation_key = value_key(document["_creationTime"]) + id_key
        return (id_key, creation_key, *self.extra_keys(document, creation_key))

    def extra_keys(self, document: Mapping[str, Value], creation_key: bytes) -> list[bytes]:
        """The document's keys in all but the first two indexes, when that in `by_creation_time` is known."""
        keys: list[bytes] = []
        for paths in self._paths:
            if len(paths) == 1 and len(path := paths[0]) == 1:
                keys.append(value_key(document.get(path[0], undefined)) + creation_key)
            else:
                keys.append(encode_key([value_at(document, path) for path in paths]) + creation_key)
        return keys


class Catalog:
    """All tables of a deployment, immutable; a change makes a new one."""

    def __init__(
        self, tables: Iterable[Table], *, schemas: Sequence[SchemaRow] = (), dropped: Sequence[Index] = ()
    ) -> None:
        self.schemas = tuple(schemas)
        self.active = next((row for row in schemas if row.state is SchemaState.ACTIVE), None)
        """The schema in force; None before the first one."""
        self.pending = next((row for row in schemas if row.state is SchemaState.PENDING), None)
        """The schema on its way into force."""
        self.dropped = tuple(dropped)
        """Indexes whose entries still wait to be removed."""
        self._by_name = {table.name: table for table in tables}
        self._by_number = {table.number: table for table in self._by_name.values()}

    @property
    def tables(self) -> tuple[Table, ...]:
        """User tables in the order of their creation, without the system's."""
        return tuple(self._by_number[number] for number in sorted(self._by_number) if number >= FIRST_USER_TABLE)

    @property
    def user_tables(self) -> int:
        """How many tables users have."""
        return len(self._by_number) - len(SYSTEM_TABLES)

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
        return Catalog(tables.values(), schemas=self.schemas, dropped=self.dropped)


_SYSTEM_INDEXES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {JOBS: {BY_DUE: ("phase", "due")}}
"""Further indexes of system tables, by name. One that is added to a table of older deployments needs a migration."""


def _system_table(name: str, number: int) -> Table:
    fields = _SYSTEM_INDEXES.get(name, {})
    extra = [Index(index_number(number, _BUILT_IN + slot), *index) for slot, index in enumerate(fields.items())]
    return Table(number, name, extra, indexes_made=_BUILT_IN + len(extra))


_SYSTEM: Final = tuple(_system_table(*table) for table in SYSTEM_TABLES.items())
EMPTY_CATALOG: Final = Catalog(_SYSTEM)


async def read_catalog(reader: Reader) -> Catalog:
    """The catalog as `reader` sees it."""
    indexes: dict[int, list[Index]] = {}
    for row in await _documents(reader, INDEXES):
        index = Index.of(row)
        indexes.setdefault(cast(int, row["table"]), []).append(index)
    tables = [*_SYSTEM]
    dropped: list[Index] = []
    for row in await _documents(reader, TABLES):
        number = cast(int, row["number"])
        mine = indexes.get(number, [])
        dropped += [index for index in mine if index.state is IndexState.DROPPED]
        kept = [index for index in mine if index.state is not IndexState.DROPPED]
        tables.append(Table(number, cast(str, row["name"]), kept, indexes_made=cast(int, row["indexesMade"])))
    schemas = [SchemaRow.of(row) for row in await _documents(reader, SCHEMAS)]
    return Catalog(tables, schemas=schemas, dropped=dropped)


async def _documents(reader: Reader, table: str) -> list[dict[str, Value]]:
    by_creation_time = Table(SYSTEM_TABLES[table], table).by_creation_time
    rows = await reader.scan(by_creation_time.range(), reverse=False, limit=2**31, bytes_max=2**31)
    return [cast("dict[str, Value]", load(body)) for _key, _size, body in rows]
