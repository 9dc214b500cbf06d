"""What the commits of the last minutes wrote, to tell whether something that was read has changed since."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyconvex.engine.live.read_ranges import ReadRanges

if TYPE_CHECKING:
    from pyconvex.store.keys import Commit, IndexKey, ReadSet

KEPT_SECONDS: Final = 240
KEYS_MAX: Final = 100_000

_Change: TypeAlias = tuple[tuple[int, ...], tuple[bytes, ...], tuple[bytes, ...]]
"""The indexes of a table, and the keys that one document had and has in them; either may be empty."""
_Places: TypeAlias = dict[tuple[int, ...], list[tuple[int, int]]]
"""Which of a table's indexes were read: the place and the number of each."""


class _Written(NamedTuple):
    """One commit without its documents."""

    ts: int
    changes: Sequence[_Change]
    keys: Collection[IndexKey]
    """All that it wrote, where that is not in `changes`."""
    size: int


class CommitHistory:
    """The keys that were written by recent commits.

    Args:
        seconds: how long they are kept.
        keys_max: how many of them at most.
    """

    def __init__(self, *, seconds: float = KEPT_SECONDS, keys_max: int = KEYS_MAX) -> None:
        self._kept_ns = int(seconds * 1_000_000_000)
        self._keys_max = keys_max
        self._commits: deque[_Written] = deque()
        self._keys = 0
        self._complete_from: int | None = None
        """All commits after this timestamp are here; None before anybody wanted to know."""
        self._heard = 0
        """The newest one before that."""

    def begin(self, ts: int) -> None:
        """Commits after `ts` are wanted from now on; what that was the first time counts."""
        if self._complete_from is None:
            self._complete_from = max(ts, self._heard)

    def add(self, commit: Commit) -> None:
        """The next commit."""
        if self._complete_from is None:
            self._heard = commit.ts
            return
        if commit.everything:
            self._commits.clear()
            self._keys, self._complete_from = 0, commit.ts
            return
        written = _written(commit)
        self._commits.append(written)
        self._keys += written.size
        oldest = commit.ts - self._kept_ns
        while self._commits and (self._keys > self._keys_max or self._commits[0].ts < oldest):
            forgotten = self._commits.popleft()
            self._keys -= forgotten.size
            self._complete_from = max(self._complete_from, forgotten.ts)

    def covers(self, ts: int) -> bool:
        """Whether all commits after `ts` are known."""
        return self._complete_from is not None and ts >= self._complete_from

    def first_touch(self, ts: int, reads: ReadRanges) -> int | None:
        """Timestamp of the first known commit after `ts` that wrote what was read; None without one."""
        later = list(self._since(ts))
        if not later or not len(reads):
            return None
        places: _Places = {}
        return next((written.ts for written in reversed(later) if _meet(reads, written, places)), None)

    def touched_since(self, ts: int, reads: ReadSet) -> bool | None:
        """Whether a commit after `ts` wrote what was read; None when that is not known any more."""
        return self.first_touch(ts, ReadRanges(reads)) is not None if self.covers(ts) else None

    def _since(self, ts: int) -> Iterator[_Written]:
        """The commits after `ts`, the newest first."""
        for written in reversed(self._commits):
            if written.ts <= ts:
                return
            yield written


def _meet(reads: ReadRanges, written: _Written, places: _Places) -> bool:
    for indexes, before, after in written.changes:
        looked_at = places.get(indexes)
        if looked_at is None:
            looked_at = places[indexes] = [each for each in enumerate(indexes) if each[1] in reads.indexes()]
        for place, index in looked_at:
            if (before and reads.covers(index, before[place])) or (after and reads.covers(index, after[place])):
                return True
    return reads.meets(written.keys)


def _written(commit: Commit) -> _Written:
    changes: list[_Change] = []
    size = 0
    for change in commit.documents:
        if change.found:
            break  # what search indexes hold of it would have to be kept
        indexes, before, after, *_ = change
        changes.append((indexes, before, after))
        size += len(before) + len(after)
    else:
        if changes:
            return _Written(commit.ts, changes, (), size)
    return _Written(commit.ts, (), commit.written, len(commit.written))
