"""Commit records: what each batch of mutations wrote, for certifying others and for telling subscribers.

A record is in the database for the other processes, and in the memory of this one for as long as a mutation runs here
whose snapshot is older.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from pyconvex.store.keys import Commit, DocumentChange, IndexKey, KeyRange, ReadSet

NEWER_THAN: Final = """SELECT ts, catalog_ts, next_seq, node, batch, CASE WHEN ts > {0} THEN members END
FROM pyconvex.commits WHERE ts >= LEAST({0}, (SELECT max(ts) FROM pyconvex.commits)) ORDER BY ts"""
"""The commits since a timestamp that we know; as a proof that none of them is missing, the one of that time as well."""


class WrittenDocument(NamedTuple):
    """A document that a mutation changed: its key in `by_id`, and all keys that were removed or added with it."""

    by_id: bytes
    keys: list[IndexKey]

    @property
    def id(self) -> str:
        """As users know it: the key is a type, the text, and a zero."""
        return self.by_id[1:-1].decode()


class Member(NamedTuple):
    """One mutation of a batch."""

    ts: int
    label: str
    catalog: bool
    documents: list[WrittenDocument]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Member]).decode


class Touch(NamedTuple):
    """How a commit met the reads of a mutation: the key it wrote, and the range that was read."""

    key: IndexKey
    span: KeyRange
    document: str | None
    by: str


class Record:
    """One batch. `batch` is its random name; `next_seq` the number that the next new document gets."""

    __slots__ = ("_keys", "_sorted", "batch", "catalog_ts", "members", "next_seq", "node", "ts")

    def __init__(self, ts: int, catalog_ts: int, next_seq: int, node: int, batch: bytes, members: list[Member]) -> None:
        self.ts = ts
        self.catalog_ts = catalog_ts
        self.next_seq = next_seq
        self.node = node
        self.batch = batch
        self.members = members
        self._keys: dict[int, list[bytes]] = {}
        self._sorted = 0

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> "Record":
        ts, catalog_ts, next_seq, node, batch, members = row
        return cls(ts, catalog_ts, next_seq, node, bytes(batch), _decode(members) if members else [])

    def row(self) -> tuple[int, int, int, int, bytes, bytes]:
        return self.ts, self.catalog_ts, self.next_seq, self.node, self.batch, _encode(self.members)

    def add(self, ts: int, label: str, catalog: bool, documents: Iterable[DocumentChange]) -> None:
        """One more mutation, at `ts`."""
        self.ts = ts
        if catalog:
            self.catalog_ts = ts
        written = [WrittenDocument((each.after or each.before)[0], list(each.written())) for each in documents]
        self.members.append(Member(ts, label, catalog, written))

    def touch(self, reads: ReadSet) -> Touch | None:
        """The first of the written keys that lies in what was read."""
        if not reads.ranges:
            return None
        self._sort()
        for span in reads.ranges:
            keys = self._keys.get(span.index)
            if keys is None:
                continue
            at = bisect_left(keys, span.start)
            if at < len(keys) and (span.stop is None or keys[at] < span.stop):
                return self._explain(IndexKey(span.index, keys[at]), span)
        return None

    def commits(self) -> list[Commit]:
        """What subscribers hear of it, if it is another process's."""
        return [
            Commit.of(
                member.ts, (key for document in member.documents for key in document.keys), catalog=member.catalog
            )
            for member in self.members
            if member.documents
        ]

    def _sort(self) -> None:
        """Sort what was added since the last time: most batches are never looked into."""
        for member in self.members[self._sorted :]:
            for document in member.documents:
                for index, key in document.keys:
                    insort(self._keys.setdefault(index, []), key)
        self._sorted = len(self.members)

    def _explain(self, key: IndexKey, span: KeyRange) -> Touch:
        for member in self.members:
            for document in member.documents:
                if key in document.keys:
                    return Touch(key, span, document.id, member.label)
        return Touch(key, span, None, "")


