"""`paginate`: one page of a query, and the journal that keeps the page where it is when the query runs again.

A page is the rows behind its cursor up to and with its end. The first run decides the end and leaves it behind as the
journal; a run that is given the journal reads exactly the same interval. So neighbouring pages never overlap and
leave no gap, however many rows come and go between two runs.
https://docs.convex.dev/database/pagination
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard, cast

from msgspec import Struct

from pyconvex.engine.database.cursors import END, InvalidCursor, Position
from pyconvex.errors import DeveloperError
from pyconvex.store.keys import after_key
from pyconvex.values.value import Undefined

if TYPE_CHECKING:
    from pyconvex.engine.database.filters import Expression
    from pyconvex.engine.database.ranges import KeySpan
    from pyconvex.engine.execution import Execution
    from pyconvex.engine.transactions import Run
    from pyconvex.settings import Limits
    from pyconvex.store.scan import Scan
    from pyconvex.store.schema.catalog import Index
    from pyconvex.store.search.scan import SearchScan
    from pyconvex.store.search.selection import SearchQuery
    from pyconvex.store.transaction import Transaction
    from pyconvex.values.value import Value

ITEMS_MAX: Final = 32_000
ITEMS_RECOMMENDED_MAX: Final = 6_144
"""Three quarters of what an array may hold: a page that has grown beyond it should be split."""
_RECOMMENDED_SHARE: Final = 0.75
_SPLIT_FROM_ROWS: Final = 3
_FINGERPRINT_BYTES: Final = 16


class Journal(Struct):
    """Where the page of a query ends: as the caller knows it from an earlier run, and as it was in this one."""

    given: str | None = None
    end: str | None = None

    def after(self, *, failed: bool) -> str | None:
        """What the caller keeps for the next run: nothing of a query without a page."""
        return self.given if failed and self.end is None else self.end


class Selection(Struct, frozen=True):
    """What is to be paginated. `index` is None, and nothing is there, when the table does not exist."""

    index: Index | None
    span: KeySpan
    reverse: bool
    conditions: Sequence[Expression]
    hidden: Sequence[str]
    """Fields that the reader must not see."""
    fingerprint: bytes
    search: SearchQuery | None = None
    """What a search is for; positions are those of its results then, and the span is the whole."""


class _Options(NamedTuple):
    items: int
    cursor: str | None
    end_cursor: str | None
    rows_max: int | None
    bytes_max: int | None


class _Scanned(NamedTuple):
    """The rows of one page: the documents that match, and the keys and bytes of all that were looked at."""

    documents: list[Value]
    keys: list[bytes]
    bytes: int
    complete: bool
    """Nothing is left behind these rows, as far as the page may go."""
    too_much: bool
    """One of the maxima ended it."""


def fingerprint_of(*parts: object) -> bytes:
    """A digest that tells queries apart; `parts` are texts, bytes, numbers and tuples of these."""
    return blake2b(repr(parts).encode(), digest_size=_FINGERPRINT_BYTES).digest()


async def read_page(run: Run, selection: Selection, given: object) -> dict[str, Value]:
    """The page of `selection` that the options in `given` ask for.

    Raises:
        DeveloperError: an option that cannot be, or the second page of one function.
        InvalidCursor: a cursor of another query.
    """
    options = _options_of(given)
    execution = run.execution
    _check_first_page(execution)
    cursors, fingerprint = execution.services.cursors, selection.fingerprint
    begin = None if options.cursor is None else cursors.position(options.cursor, fingerprint)
    end = None if options.end_cursor is None else cursors.position(options.end_cursor, fingerprint)
    journal = _journal_of(execution)
    if end is None and journal is not None:
        end = _position_in(journal, execution, fingerprint)

    scanned = await _scan(run, selection, begin, end, options)
    if end is None:
        end = END if scanned.complete else Position(scanned.keys[-1])
    continued = cursors.text(end, fingerprint)
    if journal is not None:
        journal.end = continued
    middle = scanned.keys[len(scanned.keys) // 2] if len(scanned.keys) >= _SPLIT_FROM_ROWS else None
    return {
        "page": scanned.documents,
        "isDone": end.is_end,
        "continueCursor": continued,
        "splitCursor": None if middle is None else cursors.text(Position(middle), fingerprint),
        "pageStatus": _status(scanned, options, execution.services.limits),
    }


async def _scan(
    run: Run, selection: Selection, begin: Position | None, end: Position | None, options: _Options
) -> _Scanned:
    """The rows behind `begin`, to `end` if it is known already and as many as `options` want otherwise."""
    documents: list[Value] = []
    keys: list[bytes] = []
    size = 0
    interval = _interval(selection, begin, end)
    if selection.index is None or interval is None:
        return _Scanned(documents, keys, size, complete=True, too_much=False)
    wanted = options.items if end is None else None
    scan = _rows(run.transaction, selection.index, selection, interval, wanted)
    async for document in scan:
        key, row_size, _ = scan.row
        keys.append(key)
        size += row_size
        if all(condition.evaluate(document) for condition in selection.conditions):
            for name in selection.hidden:
                document.pop(name, None)
            documents.append(document)
        if wanted is None:
            continue
        if len(documents) == wanted:
            return _Scanned(documents, keys, size, complete=False, too_much=False)
        if _reached(len(keys), options.rows_max) or _reached(size, options.bytes_max):
            return _Scanned(documents, keys, size, complete=False, too_much=True)
    return _Scanned(documents, keys, size, complete=True, too_much=False)


def _rows(
    transaction: Transaction,
    index: Index,
    selection: Selection,
    interval: tuple[bytes, bytes | None],
    wanted: int | None,
) -> Scan | SearchScan:
    if selection.search is not None:
        return transaction.search(index, selection.search, *interval)
    limit = None if selection.conditions else wanted
    return transaction.scan(index, *interval, reverse=selection.reverse, limit=limit)


def _interval(selection: Selection, begin: Position | None, end: Position | None) -> tuple[bytes, bytes | None] | None:
    """The keys of the page; None when there cannot be any."""
    start, stop = selection.span
    if begin is not None:
        if begin.key is None:
            return None
        start, stop = (start, begin.key) if selection.reverse else (after_key(begin.key), stop)
    if end is not None and end.key is not None:
        start, stop = (end.key, stop) if selection.reverse else (start, after_key(end.key))
    return None if stop is not None and start >= stop else (start, stop)


def _status(scanned: _Scanned, options: _Options, limits: Limits) -> str | None:
    if scanned.too_much:
        return "SplitRequired"
    rows_max = limits.read_documents if options.rows_max is None else options.rows_max
    bytes_max = limits.read_bytes if options.bytes_max is None else options.bytes_max
    large = (
        len(scanned.keys) > _RECOMMENDED_SHARE * rows_max
        or scanned.bytes > _RECOMMENDED_SHARE * bytes_max
        or len(scanned.documents) > ITEMS_RECOMMENDED_MAX
    )
    return "SplitRecommended" if large else None


def _reached(count: int, maximum: int | None) -> bool:
    return maximum is not None and count >= maximum


def _check_first_page(execution: Execution) -> None:
    if execution.paginated:
        raise DeveloperError(
            "MultiplePaginatedDatabaseQueries",
            "This query or mutation function ran multiple paginated queries. "
            "Convex only supports a single paginated query in each function.",
        )
    execution.paginated = True


def _journal_of(execution: Execution) -> Journal | None:
    """The journal, for the first page in a query and everything it calls; None for a further one."""
    root = execution.root
    if root.journal is None:
        root.journal = Journal()
    return root.journal if root.journal.end is None else None


def _position_in(journal: Journal, execution: Execution, fingerprint: bytes) -> Position | None:
    """Where the page ended in an earlier run; None for the first run, and when the query has become another one."""
    if journal.given is None:
        return None
    try:
        return execution.services.cursors.position(journal.given, fingerprint)
    except InvalidCursor:
        return None


def _options_of(given: object) -> _Options:
    if given is None or isinstance(given, Undefined):
        raise TypeError("Must provide arg 1 `options` to `paginate`")
    if not isinstance(given, Mapping):
        raise _invalid(f"Invalid argument `options` for `paginate`: Value must be an Object, not {given!r:.80}")
    options = cast("Mapping[str, Any]", given)
    return _Options(
        _items(options.get("numItems")),
        _cursor(options, "cursor"),
        _cursor(options, "endCursor"),
        _maximum(options, "maximumRowsRead"),
        _maximum(options, "maximumBytesRead"),
    )


def _items(given: object) -> int:
    if not _is_number(given) or given < 0 or given != given // 1:
        raise _invalid(f"`options.numItems` must be a positive number. Received `{given!r:.80}`.")
    if given == 0:
        raise _invalid("Must request at least 1 document while paginating")
    if given > ITEMS_MAX:
        raise _invalid(f"Requested too many items: {given:.0f}")
    return int(given)


def _maximum(options: Mapping[str, Any], name: str) -> int | None:
    given = options.get(name)
    if given is None:
        return None
    if not _is_number(given) or given < 0:
        raise _invalid(f"`options.{name}` must be a positive number. Received `{given!r:.80}`.")
    if given == 0:
        raise _invalid("maximumRowsRead and maximumBytesRead must be greater than 0")
    return math.ceil(given)


def _cursor(options: Mapping[str, Any], name: str) -> str | None:
    given = options.get(name)
    if given is not None and not isinstance(given, str):
        raise _invalid(
            f"Invalid argument `options.{name}` for `paginate`, expected string or null but got "
            f"'{type(given).__name__}': {given!r:.80}"
        )
    return given


def _is_number(given: object) -> TypeGuard[int | float]:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def _invalid(message: str) -> DeveloperError:
    return DeveloperError("InvalidPaginationOptions", message)
