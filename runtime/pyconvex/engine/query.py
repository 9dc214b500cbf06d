"""`ctx.db.query(table)` (https://docs.convex.dev/database/reading-data).

A query is built step by step, each step used once, and reads when one of its ends is called.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyconvex.engine.filters import Row, condition_of
from pyconvex.engine.ranges import Bound, bounds_of, span_of
from pyconvex.errors import DeveloperError
from pyconvex.store.catalog import BY_CREATION_TIME, BY_ID, PUBLIC_SYSTEM_TABLES, Index, IndexState

if TYPE_CHECKING:
    from pyconvex.engine.answers import Answer
    from pyconvex.engine.transactions import Run
    from pyconvex.store.transaction import Scan, Transaction
    from pyconvex.values.value import Value

    Document = dict[str, Value]

OPERATORS_MAX: Final = 256
_BUILT_IN: Final = frozenset({BY_ID, BY_CREATION_TIME})
_NOT_READY: Final = {
    IndexState.BACKFILLING: "is currently backfilling and not available to query yet.",
    IndexState.STAGED: "is currently staged and not available to query until it is enabled.",
}


class Plan(NamedTuple):
    """What a query asks for."""

    table: str
    index: str = BY_CREATION_TIME  # pyright: ignore[reportIncompatibleMethodOverride]  # nobody searches in it with tuple.index
    bounds: tuple[Bound, ...] = ()
    descending: bool | None = None
    """None until `order` was called; ascending then."""
    conditions: tuple[Callable[[Row], bool], ...] = ()
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
        if self._plan.descending is not None:
            raise DeveloperError("OrderTwice", "Queries may only specify order at most once")
        return OrderedQuery(self._run, self._chained(descending=order == "desc"))

    def filter(self, predicate: Callable[[Any], Any], /) -> Query:
        return Query(self._run, self._filtered(predicate))


class QueryInitializer(Query):
    """What `ctx.db.query(table)` gives: the whole table in the order of creation, unless an index is chosen."""

    __slots__ = ()

    def __init__(self, run: Run, table: str, *, hidden: tuple[str, ...] = ()) -> None:
        super().__init__(run, Plan(table, hidden=hidden))

    def with_index(self, name: str, range: Callable[[Any], Any] | None = None, /) -> Query:
        """The documents of a range of an index, in its order; without `range` all of them."""
        return Query(self._run, self._chained(index=name, bounds=bounds_of(range)))

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

    def __init__(self, plan: Plan, scan: Scan | None) -> None:
        self._plan = plan
        self._scan = scan

    async def next(self) -> Document | None:
        if self._scan is None:
            return None
        async for document in self._scan:
            if all(holds(document) for holds in self._plan.conditions):
                return _without(document, self._plan.hidden)
        return None


async def _read(transaction: Transaction, plan: Plan, limit: int | None) -> list[Document]:
    """The first `limit` documents of `plan`, None for all."""
    if plan.conditions:
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


async def _unique(transaction: Transaction, plan: Plan) -> Document | None:
    found = await _read(transaction, plan, 2)
    if len(found) > 1:
        ids = ", ".join(str(document["_id"]) for document in found)
        raise DeveloperError(
            "NotUnique", f"unique() query returned more than one result from table {plan.table}:\n [{ids}, ...]"
        )
    return found[0] if found else None


def _matching(transaction: Transaction, plan: Plan) -> _Matching:
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
    index = None if private else transaction.index(plan.table, plan.index)
    if index is None:
        if plan.index in _BUILT_IN:
            return None
        raise DeveloperError("IndexNotFound", f"Index {plan.table}.{plan.index} not found.")
    if not index.readable:
        reason = _NOT_READY.get(index.state, "not found.")
        raise DeveloperError("IndexNotReady", f"Index {plan.table}.{plan.index} {reason}")
    return index


def _without(document: Document, hidden: tuple[str, ...]) -> Document:
    for name in hidden:
        document.pop(name, None)
    return document


def _count(n: object) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, float)) or n < 0 or n != int(n):
        raise TypeError(f"`take` needs a whole number, 0 or more, not {n!r:.80}")
    return int(n)