class History:
    """The newest commits, in their order, whoever made them.

    Args:
        publish: told of each commit with changed documents, once and in order.
    """

    def __init__(self, publish: Callable[[Commit], None]) -> None:
        self._publish = publish
        self._records: deque[Record] = deque()
        self._running: dict[object, int] = {}
        """Mutations in their order of starting, with a timestamp that their snapshots are not older than."""
        self._own: dict[bytes, list[Commit]] = {}
        self._missed: set[bytes] = set()
        """Batches of ours whose records may have been among those that are gone."""
        self._complete_from = 0
        """All records after this timestamp are known, as far as a running mutation may ask for them."""
        self.ts = 0
        self.catalog_ts = 0
        self.next_seq = 1
        self.highest = 0
        """The highest timestamp ever seen: above `ts` when the database has gone back, to a backup for example."""

    @property
    def is_behind(self) -> bool:
        """Whether the next commit has to lift the database above what clients have seen already."""
        return self.ts < self.highest

    def begin(self, mutation: object) -> None:
        """From now on commits are kept for `mutation`, until it ends."""
        self._running[mutation] = self.ts

    def end(self, mutation: object) -> None:
        del self._running[mutation]

    def expect(self, batch: bytes, commits: list[Commit]) -> None:
        """A batch of ours is on its way; whoever reads its record first publishes these."""
        self._own[batch] = commits

    def is_known(self, batch: bytes) -> bool:
        """Whether a batch of ours that was expected has been committed."""
        return batch not in self._own

    def forget(self, batch: bytes) -> None:
        """A batch of ours that is not going to be committed."""
        self._own.pop(batch, None)
        self._missed.discard(batch)

    def may_have_missed(self, batch: bytes) -> bool:
        """Whether nobody can tell any more what became of a batch of ours."""
        return batch in self._missed

    def start(self, record: Record) -> None:
        """The newest record as a process finds it that has just started."""
        self._records.clear()
        self._advance(record)
        self._complete_from = record.ts

    def learn(self, records: Sequence[Record], since: int) -> bool:
        """Take what a query for commits `NEWER_THAN` `since` has found.

        Returns:
            False when commits are missing in between, or the database has lost commits that we have seen.
        """
        first, last = records[0], records[-1]
        if last.ts < since:
            # What is on its way of ours is later than all there is: that it is not there is certain.
            self._miss(last)
            return False
        complete = first.ts <= self.ts
        if not complete:
            self._missed.update(self._own)
            self._miss(first)
        for record in records:
            if record.ts > self.ts:
                self.add(record)
        return complete

    def add(self, record: Record) -> None:
        """The commit that follows the newest one."""
        self._advance(record)
        self._records.append(record)
        self._prune()
        own = self._own.pop(record.batch, None)
        for commit in record.commits() if own is None else own:
            self._publish(commit)

    def covers(self, ts: int) -> bool:
        """Whether all commits after `ts` are known."""
        return ts >= self._complete_from

    def touch(self, reads: ReadSet, ts: int) -> Touch | None:
        """How a commit after `ts` met these reads; the newest one that did."""
        for record in reversed(self._records):
            if record.ts <= ts:
                return None
            if (touch := record.touch(reads)) is not None:
                return touch
        return None

    def _advance(self, record: Record) -> None:
        self.ts, self.catalog_ts, self.next_seq = record.ts, record.catalog_ts, record.next_seq
        self.highest = max(self.highest, record.ts)

    def _prune(self) -> None:
        oldest = next(iter(self._running.values()), self.ts)
        while self._records and self._records[0].ts <= oldest:
            self._complete_from = self._records.popleft().ts

    def _miss(self, record: Record) -> None:
        """Go on from `record`: what was between it and what we knew is gone."""
        self._records.clear()
        self._advance(record)
        self._complete_from = self.highest
        self._publish(Commit.missed(self.highest))


def rows_of(rows: Sequence[Sequence[Any]]) -> list[Record]:
    return [Record.of_row(row) for row in rows]
