"""`ctx.db.query(table)` (https://docs.convex.dev/database/reading-data).

A query is built step by step, each step used once, and reads when one of its ends is called.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyconvex.engine.database.filters import Expression, condition_of
from pyconvex.engine.database.index_lookup import index_of_kind, index_to_read, no_index
from pyconvex.engine.database.pagination import Selection, fingerprint_of, read_page
from pyconvex.engine.database.ranges import WHOLE_INDEX, Bound, bounds_of, span_of
from pyconvex.engine.database.search import Equality, SearchFor, filters_of, search_query
from pyconvex.errors import DeveloperError
from pyconvex.store.schema.catalog import BY_CREATION_TIME, BY_ID, PUBLIC_SYSTEM_TABLES, Index, IndexKind
from pyconvex.values.value import undefined

if TYPE_CHECKING:
    from pyconvex.engine.answers import Answer
    from pyconvex.engine.transactions import Run
    from pyconvex.store.scan import Scan
    from pyconvex.store.search.scan import SearchScan
    from pyconvex.store.search.selection import SearchQuery
    from pyconvex.store.transaction import Transaction
    from pyconvex.values.value import Value

    Document = dict[str, Value]

OPERATORS_MAX: Final = 256
_BUILT_IN_FIELDS: Final = {BY_ID: "_id", BY_CREATION_TIME: "_creationTime"}


class Plan(NamedTuple):
    """What a query asks for."""

    table: str
    index: str = BY_CREATION_TIME  # pyright: ignore[reportIncompatibleMethodOverride]  # nobody searches in it with tuple.index
    bounds: tuple[Bound, ...] = ()
    search: tuple[SearchFor | Equality, ...] | None = None
    """What to search for; None for a query in the order of its index."""
    descending: bool | None = None
    """None until `order` was called; ascending then."""
    conditions: tuple[Expression, ...] = ()
    hidden: tuple[str, ...] = ()
    """Fields that the reader must not see."""


class OrderedQuery:
    """A query whose order is settled."""

    __slots__ = ("_iterated", "_plan", "_run", "_used")

    def __init__(self, run: Run, plan: Plan) -> None:
        self._run = run
        self._plan = plan
        self._used = False
        self._iterated = False

    def filter(self, predicate: Callable[[Any], Any], /) -> OrderedQuery:
        """Keeps the documents for which `predicate`'s expression is true; of several filters all have to be."""
        return OrderedQuery(self._run, self._filtered(predicate))

    def order(self, order: str, /) -> OrderedQuery:
        """Raises `DeveloperError` `OrderTwice`: there is an order already."""
        raise DeveloperError("OrderTwice", "Queries may only specify order at most once")

    def collect(self) -> Answer[list[Document]]:
        """All documents."""
        return self._run.read("ctx.db.query().collect", _read(self._run.transaction, self._ended(), None))

    def take(self, n: int, /) -> Answer[list[Document]]:
        """The first `n` documents. Raises `TypeError` unless `n` is a whole number, 0 or more."""
        plan = self._ended()
        return self._run.read("ctx.db.query().take", _read(self._run.transaction, plan, _count(n)))

    def first(self) -> Answer[Document | None]:
        """The first document, or None."""
        return self._run.read("ctx.db.query().first", _first(self._run.transaction, self._ended()))

    def unique(self) -> Answer[Document | None]:
        """The only document, or None. Raises `DeveloperError` `NotUnique` when there are more."""
        return self._run.read("ctx.db.query().unique", _unique(self._run.transaction, self._ended()))

    def paginate(self, options: Any = undefined, /) -> Answer[dict[str, Value]]:
        """One page: `{"page", "isDone", "continueCursor", "splitCursor", "pageStatus"}`.

        `options` is `{"numItems", "cursor"}`, as clients send it (`pagination_opts_validator`). The cursor is None for
        the first page, then the last page's `continueCursor`. Once in each function.

        Raises `DeveloperError` `InvalidPaginationOptions`, `MultiplePaginatedDatabaseQueries`; `InvalidCursor` for a
        cursor of another query.
        """
        return self._run.read("ctx.db.query().paginate", _paginate(self._run, self._ended(), options))

    def __aiter__(self) -> AsyncIterator[Document]:
        """The documents one by one; what is not asked for is not read."""
        if self._iterated:
            raise DeveloperError("QueryReused", "Iteration can only begin on a query once.")
        plan = self._ended()
        self._iterated = True
        return _Documents(self._run, plan)

    def _ended(self) -> Plan:
        """The plan, for one of the ends: nothing else may be done with this query then."""
        self._use("This query is closed and can't emit any more values.")
        return self._plan

    def _chained(self, **changes: Any) -> Plan:
        """The plan of the next step."""
        after_iteration = "A query can only be chained once and can't be chained after iteration begins."
        reused = "This query has been chained with another operator and can't be reused."
        self._use(after_iteration if self._iterated else reused)
        return self._plan._replace(**changes)

    def _filtered(self, predicate: Callable[[Any], Any]) -> Plan:
        conditions = (*self._plan.conditions, condition_of(predicate))
        if len(conditions) > OPERATORS_MAX:
            raise DeveloperError("TooManyOperators", f"A query has at most {OPERATORS_MAX} operators.")
        return self._chained(conditions=conditions)

    def _use(self, again: str) -> None:
        if self._used:
            raise DeveloperError("QueryReused", again)
        self._used = True


