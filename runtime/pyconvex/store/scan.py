"""The documents of a range of index keys, one after another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from pyconvex.store.schema.catalog import Index
from pyconvex.values.value import Value
from pyconvex.values.wire import load

from .keys import KeyRange
from .overlay import part_read
from .persistence import Row

if TYPE_CHECKING:
    from .transaction import Transaction

PAGE_ROWS_MAX: Final = 256
"""Rows fetched at a time from the engine: about half a millisecond."""
_FIRST_PAGE_ROWS: Final = 16


class Scan:
    """An async iterator over the documents of a range, which reads page after page as they are wanted."""

    def __init__(
        self,
        transaction: "Transaction",
        index: Index,
        start: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        limit: int | None,
    ) -> None:
        self._transaction = transaction
        self._index = index.number
        self._span = (start, stop)
        self._reverse = reverse
        self._left = limit
        self._rest: tuple[bytes, bytes | None] | None = (start, stop)
        self._rows: Sequence[Row] = ()
        self._position = 0
        self._page_rows = _FIRST_PAGE_ROWS
        self._slot: int | None = None

    def __aiter__(self) -> "Scan":
        return self

    @property
    def row(self) -> Row:
        """The row of the last document handed out."""
        return self._rows[self._position - 1]

    async def __anext__(self) -> dict[str, Value]:
        if self._left == 0:
            raise StopAsyncIteration
        if self._slot is None:
            self._begin()
        while self._position == len(self._rows):
            if self._rest is None:
                self._record(*self._span)
                raise StopAsyncIteration
            await self._fetch(self._rest)
        key, size, body = self._rows[self._position]
        self._position += 1
        self._transaction.usage.read(1, size)
        (start, stop), _ = part_read(*self._span, key, reverse=self._reverse)
        self._record(start, stop)
        if self._left is not None:
            self._left -= 1
        return cast("dict[str, Value]", load(body))

    def _begin(self) -> None:
        transaction = self._transaction
        transaction.usage.read_range()
        transaction.reads.add(self._index, *self._span)
        self._slot = len(transaction.reads) - 1

    async def _fetch(self, rest: tuple[bytes, bytes | None]) -> None:
        if self._rows and self._transaction.pause is not None and (turn := self._transaction.pause()) is not None:
            await turn
        limit = self._page_rows if self._left is None else min(self._page_rows, self._left)
        rows, self._rest = await self._transaction.page(self._index, *rest, reverse=self._reverse, limit=limit)
        self._rows, self._position = rows, 0
        self._page_rows = min(2 * self._page_rows, PAGE_ROWS_MAX)

    def _record(self, start: bytes, stop: bytes | None) -> None:
        assert self._slot is not None, "reading has begun"
        self._transaction.reads.ranges[self._slot] = KeyRange(self._index, start, stop)
