"""Adding the documents that were there before an index to it, a few at a time, each time in a mutation of its own.

Writes keep a new index up to date from the commit on that says it is there. So only older documents are missing; in the
order of their creation they lie side by side in the database.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, cast

from pyconvex.store.keys import Changes, IndexKey, KeyRange, NewEntry, NewFound, ReadSet, after_key
from pyconvex.store.persistence import Persistence, Reader, Row
from pyconvex.values.value import Value
from pyconvex.values.wire import load

from .catalog import Index, IndexKind, Table, id_key_in
from .progress import Reporter

CHUNK_DOCUMENTS: Final = 512
"""Documents added by one mutation, which others wait for: about ten milliseconds."""
CHUNK_SEARCHED: Final = 32
"""The same for search and vector indexes."""
CHUNK_BYTES: Final = 2**20
_AT_ONCE: Final = 128
"""Documents looked at between two turns of the event loop: one or two milliseconds."""

Allowed: TypeAlias = Callable[[Reader], Awaitable[object]]


async def fill(
    persistence: Persistence, table: Table, indexes: Sequence[Index], *, allowed: Allowed, reporter: Reporter
) -> None:
    """Add all documents of a table to its new indexes.

    Args:
        allowed: raises when there is no point in going on. It is asked inside each mutation, so that nothing is
            written any more once the indexes were given up.
    """
    filling = _Filling(table, indexes)
    position, stop = b"", await _end(persistence, filling.source)

    async def add_some(reader: Reader) -> tuple[Sequence[Row], Changes]:
        await allowed(reader)
        span = KeyRange(filling.source, position, stop)
        rows = await reader.scan(span, reverse=False, limit=filling.chunk, bytes_max=CHUNK_BYTES)
        return rows, await filling.changes(position, rows)

    with reporter:
        while rows := (await persistence.transact(add_some, patient=True)).value:
            position = after_key(rows[-1][0])
            reporter.more(len(rows))
            if reporter.is_due:
                async with persistence.snapshot() as reader:
                    await reporter.tell(reader, filling.source)


async def _end(persistence: Persistence, source: int) -> bytes:
    """Behind the newest document of now: those that come later bring their entries along."""
    async with persistence.snapshot() as reader:
        newest = await reader.scan(KeyRange(source, b"", None), reverse=True, limit=1, bytes_max=CHUNK_BYTES)
    return after_key(newest[0][0]) if newest else b""


class _Filling:
    """What documents add to some indexes of one table."""

    def __init__(self, table: Table, indexes: Sequence[Index]) -> None:
        self.source = table.by_creation_time.number
        self._by_id = table.by_id.number
        # A table that has these indexes only: the keys in others need not be worked out.
        self._table = Table(table.number, table.name, indexes)
        self._numbers = [index.number for index in self._table.indexes[2:]]
        self._searched = [index for index in indexes if index.kind is not IndexKind.DATABASE]
        self.chunk = CHUNK_SEARCHED if self._searched else CHUNK_DOCUMENTS

    async def changes(self, start: bytes, rows: Sequence[Row]) -> Changes:
        """What to add for these documents, all that there are from `start` on. They must not change meanwhile."""
        reads = ReadSet()
        if rows:
            reads.add(self.source, start, after_key(rows[-1][0]))
        entries: list[NewEntry] = []
        found: list[NewFound] = []
        for first in range(0, len(rows), _AT_ONCE):
            if first:
                await asyncio.sleep(0)
            for creation_key, _size, body in rows[first : first + _AT_ONCE]:
                document = cast("dict[str, Value]", load(body))
                keys = self._table.extra_keys(document, creation_key)
                numbered = zip(self._numbers, keys, strict=True)
                entries += [NewEntry(self.source, creation_key, number, key) for number, key in numbered]
                if self._searched:
                    found += self._found(document, creation_key)
        return Changes(reads, entries=entries, found=found)

    def _found(self, document: dict[str, Value], creation_key: bytes) -> list[NewFound]:
        by_id = IndexKey(self._by_id, id_key_in(creation_key))
        return [
            NewFound(index.number, entry, by_id, creation_key)
            for index in self._searched
            if (entry := index.entry_of(document)) is not None
        ]