class Query(OrderedQuery):
    """A query over one index or the whole table."""

    __slots__ = ()

    def order(self, order: str, /) -> OrderedQuery:
        """`"asc"` or `"desc"`, in the order of the index; once."""
        if order not in ("asc", "desc"):
            raise DeveloperError("InvalidOrder", f'The order is "asc" or "desc", not {order!r}')
        return OrderedQuery(self._run, self._chained(descending=order == "desc"))

    def filter(self, predicate: Callable[[Any], Any], /) -> Query:
        return Query(self._run, self._filtered(predicate))


class SearchedQuery(OrderedQuery):
    """A query by full-text search."""

    __slots__ = ()

    def order(self, order: str, /) -> OrderedQuery:
        """Raises `DeveloperError` `SearchOrder`: results come best first."""
        raise DeveloperError(
            "SearchOrder", "Search queries must always be in relevance order. Can not set order manually."
        )

    def filter(self, predicate: Callable[[Any], Any], /) -> SearchedQuery:
        return SearchedQuery(self._run, self._filtered(predicate))


class QueryInitializer(Query):
    """What `ctx.db.query(table)` gives: the whole table in the order of creation, unless an index is chosen."""

    __slots__ = ()

    def __init__(self, run: Run, table: str, *, hidden: tuple[str, ...] = ()) -> None:
        super().__init__(run, Plan(table, hidden=hidden))

    def with_index(self, name: str, range: Callable[[Any], Any] | None = None, /) -> Query:
        """The documents of a range of an index, in its order; without `range` all of them."""
        return Query(self._run, self._chained(index=name, bounds=bounds_of(range)))

    def with_search_index(self, name: str, search: Callable[[Any], Any], /) -> SearchedQuery:
        """The documents with a text that matches, best first: `lambda q: q.search("body", text).eq("channel", c)`."""
        return SearchedQuery(self._run, self._chained(index=name, search=filters_of(search)))

    def full_table_scan(self) -> Query:
        """All documents in the order of creation, said aloud."""
        return Query(self._run, self._chained())


class _Documents(AsyncIterator["Document"]):
    __slots__ = ("_plan", "_run", "_scan")

    def __init__(self, run: Run, plan: Plan) -> None:
        self._run = run
        self._plan = plan
        self._scan: _Matching | None = None

    async def __anext__(self) -> Document:
        if self._scan is None:
            self._scan = _matching(self._run.transaction, self._plan)
        document = await self._run.read("async for", self._scan.next())
        if document is None:
            raise StopAsyncIteration
        return document


class _Matching:
    """The documents of a plan one after another; the rows that its conditions reject are read all the same."""

    __slots__ = ("_plan", "_scan")

    def __init__(self, plan: Plan, scan: Scan | SearchScan | None) -> None:
        self._plan = plan
        self._scan = scan

    async def next(self) -> Document | None:
        if self._scan is None:
            return None
        async for document in self._scan:
            if all(condition.evaluate(document) for condition in self._plan.conditions):
                return _without(document, self._plan.hidden)
        return None


