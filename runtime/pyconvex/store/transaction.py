"""One function's view of the database: a snapshot, the writes of its own laid over it, and what it read.

Nothing is sent to the engine before the function has returned: `changes` says then what to write. So a function that
is interrupted leaves nothing to undo, and every engine gets the same few kinds of change.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from math import inf, nextafter
from typing import cast

from pyconvex.clock import Clock
from pyconvex.schema import Schema
from pyconvex.settings import Limits
from pyconvex.store.schema.catalog import (
    EMPTY_CATALOG,
    SCHEMAS,
    SYSTEM_TABLES,
    TABLES,
    Catalog,
    Index,
    IndexKind,
    Table,
)
from pyconvex.store.search.entries import Entry, FoundChange
from pyconvex.store.search.scan import SearchScan
from pyconvex.store.search.selection import SearchQuery
from pyconvex.store.search.vectors import Similar, VectorQuery
from pyconvex.values.ids import DocumentId, encode_id, new_internal_id
from pyconvex.values.names import SYSTEM_FIELDS
from pyconvex.values.size import document_size
from pyconvex.values.value import Undefined, Value
from pyconvex.values.wire import dump, load

from .documents import (
    check_names,
    check_new_fields,
    check_system_fields,
    check_table_count,
    check_table_name,
    id_key,
    matching,
    measured,
    nonexistent,
    user_fields,
)
from .keys import Changes, DocumentChange, KeyRange, ReadSet, Verdict
from .overlay import Overlay, part_read
from .persistence import Conflict, Reader, Row
from .scan import PAGE_ROWS_MAX, Scan
from .usage import NearLimit, Usage

_RANDOM_BYTES = 14
_LAST_CATALOG_TABLE = SYSTEM_TABLES[SCHEMAS]


class _Version:
    """A document as it stands at one moment: its keys in the table's indexes, its size and its storage form."""

    __slots__ = ("_entries", "body", "keys", "size")
    _entries: tuple[Entry | None, ...]

    def __init__(self, keys: tuple[bytes, ...], size: int, body: bytes) -> None:
        self.keys = keys
        self.size = size
        self.body = body

    def entries(self, table: Table) -> tuple[Entry | None, ...]:
        """What the search and vector indexes of its table hold of it, in their order."""
        try:
            return self._entries
        except AttributeError:
            document = cast("dict[str, Value]", load(self.body))
            self._entries = tuple(index.entry_of(document) for index in table.searched)
            return self._entries


class WrittenDocument:
    """A document that the transaction wrote: what the engine holds, and what it is now; None where there is none."""

    __slots__ = ("now", "stored", "table")

    def __init__(self, table: Table, stored: _Version | None) -> None:
        self.table = table
        self.stored = stored
        self.now = stored


