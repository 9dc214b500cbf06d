"""What a transaction read and what it changed: ranges and points of index keys.

Conflicts and live queries are decided by nothing else: a commit concerns a reader when one of the keys it wrote lies
in one of the ranges that were read.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from pyconvex.store.search.entries import Entry, FoundChange


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

    `indexes` numbers the table's indexes, `by_id` first and `by_creation_time` second. `before` and `after` are the
    document's keys in them, in the same order; empty where the document did not exist. `size` is in Convex's bytes;
    `body` is its storage form. `found` is about the search and vector indexes.
    """

    indexes: tuple[int, ...]
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]
    size: int
    body: bytes
    found: tuple[FoundChange, ...] = ()

    @property
    def inserted(self) -> bool:
        return not self.before

    @property
    def deleted(self) -> bool:
        return not self.after

    def written(self) -> set[IndexKey]:
        """The keys a reader may have met the document under, or would meet it under now."""
        keys = {IndexKey(*entry) for entry in zip(self.indexes, self.before, strict=False)}
        keys.update(IndexKey(*entry) for entry in zip(self.indexes, self.after, strict=False))
        for change in self.found:
            keys.update(IndexKey(change.index, term.encode()) for term in change.terms())
        return keys


class NewEntry(NamedTuple):
    """An entry for a document that is stored already, under a key of another index: how a new index is filled."""

    owner_index: int
    owner_key: bytes
    index: int  # pyright: ignore[reportIncompatibleMethodOverride]  # nobody searches in it with tuple.index
    key: bytes


class NewFound(NamedTuple):
    """The same for a search or vector index, with the document's key in `by_id`."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]  # nobody searches in it with tuple.index
    entry: Entry
    by_id: IndexKey
    by_creation_time: bytes


Verdict: TypeAlias = Callable[[Sequence[DocumentChange], Iterable["Commit"]], Exception | None]
"""Whether a mutation may be committed, by its documents and the commits before it that `on_commit` has not told of yet.
It fails with the error, if there is one."""


class Changes(Struct):
    """All that a transaction asks of the engine.

    `entries`, `found`, `cleared` and `emptied` belong to the building and dropping of indexes that no reader sees: they
    are in no write set. `catalog` says that tables, indexes or the schema change with this commit.
    """

    reads: ReadSet
    documents: Sequence[DocumentChange] = ()
    catalog: bool = False
    entries: Sequence[NewEntry] = ()
    cleared: Sequence[KeyRange] = ()
    found: Sequence[NewFound] = ()
    emptied: Sequence[int] = ()
    """Search and vector indexes that lose some of their entries; `Reader.holds` tells whether any are left."""

    inserts_only: bool = False
    """Whether all there is to write is new documents."""
    label: str = ""
    """Who writes: the path of the function, for those whom it comes into conflict with."""
    step: bool = False
    """Whether to commit even when there is nothing to write, which moves the clock on."""
    verdict: "Verdict | None" = None
    """Has the last word, when it is certain what is committed before."""

    @property
    def empty(self) -> bool:
        building = self.entries or self.cleared or self.found or self.emptied
        return not (self.documents or self.catalog or building or self.step)


class Commit:
    """What subscribers hear of one durable mutation; `ts` (ns) is greater than that of any earlier one.

    `documents` is empty for a mutation of another process, of which only the written keys are known. `catalog` says
    that tables, indexes or the schema changed. With `everything`, commits were missed: whatever has been read up to
    `ts` may have changed, and nothing else is known.
    """

    __slots__ = ("_written", "catalog", "documents", "everything", "ts")

    def __init__(self, ts: int, documents: Sequence[DocumentChange], *, catalog: bool = False) -> None:
        self.ts = ts
        self.documents = documents
        self.catalog = catalog
        self.everything = False
        self._written: frozenset[IndexKey] | None = None

    @classmethod
    def of(cls, ts: int, written: Iterable[IndexKey], *, catalog: bool = False) -> "Commit":
        """The commit of another process, which wrote these keys."""
        commit = cls(ts, (), catalog=catalog)
        commit._written = frozenset(written)
        return commit

    @classmethod
    def missed(cls, ts: int) -> "Commit":
        """All commits up to `ts` that nobody told us of."""
        commit = cls.of(ts, (), catalog=True)
        commit.everything = True
        return commit

    def touches(self, index: int) -> bool:
        """Whether documents that have keys in `index`, one of the first two of its table, may have changed."""
        if self.documents:
            return any(index in change.indexes[:2] for change in self.documents)
        return self.everything or any(key.index == index for key in self.written)

    @property
    def written(self) -> frozenset[IndexKey]:
        """Index keys removed and added; worked out when somebody asks."""
        if self._written is None:
            self._written = frozenset[IndexKey]().union(*(change.written() for change in self.documents))
        return self._written