async def _read(transaction: Transaction, plan: Plan, limit: int | None) -> list[Document]:
    """The first `limit` documents of `plan`, None for all."""
    if plan.conditions or plan.search is not None:
        matching = _matching(transaction, plan)
        found: list[Document] = []
        while (limit is None or len(found) < limit) and (document := await matching.next()) is not None:
            found.append(document)
        return found
    index = _index(transaction, plan)
    if index is None:
        return []
    span = span_of(plan.bounds, plan.table, index)
    if span.empty:
        return []
    documents = await transaction.take(index, span.start, span.stop, reverse=bool(plan.descending), limit=limit)
    return [_without(document, plan.hidden) for document in documents] if plan.hidden else documents


async def _first(transaction: Transaction, plan: Plan) -> Document | None:
    found = await _read(transaction, plan, 1)
    return found[0] if found else None


async def _paginate(run: Run, plan: Plan, options: object) -> dict[str, Value]:
    conditions = tuple(condition.shape() for condition in plan.conditions)
    if plan.search is not None:
        index, query = _sought(run.transaction, plan, plan.search)
        fingerprint = fingerprint_of(plan.table, plan.index, index.fields, plan.search, conditions)
        searched = None if query is None else index
        selection = Selection(searched, WHOLE_INDEX, False, plan.conditions, plan.hidden, fingerprint, query)
        return await read_page(run, selection, options)
    index = _index(run.transaction, plan)
    # A table that does not exist yet has its two indexes all the same: so a page of it stays the same page later.
    fields = (_BUILT_IN_FIELDS[plan.index],) if index is None else index.fields
    span = WHOLE_INDEX if index is None else span_of(plan.bounds, plan.table, index)
    reverse = bool(plan.descending)
    fingerprint = fingerprint_of(plan.table, plan.index, fields, span.start, span.stop, reverse, conditions)
    return await read_page(run, Selection(index, span, reverse, plan.conditions, plan.hidden, fingerprint), options)


async def _unique(transaction: Transaction, plan: Plan) -> Document | None:
    found = await _read(transaction, plan, 2)
    if len(found) > 1:
        ids = ", ".join(str(document["_id"]) for document in found)
        raise DeveloperError(
            "NotUnique", f"unique() query returned more than one result from table {plan.table}:\n [{ids}, ...]"
        )
    return found[0] if found else None


def _matching(transaction: Transaction, plan: Plan) -> _Matching:
    if plan.search is not None:
        index, query = _sought(transaction, plan, plan.search)
        return _Matching(plan, None if query is None else transaction.search(index, query))
    index = _index(transaction, plan)
    span = None if index is None else span_of(plan.bounds, plan.table, index)
    if index is None or span is None or span.empty:
        return _Matching(plan, None)
    return _Matching(plan, transaction.scan(index, span.start, span.stop, reverse=bool(plan.descending)))


def _index(transaction: Transaction, plan: Plan) -> Index | None:
    """The index to read; None for a table that holds nothing because it does not exist, or not for users.

    Raises `DeveloperError` `IndexNotFound`, `IndexNotReady`.
    """
    private = plan.table.startswith("_") and plan.table not in PUBLIC_SYSTEM_TABLES
    index = None if private else index_to_read(transaction, plan.table, plan.index)
    if index is None and plan.index not in _BUILT_IN_FIELDS:
        raise no_index(transaction, plan.table, plan.index)
    return index


def _sought(
    transaction: Transaction, plan: Plan, search: tuple[SearchFor | Equality, ...]
) -> tuple[Index, SearchQuery | None]:
    """The search index, and what to ask of it; None when nothing can match.

    Raises `DeveloperError` `IndexNotFound`, `IndexNotReady`, `InvalidSearch`.
    """
    index = index_of_kind(transaction, plan.table, plan.index, IndexKind.SEARCH)
    return index, search_query(search, plan.table, index)


def _without(document: Document, hidden: tuple[str, ...]) -> Document:
    for name in hidden:
        document.pop(name, None)
    return document


def _count(n: object) -> int:
    whole = n.is_integer() if isinstance(n, float) else isinstance(n, int) and not isinstance(n, bool)
    if not whole or not isinstance(n, int | float) or n < 0:
        raise TypeError(f"`take` needs a whole number, 0 or more, not {n!r:.80}")
    return int(n)
