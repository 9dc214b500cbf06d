"""The shapes of queries, for type checkers: `D` is the document of the table, `F` the names of its fields.

The engine's classes have these shapes; nothing here runs.
https://docs.convex.dev/database/reading-data
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from .pagination import PaginationOpts, PaginationResult

D = TypeVar("D")
F_contra = TypeVar("F_contra", contravariant=True)
V_contra = TypeVar("V_contra", contravariant=True)
Next_co = TypeVar("Next_co", covariant=True)
Builder = TypeVar("Builder")

Order: TypeAlias = Literal["asc", "desc"]


class Expression(Protocol):
    """A part of a filter: a field, a comparison, a sum."""

    @property
    def evaluate(self) -> Callable[[Any], Any]: ...


class FilterBuilder(Protocol[F_contra]):
    """`q` of `.filter(lambda q: ...)` (https://docs.convex.dev/database/reading-data/filters)."""

    def field(self, path: F_contra, /) -> Expression: ...
    def eq(self, left: Any, right: Any, /) -> Expression: ...
    def neq(self, left: Any, right: Any, /) -> Expression: ...
    def lt(self, left: Any, right: Any, /) -> Expression: ...
    def lte(self, left: Any, right: Any, /) -> Expression: ...
    def gt(self, left: Any, right: Any, /) -> Expression: ...
    def gte(self, left: Any, right: Any, /) -> Expression: ...
    def add(self, left: Any, right: Any, /) -> Expression: ...
    def sub(self, left: Any, right: Any, /) -> Expression: ...
    def mul(self, left: Any, right: Any, /) -> Expression: ...
    def div(self, left: Any, right: Any, /) -> Expression: ...
    def mod(self, left: Any, right: Any, /) -> Expression: ...
    def neg(self, value: Any, /) -> Expression: ...
    def and_(self, *conditions: Any) -> Expression: ...
    def or_(self, *conditions: Any) -> Expression: ...
    def not_(self, condition: Any, /) -> Expression: ...


class Range(Protocol):
    """What the range of `.with_index(name, lambda q: ...)` gives in the end."""

    @property
    def bounds(self) -> tuple[Any, ...]: ...


class LowerBound(Range, Protocol[F_contra, V_contra]):
    """After an upper bound: the lower one on the same field."""

    def gt(self, field: F_contra, value: V_contra, /) -> Range: ...
    def gte(self, field: F_contra, value: V_contra, /) -> Range: ...


class UpperBound(Range, Protocol[F_contra, V_contra]):
    """After a lower bound: the upper one on the same field."""

    def lt(self, field: F_contra, value: V_contra, /) -> Range: ...
    def lte(self, field: F_contra, value: V_contra, /) -> Range: ...


class Step(Range, Protocol[F_contra, V_contra, Next_co]):
    """`q` at one field of an index: an equality leads to the next field, a bound ends the range."""

    def eq(self, field: F_contra, value: V_contra, /) -> Next_co: ...
    def gt(self, field: F_contra, value: V_contra, /) -> UpperBound[F_contra, V_contra]: ...
    def gte(self, field: F_contra, value: V_contra, /) -> UpperBound[F_contra, V_contra]: ...
    def lt(self, field: F_contra, value: V_contra, /) -> LowerBound[F_contra, V_contra]: ...
    def lte(self, field: F_contra, value: V_contra, /) -> LowerBound[F_contra, V_contra]: ...


ByTime: TypeAlias = Step[Literal["_creationTime"], float, Range]
"""`q` at the field that ends every index."""

RangeOf: TypeAlias = Callable[[Builder], Range]
"""The range of `.with_index`: from `q` at the index's first field."""


class IndexRangeBuilder(Range, Protocol):
    """`q` of `.with_index(name, lambda q: ...)` where the index's fields are unknown."""

    def eq(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...
    def gt(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...
    def gte(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...
    def lt(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...
    def lte(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...


class Search(Protocol):
    """What the search of `.with_search_index(name, lambda q: ...)` gives: a search, perhaps with equalities."""

    @property
    def filters(self) -> tuple[Any, ...]: ...


class FilteredSearch(Search, Protocol[F_contra, V_contra]):
    """`q` of `.with_search_index` once it searches; of an index whose filter fields are all of one type."""

    def eq(self, field: F_contra, value: V_contra, /) -> "FilteredSearch[F_contra, V_contra]": ...


class SearchBuilder(Protocol[F_contra, Next_co]):
    """`q` of `.with_search_index` (https://docs.convex.dev/search/text-search)."""

    def search(self, field: F_contra, query: str, /) -> Next_co: ...


class OrderedQuery(Protocol[D, F_contra]):
    """A query whose order is settled; awaiting one of its ends runs it."""

    def filter(self, predicate: Callable[[FilterBuilder[F_contra]], Any], /) -> "OrderedQuery[D, F_contra]":
        """Keep the documents for which the expression is true."""
        ...

    def collect(self) -> Awaitable[list[D]]:
        """All documents."""
        ...

    def take(self, n: int, /) -> Awaitable[list[D]]:
        """The first `n` documents."""
        ...

    def first(self) -> Awaitable[D | None]:
        """The first document, or None."""
        ...

    def unique(self) -> Awaitable[D | None]:
        """The only document, or None; an error when there are more."""
        ...

    def paginate(self, opts: PaginationOpts, /) -> Awaitable[PaginationResult[D]]:
        """One page (https://docs.convex.dev/database/pagination)."""
        ...

    def __aiter__(self) -> AsyncIterator[D]: ...


class Query(OrderedQuery[D, F_contra], Protocol[D, F_contra]):
    """A query over one index or the whole table."""

    def order(self, order: Order, /) -> OrderedQuery[D, F_contra]:
        """In the order of the index, or against it."""
        ...

    def filter(self, predicate: Callable[[FilterBuilder[F_contra]], Any], /) -> "Query[D, F_contra]":
        """Keep the documents for which the expression is true."""
        ...


class QueryInitializer(Query[D, F_contra], Protocol[D, F_contra]):
    """What `ctx.db.query(table)` gives where the table's indexes are unknown."""

    def with_index(self, name: str, range: RangeOf[IndexRangeBuilder] = ..., /) -> Query[D, F_contra]: ...
    def with_search_index(
        self, name: str, search: "Callable[[SearchBuilder[str, FilteredSearch[str, Any]]], Search]", /
    ) -> OrderedQuery[D, F_contra]: ...


class VectorCondition(Protocol):
    """What the filter of `ctx.vector_search` gives."""

    @property
    def conditions(self) -> tuple[Any, ...]: ...


class VectorFilter(Protocol[F_contra, V_contra]):
    """`q` of the filter of `ctx.vector_search`: an equality, or several of which one has to hold."""

    def eq(self, field: F_contra, value: V_contra, /) -> VectorCondition: ...
    def or_(self, *conditions: VectorCondition) -> VectorCondition: ...
