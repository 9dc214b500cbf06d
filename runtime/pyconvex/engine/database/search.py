"""The `q` of `with_search_index`, and what it asks of the index (https://docs.convex.dev/search/text-search)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from pyconvex.errors import DeveloperError
from pyconvex.store.schema.catalog import Index
from pyconvex.store.search.entries import filter_hash
from pyconvex.store.search.selection import SearchQuery
from pyconvex.store.search.terms import terms_sought
from pyconvex.values.value import Undefined, Value, convert, undefined

FILTERS_MAX: Final = 8
NO_FILTER_HINT: Final = "Name the field in `filter_fields` of the index, or use `.filter(...)` on the results."


class SearchFor(NamedTuple):
    field: str
    text: str


class Equality(NamedTuple):
    field: str
    value: Value | Undefined


class SearchFilterBuilder:
    """Each method gives the builder to go on with; a builder is used once."""

    __slots__ = ("_used", "filters")

    def __init__(self, filters: tuple[SearchFor | Equality, ...] = ()) -> None:
        self.filters = filters
        self._used = False

    def search(self, field: str, query: str, /) -> SearchFilterBuilder:
        """Documents whose `field` has one of the words of `query`, or a word that begins with the last one."""
        for name, given in (("field", field), ("query", query)):
            if not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
                raise DeveloperError(
                    "InvalidArgument",
                    f"Invalid argument `{name}` for `search`, expected string but got '{type(given).__name__}': "
                    f"{given!r:.80}",
                )
        return self._with(SearchFor(field, query))

    def eq(self, field: str, value: Any, /) -> SearchFilterBuilder:
        """Only documents whose `field`, one of the index's filter fields, equals `value`."""
        return self._with(Equality(field, undefined if value is undefined else convert(value)))

    def _with(self, filter: SearchFor | Equality) -> SearchFilterBuilder:
        if self._used:
            raise DeveloperError(
                "SearchFilterReused",
                "SearchFilterBuilder has already been used! "
                "Chain your method calls like `lambda q: q.search(...).eq(...)`.",
            )
        self._used = True
        return SearchFilterBuilder((*self.filters, filter))


def filters_of(search: Callable[[Any], Any]) -> tuple[SearchFor | Equality, ...]:
    """What the callback of `with_search_index` asks for."""
    built = search(SearchFilterBuilder())
    if not isinstance(built, SearchFilterBuilder):
        raise DeveloperError(
            "InvalidSearch",
            "The search of `with_search_index` must return its builder, as in `lambda q: q.search(...)`, "
            f"not {type(built).__name__}",
        )
    return built.filters


def search_query(filters: Sequence[SearchFor | Equality], table: str, index: Index) -> SearchQuery | None:
    """What to ask of the engine; None for a text without a term, which nothing matches.

    Raises `DeveloperError` `InvalidSearch` when the index cannot answer.
    """
    against = f"Search query against {table}.{index.name}"
    text: str | None = None
    equal: list[tuple[int, bytes]] = []
    for each in filters:
        if isinstance(each, Equality):
            equal.append((filter_position(each.field, against, index), filter_hash(each.value)))
        elif text is not None:
            raise _invalid(f'{against} contains multiple search filters against "{each.field}". Only one is allowed.')
        elif each.field != index.fields[0]:
            raise _invalid(
                f'{against} contains a search filter against "{each.field}", '
                f'which doesn\'t match the indexed `searchField` "{index.fields[0]}".'
            )
        else:
            text = each.text
    if text is None:
        raise _invalid(
            f"{against} does not contain any search filters. "
            f'You must include a search filter like `q.search("{index.fields[0]}", searchText)`.'
        )
    if len(equal) > FILTERS_MAX:
        raise _invalid(f"{against} has too many filter conditions. Max: {FILTERS_MAX} Actual: {len(equal)}")
    terms = terms_sought(text)
    return None if terms is None else SearchQuery(terms, tuple(equal))


def filter_position(field: str, against: str, index: Index) -> int:
    """Which of the index's filter fields it is. Raises `DeveloperError` `InvalidSearch` when it is none."""
    if field not in index.filter_fields:
        raise DeveloperError(
            "InvalidSearch",
            f'{against} contains an equality filter on "{field}" '
            "but that field isn't indexed for filtering in `filterFields`.",
            hint=NO_FILTER_HINT,
        )
    return index.filter_fields.index(field)


def _invalid(message: str) -> DeveloperError:
    return DeveloperError("InvalidSearch", message)
