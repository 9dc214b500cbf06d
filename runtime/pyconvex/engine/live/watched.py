"""Which queries have read a key: the ranges that live queries depend on, looked up by the keys that a commit wrote.

Each distinct range is there once, with all queries that have read it. The ranges of an index are sorted by their start
in short blocks that know their largest stop: a key is compared with the ranges of the few blocks that reach beyond it.
A range of a single key, as every `ctx.db.get` reads one, is found by that key alone.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Final, Generic, TypeAlias, TypeVar

from pyconvex.store.keys import IndexKey, KeyRange

Q = TypeVar("Q")

BLOCK_RANGES_MAX: Final = 128
_BLOCK_RANGES_MIN = 32
_AFTER: Final = b"\0"

_Order: TypeAlias = tuple[bytes, bool, bytes]
"""A range as it sorts: its start, whether it has no stop, its stop."""


class Watched(Generic[Q]):
    """Ranges of index keys, each with the queries that watch it."""

    def __init__(self) -> None:
        self._points: dict[IndexKey, set[Q]] = {}
        self._indexes: dict[int, _Ranges[Q]] = {}

    def __len__(self) -> int:
        """How many distinct ranges there are."""
        return len(self._points) + sum(map(len, self._indexes.values()))

    def add(self, span: KeyRange, query: Q) -> None:
        """Watch `span` for `query`, which may watch it already."""
        index, start, stop = span
        if stop is not None and len(stop) == len(start) + 1 and stop == start + _AFTER:
            self._points.setdefault(IndexKey(index, start), set()).add(query)
            return
        ranges = self._indexes.get(index)
        if ranges is None:
            ranges = self._indexes[index] = _Ranges()
        ranges.at((start, stop is None, stop or b"")).add(query)

    def remove(self, span: KeyRange, query: Q) -> None:
        """Watch `span` for `query` no more; that it did is no condition."""
        index, start, stop = span
        if stop is not None and len(stop) == len(start) + 1 and stop == start + _AFTER:
            point = IndexKey(index, start)
            queries = self._points.get(point)
            if queries is not None:
                queries.discard(query)
                if not queries:
                    del self._points[point]
            return
        ranges = self._indexes.get(index)
        if ranges is not None:
            ranges.discard((start, stop is None, stop or b""), query)
            if not len(ranges):
                del self._indexes[index]

    def match(self, written: Iterable[IndexKey]) -> set[Q]:
        """The queries that watch a range which one of the keys lies in."""
        found: set[Q] = set()
        points, indexes = self._points, self._indexes
        for entry in written:
            if entry in points:
                found |= points[entry]
            ranges = indexes.get(entry.index)
            if ranges is not None:
                ranges.match(entry.key, found)
        return found


class _Ranges(Generic[Q]):
    """The ranges of one index."""

    __slots__ = ("_blocks", "_starts")

    def __init__(self) -> None:
        self._blocks: list[_Block[Q]] = []
        self._starts: list[_Order] = []
        """The first range of each block."""

    def __len__(self) -> int:
        return sum([len(block.order) for block in self._blocks])

    def at(self, order: _Order) -> set[Q]:
        """The queries of this range, which is made when it is not there."""
        blocks = self._blocks
        if not blocks:
            blocks.append(_Block([], []))
            self._starts.append(order)
        at = max(bisect_right(self._starts, order) - 1, 0)
        block = blocks[at]
        queries = block.at(order)
        self._starts[at] = block.order[0]
        if len(block.order) > BLOCK_RANGES_MAX:
            later = block.split()
            blocks.insert(at + 1, later)
            self._starts.insert(at + 1, later.order[0])
        return queries

    def discard(self, order: _Order, query: Q) -> None:
        at = bisect_right(self._starts, order) - 1
        if at < 0:
            return
        block = self._blocks[at]
        if not block.discard(order, query):
            return
        if len(block.order) < _BLOCK_RANGES_MIN:
            self._join(at)
        elif self._starts[at] == order:
            self._starts[at] = block.order[0]

    def match(self, key: bytes, found: set[Q]) -> None:
        upto = (key, True, b"")
        for block in self._blocks[: bisect_right(self._starts, upto)]:
            if block.endless or key < block.high:
                block.match(key, upto, found)

    def _join(self, at: int) -> None:
        """Put a block that has become small together with a neighbour, if the two make one."""
        blocks, starts = self._blocks, self._starts
        block = blocks[at]
        if not block.order:
            del blocks[at], starts[at]
            return
        starts[at] = block.order[0]
        left = at - 1 if at else at
        if left + 1 < len(blocks) and len(blocks[left].order) + len(blocks[left + 1].order) <= BLOCK_RANGES_MAX // 2:
            blocks[left].join(blocks[left + 1])
            del blocks[left + 1], starts[left + 1]


class _Block(Generic[Q]):
    """Some ranges, one after another; all of them stop at `high` at the latest, unless one is `endless`."""

    __slots__ = ("endless", "high", "order", "queries")

    def __init__(self, order: list[_Order], queries: list[set[Q]]) -> None:
        self.order = order
        self.queries = queries
        self._measure()

    def at(self, order: _Order) -> set[Q]:
        at = bisect_left(self.order, order)
        if at < len(self.order) and self.order[at] == order:
            return self.queries[at]
        queries: set[Q] = set()
        self.order.insert(at, order)
        self.queries.insert(at, queries)
        _, endless, stop = order
        self.endless |= endless
        self.high = max(self.high, stop)
        return queries

    def discard(self, order: _Order, query: Q) -> bool:
        """Whether the range is gone with it."""
        at = bisect_left(self.order, order)
        if at == len(self.order) or self.order[at] != order:
            return False
        self.queries[at].discard(query)
        if self.queries[at]:
            return False
        del self.order[at], self.queries[at]
        if order[1] or order[2] == self.high:
            self._measure()
        return True

    def match(self, key: bytes, upto: _Order, found: set[Q]) -> None:
        for at in range(bisect_right(self.order, upto)):
            _, endless, stop = self.order[at]
            if endless or key < stop:
                found |= self.queries[at]

    def split(self) -> "_Block[Q]":
        """Give the later half away."""
        half = len(self.order) // 2
        later = _Block(self.order[half:], self.queries[half:])
        del self.order[half:], self.queries[half:]
        self._measure()
        return later

    def join(self, later: "_Block[Q]") -> None:
        self.order += later.order
        self.queries += later.queries
        self._measure()

    def _measure(self) -> None:
        self.endless = any(endless for _, endless, _ in self.order)
        self.high = max([stop for _, _, stop in self.order], default=b"")
