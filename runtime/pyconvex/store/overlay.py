"""A transaction's own writes, laid over what the engine holds."""

from bisect import bisect_left, insort
from collections.abc import Sequence

from .keys import after_key
from .persistence import Row


class Overlay:
    """What a transaction changed in one index: for a key the row that is there now, or None where one is hidden."""

    __slots__ = ("_keys", "_rows")

    def __init__(self) -> None:
        self._rows: dict[bytes, Row | None] = {}
        # Sorted when a scan asks for the first time: most mutations write without scanning.
        self._keys: list[bytes] | None = None

    def put(self, key: bytes, row: Row | None) -> None:
        if self._keys is not None and key not in self._rows:
            insort(self._keys, key)
        self._rows[key] = row

    def forget(self, key: bytes) -> None:
        """The key is as the engine has it."""
        del self._rows[key]
        if self._keys is not None:
            del self._keys[bisect_left(self._keys, key)]

    def over(self, rows: Sequence[Row], start: bytes, stop: bytes | None, *, reverse: bool) -> Sequence[Row]:
        """The rows of a range as the transaction sees them, given all of them as the engine has them."""
        changed = self._within(start, stop)
        if not changed:
            return rows
        merged: dict[bytes, Row | None] = {row[0]: row for row in rows}
        for key in changed:
            merged[key] = self._rows[key]
        return [row for key in sorted(merged, reverse=reverse) if (row := merged[key]) is not None]

    def _within(self, start: bytes, stop: bytes | None) -> list[bytes]:
        keys = self._keys
        if keys is None:
            keys = self._keys = sorted(self._rows)
        return keys[bisect_left(keys, start) : None if stop is None else bisect_left(keys, stop)]


def part_read(
    start: bytes, stop: bytes | None, last: bytes, *, reverse: bool
) -> tuple[tuple[bytes, bytes | None], tuple[bytes, bytes | None]]:
    """A range cut behind the row with key `last`: the part that was read, and what is left of it."""
    if reverse:
        return (last, stop), (start, last)
    beyond = after_key(last)
    return (start, beyond), (beyond, stop)