class Transaction:
    """The reads and writes of one query or mutation, the ones it calls included.

    Args:
        reader: the engine's view; its timestamp is the transaction's.
        catalog: the tables as `reader` sees them.
        schema: what written documents have to match.
        creation_time: what the first inserted document gets; the clock's time when None.
    """

    def __init__(
        self,
        reader: Reader,
        catalog: Catalog,
        schema: Schema,
        limits: Limits,
        clock: Clock,
        creation_time: float | None = None,
    ) -> None:
        self.ts = reader.ts
        """Timestamp (ns) of the newest commit that this transaction sees."""
        self.catalog = catalog
        self.schema = schema
        self.reads = ReadSet()
        self.usage = Usage(limits)
        self.warnings: list[NearLimit] = []
        """Documents that came near a limit."""
        self.verdict: Verdict | None = None
        """Of its `Changes`."""
        self.pause: Callable[[], Awaitable[None] | None] | None = None
        """Asked between the pages of a long read; what it returns is awaited. The engine gives the loop its turn."""
        self.next_creation_time = clock.now_ms() if creation_time is None else creation_time
        self.reader = reader
        """The engine's view, without the transaction's own writes."""
        self._clock = clock
        self._written: dict[bytes, WrittenDocument] = {}
        self._overlays: dict[int, Overlay] = {}
        # Inserted documents that no overlay shows yet: most mutations insert and never scan.
        self._unplaced: list[WrittenDocument] = []
        self._undo: list[tuple[WrittenDocument, _Version | None]] | None = None

    @property
    def conflict(self) -> Conflict | None:
        """What sent the run before this one back; None for the first run."""
        return self.reader.conflict

    @property
    def lost(self) -> bool:
        """Whether the connection to the database broke, so that nothing of this counts."""
        return self.reader.lost

    def table_name(self, number: int) -> str | None:
        table = self.catalog.numbered(number)
        return None if table is None else table.name

    def table_number(self, name: str) -> int | None:
        table = self._table(name)
        return None if table is None else table.number

    def index(self, table: str, name: str, kind: IndexKind = IndexKind.DATABASE) -> Index | None:
        """The index of that name, which may still be in the making (`Index.state`); None without it or its table."""
        found = self._table(table)
        return None if found is None else found.index(name, kind)

    async def get(self, id: DocumentId) -> dict[str, Value] | None:
        """The document of that id, or None; the transaction depends on it either way.

        Raises:
            LimitExceeded: the function has read too much.
        """
        table = self.catalog.numbered(id.table)
        self.usage.read_range()
        if table is None:
            self._depend_on_tables()
            return None
        stored = await self._fetch(table, id_key(id))
        if stored is None:
            return None
        size, body = stored
        self.usage.read(1, size)
        return cast("dict[str, Value]", load(body))

    async def take(
        self,
        index: Index,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[dict[str, Value]]:
        """The first `limit` documents of a range of index keys (all when None), or the last ones backwards.

        The transaction depends on the range up to the last document returned when `limit` cut it short.

        Raises:
            LimitExceeded: the function has read too much.
        """
        documents: list[dict[str, Value]] = []
        if limit == 0:
            return documents
        self.usage.read_range()
        self.reads.add(index.number, start, stop)
        slot = len(self.reads) - 1
        rest: tuple[bytes, bytes | None] | None = (start, stop)
        while rest is not None:
            wanted = PAGE_ROWS_MAX if limit is None else min(limit - len(documents), PAGE_ROWS_MAX)
            rows, rest = await self.page(index.number, *rest, reverse=reverse, limit=wanted)
            if limit is not None and len(documents) + len(rows) >= limit:
                rows = rows[: limit - len(documents)]
                (begun, end), _ = part_read(start, stop, rows[-1][0], reverse=reverse)
                self.reads.ranges[slot] = KeyRange(index.number, begun, end)
                rest = None
            self.usage.read(len(rows), sum([row[1] for row in rows]))
            documents += [cast("dict[str, Value]", load(row[2])) for row in rows]
            if rest is not None and self.pause is not None and (turn := self.pause()) is not None:
                await turn
        return documents

    def scan(
        self,
        index: Index,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Scan:
        """The same documents one after another. The transaction depends on the range as far as they were taken."""
        return Scan(self, index, start, stop, reverse=reverse, limit=limit)

    async def insert(self, table: str, fields: dict[str, Value]) -> str:
        """Add a document; a table that is not there is created.

        Args:
            fields: converted values, without system fields.

        Returns:
            The new id.

        Raises:
            DocumentRefused: names, size, depth, or it does not match the schema.
            LimitExceeded: the function has written too much.
        """
        return self.add(table, fields)

    def add(self, table: str, fields: dict[str, Value]) -> str:
        """What `insert` does; it never has to wait."""
        check_new_fields(fields)
        target = self._table(table) or self._create_table(table)
        return self._add(target, self._matching(target, fields))

    def insert_twin(self, table: str, of: DocumentId, fields: dict[str, Value]) -> None:
        """Add a document to a system table under the internal id of another table's document, or one made for it."""
        self._add(self.catalog.system(table), fields, of.internal)

    async def patch(self, id: DocumentId, fields: dict[str, Value | Undefined]) -> None:
        """Set the given top-level fields; those given as `undefined` are removed.

        Raises:
            DocumentRefused: there is no such document, or the result is not allowed.
            LimitExceeded: the function has read or written too much.
        """
        written, document = await self._for_writing("Update", id)
        check_system_fields(fields, document)
        merged = document | fields
        self._write(written, {name: value for name, value in merged.items() if not isinstance(value, Undefined)})

    async def replace(self, id: DocumentId, fields: dict[str, Value]) -> None:
        """Put new fields in the place of all others; id and creation time stay.

        Raises:
            DocumentRefused: there is no such document, or the result is not allowed.
            LimitExceeded: the function has read or written too much.
        """
        written, document = await self._for_writing("Replace", id)
        check_system_fields(fields, document)
        if fields.keys() | SYSTEM_FIELDS == document.keys():
            # In the order of the old ones, so that writing the same again is seen to change nothing.
            fields = {name: fields.get(name, value) for name, value in document.items()}
        self._write(written, {"_id": document["_id"], "_creationTime": document["_creationTime"]} | fields)

    async def delete(self, id: DocumentId) -> None:
        """Remove a document.

        Raises:
            DocumentRefused: there is no such document.
            LimitExceeded: the function has read or written too much.
        """
        written, _ = await self._for_writing("Delete", id)
        self._count_write(written.table, 0)
        self._set(written, None)

    @contextmanager
    def layer(self) -> Generator[None]:
        """A sub-transaction: when the body raises, its writes and the tables it created are gone; its reads stay."""
        outer, self._undo = self._undo, []
        catalog, usage = self.catalog, self.usage
        documents_written, bytes_written = usage.documents_written, usage.bytes_written
        functions_scheduled, scheduled_args_bytes = usage.functions_scheduled, usage.scheduled_args_bytes
        try:
            yield
        except BaseException:
            for written, version in reversed(self._undo):
                self._place(written, version)
            self.catalog = catalog
            usage.documents_written, usage.bytes_written = documents_written, bytes_written
            usage.functions_scheduled, usage.scheduled_args_bytes = functions_scheduled, scheduled_args_bytes
            self._undo = outer
            raise
        if outer is not None:
            outer += self._undo
        self._undo = outer

    def changes(self) -> Changes:
        """What to ask of the engine, now that the function has returned."""
        documents: list[DocumentChange] = []
        catalog = False
        inserts_only = True
        for written in self._written.values():
            stored, now = written.stored, written.now
            if stored is now or (stored and now and stored.body == now.body):
                continue
            catalog |= written.table.number <= _LAST_CATALOG_TABLE
            inserts_only = inserts_only and stored is None
            before = stored.keys if stored else ()
            after, size, body = (now.keys, now.size, now.body) if now else ((), 0, b"")
            found = _found_changes(written) if written.table.searched else ()
            documents.append(DocumentChange(written.table.numbers, before, after, size, body, found))
        return Changes(self.reads, documents, catalog=catalog, inserts_only=inserts_only, verdict=self.verdict)

    async def page(
        self, index: int, start: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> tuple[Sequence[Row], tuple[bytes, bytes | None] | None]:
        """Some rows of a range in order, and what is left of it (None at its end); neither counted nor recorded.

        There may be more rows than `limit`, or none: the transaction's own writes come on top.
        """
        usage = self.usage
        bytes_max = usage.limits.read_bytes - usage.bytes_read
        rows = await self.reader.scan(KeyRange(index, start, stop), reverse=reverse, limit=limit, bytes_max=bytes_max)
        rest: tuple[bytes, bytes | None] | None = None
        if rows and (len(rows) == limit or sum([row[1] for row in rows]) > bytes_max):
            (start, stop), rest = part_read(start, stop, rows[-1][0], reverse=reverse)
        if self._unplaced:
            self._place_inserted()
        overlay = self._overlays.get(index)
        return (rows if overlay is None else overlay.over(rows, start, stop, reverse=reverse)), rest

    def search(self, index: Index, query: SearchQuery, start: bytes = b"", stop: bytes | None = None) -> SearchScan:
        """The documents of a search, best first. The transaction depends on the terms that are looked for.

        Args:
            start, stop: positions in the order of the results, out of `SearchScan.row`.
        """
        return SearchScan(self, index, query, start, stop)

    async def nearest(self, index: Index, query: VectorQuery) -> Sequence[Similar]:
        """The documents with the nearest vectors, best first; the transaction's own writes are not among them."""
        return await self.reader.nearest(index.number, query)

    def written_in(self, table: int) -> list[WrittenDocument]:
        """The documents of one table, by its number, that the transaction has changed."""
        return [
            written
            for written in self._written.values()
            if written.table.number == table and written.now is not written.stored
        ]

    def written(self, id_key: bytes) -> WrittenDocument | None:
        """The document with this key in `by_id`, if the transaction has written it."""
        return self._written.get(id_key)

    async def _fetch(self, table: Table, key: bytes) -> tuple[int, bytes] | None:
        """Size and body of the document with this key in `by_id`; the transaction depends on it from now on."""
        self.reads.add_point(table.by_id.number, key)
        written = self._written.get(key)
        if written is None:
            stored = await self.reader.get(table.by_id.number, key)
            # Where the store answers late, another call of the function may have written it meanwhile.
            written = self._written.get(key)
            if written is None:
                return stored
        return (written.now.size, written.now.body) if written.now else None

    async def _for_writing(self, verb: str, id: DocumentId) -> tuple[WrittenDocument, dict[str, Value]]:
        """The document of that id, which a write is going to change: so it counts as read."""
        table = self.catalog.numbered(id.table)
        self.usage.read_range()
        key = id_key(id)
        stored = None if table is None else await self._fetch(table, key)
        if table is None or stored is None:
            raise nonexistent(verb, id)
        size, body = stored
        self.usage.read(1, size)
        document = cast("dict[str, Value]", load(body))
        written = self._written.get(key)
        if written is None:
            written = self._written[key] = WrittenDocument(table, _Version(table.keys_of(document), size, body))
        return written, document

    def _write(self, written: WrittenDocument, document: dict[str, Value]) -> None:
        table = written.table
        check_names(document)
        fields = self._matching(table, user_fields(document))
        system: dict[str, Value] = {"_id": document["_id"], "_creationTime": document["_creationTime"]}
        version = self._version(table, system | fields)
        self._count_write(table, version.size)
        if written.now is None or version.body != written.now.body:
            self._set(written, version)

    def _add(self, table: Table, fields: dict[str, Value], internal: bytes | None = None) -> str:
        creation_time = self.next_creation_time
        # The next float for the next document: creation order is a total order within the transaction.
        self.next_creation_time = nextafter(creation_time, inf)
        if internal is None:
            internal = new_internal_id(self._clock.random_bytes(_RANDOM_BYTES), creation_time)
        new_id = encode_id(DocumentId(table.number, internal))
        version = self._version(table, {"_id": new_id, "_creationTime": creation_time, **fields})
        self._count_write(table, version.size)
        written = self._written[version.keys[0]] = WrittenDocument(table, None)
        if self._undo is None:
            written.now = version
            self._unplaced.append(written)
        else:
            self._set(written, version)
        return new_id

    def _matching(self, table: Table, fields: dict[str, Value]) -> dict[str, Value]:
        return fields if table.is_system else matching(table.name, fields, self.schema, self.table_name)

    def _count_write(self, table: Table, size: int) -> None:
        """What pyconvex writes on behalf of a function, the function has limits of its own for."""
        if not table.is_system:
            self.usage.write(size)

    def _version(self, table: Table, document: dict[str, Value]) -> _Version:
        size = document_size(document) if table.is_system else measured(document, self.warnings)
        return _Version(table.keys_of(document), size, dump(document))

    def _set(self, written: WrittenDocument, version: _Version | None) -> None:
        if self._undo is not None:
            self._undo.append((written, written.now))
        self._place(written, version)

    def _place(self, written: WrittenDocument, version: _Version | None) -> None:
        """Make `version` what scans and gets find of the document."""
        if self._unplaced:
            self._place_inserted()
        stored = written.stored.keys if written.stored else ()
        old = written.now.keys if written.now else ()
        overlays = [self._overlay(index) for index in written.table.numbers]
        for position, key in enumerate(old):
            if stored and stored[position] == key:
                overlays[position].put(key, None)
            else:
                overlays[position].forget(key)
        if version is not None:
            for overlay, key in zip(overlays, version.keys, strict=True):
                overlay.put(key, (key, version.size, version.body))
        written.now = version

    def _place_inserted(self) -> None:
        unplaced, self._unplaced = self._unplaced, []
        for written in unplaced:
            version, written.now = written.now, None
            self._place(written, version)

    def _overlay(self, index: int) -> Overlay:
        overlay = self._overlays.get(index)
        if overlay is None:
            overlay = self._overlays[index] = Overlay()
        return overlay

    def _table(self, name: str) -> Table | None:
        table = self.catalog.table(name)
        if table is None:
            self._depend_on_tables()
        return table

    def _depend_on_tables(self) -> None:
        """A table created later would change the answer."""
        self.reads.add(EMPTY_CATALOG.system(TABLES).by_creation_time.number, b"", None)

    def _create_table(self, name: str) -> Table:
        check_table_name(name)
        check_table_count(self.catalog.user_tables + 1)
        table = Table(self.catalog.next_number(), name)
        self._add(EMPTY_CATALOG.system(TABLES), table.document())
        self.catalog = self.catalog.with_table(table)
        return table


def _found_changes(written: WrittenDocument) -> tuple[FoundChange, ...]:
    indexes = written.table.searched
    none = (None,) * len(indexes)
    before, after = (
        none if version is None else version.entries(written.table) for version in (written.stored, written.now)
    )
    return tuple(FoundChange(index.number, *entries) for index, *entries in zip(indexes, before, after, strict=True))
