"""What a transaction read and what it changed: ranges and points of index keys.

Conflicts and live queries are decided by nothing else: a commit concerns a reader when one of the keys it wrote lies
in one of the ranges that were read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class IndexKey(NamedTuple):
    """One entry of one index: the index by its number, and the bytes it is sorted by."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]  # nobody searches in it with tuple.index
    key: bytes


class KeyRange(NamedTuple):
    """The keys of one index from `start` up to, but without, `stop`; to the end of the index when `stop` is None."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]  # nobody searches in it with tuple.index
    start: bytes
    stop: bytes | None

    def covers(self, index: int, key: bytes) -> bool:
        return index == self.index and key >= self.start and (self.stop is None or key < self.stop)


def after_key(key: bytes) -> bytes:
    """The smallest key greater than `key`: as a `stop` it includes `key`, as a `start` it leaves it out."""
    return key + b"\0"


class ReadSet:
    """The ranges that one transaction has read, in the order of reading."""

    __slots__ = ("ranges",)

    def __init__(self) -> None:
        self.ranges: list[KeyRange] = []

    def __iter__(self) -> Iterator[KeyRange]:
        return iter(self.ranges)

    def __len__(self) -> int:
        return len(self.ranges)

    def add(self, index: int, start: bytes, stop: bytes | None) -> None:
        self.ranges.append(KeyRange(index, start, stop))

    def add_point(self, index: int, key: bytes) -> None:
        self.ranges.append(KeyRange(index, key, key + b"\0"))

    def touched_by(self, written: Sequence[IndexKey]) -> bool:
        """Whether one of the keys lies in a range; for few ranges and keys. Live queries keep an index of ranges."""
        return any(span.covers(*key) for span in self.ranges for key in written)


class DocumentChange(NamedTuple):
    """One document before and after a transaction, as the indexes of its table see it.

    `indexes` numbers the table's indexes, `by_id` first. `before` and `after` are the document's keys in them, in the
    same order; empty where the document did not exist. `size` is in Convex's bytes; `body` is its storage form.
    """

    indexes: tuple[int, ...]
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    size: int
    body: bytes

    @property
    def inserted(self) -> bool:
        return not self.before

    @property
    def deleted(self) -> bool:
        return not self.after

    def written(self) -> set[IndexKey]:
        """The keys a reader may have met the document under, or would meet it under now."""
        keys = {IndexKey(*entry) for entry in zip(self.indexes, self.before, strict=False)}
        return keys.union(IndexKey(*entry) for entry in zip(self.indexes, self.after, strict=False))


class NewEntry(NamedTuple):
    """An entry for a document that is stored already, under its key in `by_id`: how a new index is filled."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]  # nobody searches in it with tuple.index
    key: bytes
    by_id: IndexKey


@dataclass(slots=True)
class Changes:
    """All that a transaction asks of the engine.

    `entries` and `cleared` belong to the building and dropping of indexes that no reader sees: they are in no write
    set. `catalog` says that tables, indexes or the schema change with this commit.
    """

    reads: ReadSet
    documents: Sequence[DocumentChange] = ()
    catalog: bool = False
    entries: Sequence[NewEntry] = ()
    cleared: Sequence[KeyRange] = ()

    @property
    def empty(self) -> bool:
        return not (self.documents or self.catalog or self.entries or self.cleared)


class Commit:
    """What subscribers hear of one durable mutation; `ts` (ns) is greater than that of any earlier one."""

    __slots__ = ("_written", "documents", "ts")

    def __init__(self, ts: int, documents: Sequence[DocumentChange]) -> None:
        self.ts = ts
        self.documents = documents
        self._written: frozenset[IndexKey] | None = None

    @property
    def written(self) -> frozenset[IndexKey]:
        """Index keys removed and added; worked out when somebody asks."""
        if self._written is None:
            self._written = frozenset[IndexKey]().union(*(change.written() for change in self.documents))
        return self._written
