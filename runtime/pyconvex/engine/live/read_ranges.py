"""What one run has read, for asking whether keys that were written lie in it."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, TypeAlias

from pyconvex.store.keys import KeyRange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyconvex.store.keys import IndexKey

WATCHED_MAX: Final = 64
"""A run that has read more ranges than this is watched by the whole stretch that they lie in: each would cost."""

_Merged: TypeAlias = tuple[list[bytes], list[bytes | None]]
"""Ranges of one index in their order, without overlaps: where they start, and where they stop."""


class ReadRanges:
    """The distinct ranges of one run.

    Args:
        ranges: in any order; they may repeat and overlap.
    """

    __slots__ = ("_merged", "_ranges", "watched")

    def __init__(self, ranges: Iterable[KeyRange] = ()) -> None:
        self._ranges = frozenset(ranges)
        self._merged: dict[int, _Merged] | None = None
        self.watched = self._ranges
        """Ranges outside of which nothing was read. Where they are not exact, `meets` tells."""
        if len(self._ranges) > WATCHED_MAX:
            self.watched = frozenset(
                KeyRange(index, starts[0], stops[-1]) for index, (starts, stops) in self._merge().items()
            )

    @property
    def exact(self) -> bool:
        """Whether `watched` are the ranges themselves."""
        return self.watched is self._ranges

    def __len__(self) -> int:
        return len(self._ranges)

    def indexes(self) -> Iterable[int]:
        """The numbers of the indexes that were read."""
        return self._merge()

    def covers(self, index: int, key: bytes) -> bool:
        merged = self._merge().get(index)
        if merged is None:
            return False
        starts, stops = merged
        at = bisect_right(starts, key) - 1
        return at >= 0 and ((stop := stops[at]) is None or key < stop)

    def meets(self, written: Iterable[IndexKey]) -> bool:
        """Whether one of the keys was read, or would have been."""
        return any(self.covers(*entry) for entry in written)

    def _merge(self) -> dict[int, _Merged]:
        if self._merged is None:
            self._merged = {}
            for index, start, stop in sorted(self._ranges, key=_order):
                if stop is not None and stop <= start:
                    continue
                starts, stops = self._merged.setdefault(index, ([], []))
                if not starts or ((last := stops[-1]) is not None and last < start):
                    starts.append(start)
                    stops.append(stop)
                elif last is not None and (stop is None or stop > last):
                    stops[-1] = stop
        return self._merged


def _order(span: KeyRange) -> tuple[int, bytes]:
    return span.index, span.start
