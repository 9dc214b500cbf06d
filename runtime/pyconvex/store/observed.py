"""A transaction that keeps account of each single read and write, for reports."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

from pyconvex.clock import Clock
from pyconvex.schema import Schema
from pyconvex.settings import Limits
from pyconvex.store.schema.catalog import Catalog, Index
from pyconvex.store.search.scan import SearchScan
from pyconvex.store.search.selection import SearchQuery
from pyconvex.values.ids import DocumentId, decode_id, encode_id
from pyconvex.values.size import document_size
from pyconvex.values.value import Undefined, Value

from .documents import id_key
from .persistence import Reader
from .scan import Scan
from .transaction import Transaction, WrittenDocument


class Seen(NamedTuple):
    """What one read met."""

    documents: int = 0
    bytes: int = 0


class Write(NamedTuple):
    """One write: `insert`, `patch`, `replace` or `delete`; `bytes` is the size of the new document."""

    operation: str
    table: str
    id: str
    bytes: int


class ObservedTransaction(Transaction):
    """Does what a transaction does, somewhat slower."""

    def __init__(
        self,
        reader: Reader,
        catalog: Catalog,
        schema: Schema,
        limits: Limits,
        clock: Clock,
        creation_time: float | None = None,
    ) -> None:
        super().__init__(reader, catalog, schema, limits, clock, creation_time)
        self.seen: dict[int, Seen] = {}
        """What was met in a range of `reads`, by its position there."""
        self.writes: list[Write] = []
        """In order; without those of failed sub-transactions."""

    async def get(self, id: DocumentId) -> dict[str, Value] | None:
        slot = len(self.reads)
        document = await super().get(id)
        if document is not None:
            self.saw(slot, 1, document_size(document))
        return document

    async def take(
        self,
        index: Index,
        start: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[dict[str, Value]]:
        slot = len(self.reads)
        documents = await super().take(index, start, stop, reverse=reverse, limit=limit)
        self.saw(slot, len(documents), sum(map(document_size, documents)))
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
        return _ObservedScan(self, index, start, stop, reverse=reverse, limit=limit)

    def search(self, index: Index, query: SearchQuery, start: bytes = b"", stop: bytes | None = None) -> SearchScan:
        return _ObservedSearch(self, index, query, start, stop)

    def add(self, table: str, fields: dict[str, Value]) -> str:
        new_id = super().add(table, fields)
        self._wrote("insert", decode_id(new_id))
        return new_id

    async def patch(self, id: DocumentId, fields: dict[str, Value | Undefined]) -> None:
        await super().patch(id, fields)
        self._wrote("patch", id)

    async def replace(self, id: DocumentId, fields: dict[str, Value]) -> None:
        await super().replace(id, fields)
        self._wrote("replace", id)

    async def delete(self, id: DocumentId) -> None:
        await super().delete(id)
        self._wrote("delete", id)

    @contextmanager
    def layer(self) -> Generator[None]:
        kept = len(self.writes)
        try:
            with super().layer():
                yield
        except BaseException:
            del self.writes[kept:]
            raise

    def saw(self, slot: int, documents: int, size: int) -> None:
        """Add to what the range at `slot` of `reads` met."""
        seen = self.seen.get(slot, Seen())
        self.seen[slot] = Seen(seen.documents + documents, seen.bytes + size)

    async def _for_writing(self, verb: str, id: DocumentId) -> tuple[WrittenDocument, dict[str, Value]]:
        slot = len(self.reads)
        found = await super()._for_writing(verb, id)
        self.saw(slot, 1, document_size(found[1]))
        return found

    def _wrote(self, operation: str, id: DocumentId) -> None:
        now = self._written[id_key(id)].now
        table = self.table_name(id.table) or ""
        self.writes.append(Write(operation, table, encode_id(id), 0 if now is None else now.size))


class _ObservedSearch(SearchScan):
    async def __anext__(self) -> dict[str, Value]:
        document = await super().__anext__()
        if isinstance(self._transaction, ObservedTransaction):
            self._transaction.saw(self._slot, 1, self.row[1])
        return document

    def _depend(self) -> None:
        super()._depend()
        self._slot = len(self._transaction.reads) - 1


class _ObservedScan(Scan):
    async def __anext__(self) -> dict[str, Value]:
        document = await super().__anext__()
        transaction, slot = self._transaction, self._slot
        if isinstance(transaction, ObservedTransaction) and slot is not None:
            transaction.saw(slot, 1, self.row[1])
        return document
