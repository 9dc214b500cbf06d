"""`ctx.vector_search` (https://docs.convex.dev/search/vector-search)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from pyconvex.engine.database.index_lookup import index_of_kind
from pyconvex.engine.database.search import filter_position
from pyconvex.errors import DeveloperError
from pyconvex.store.schema.catalog import IndexKind, id_in
from pyconvex.store.search.entries import filter_hash
from pyconvex.store.search.vectors import VectorQuery, pack_vector
from pyconvex.values.value import Undefined, Value, convert, undefined

if TYPE_CHECKING:
    from pyconvex.store.schema.catalog import Index
    from pyconvex.store.store import Store

LIMIT_MAX: Final = 256
CONDITIONS_MAX: Final = 64


class Condition(NamedTuple):
    field: str
    value: Value | Undefined


class VectorFilter:
    """A filter, or a part of one: one of its conditions has to hold."""

    __slots__ = ("conditions",)

    def __init__(self, conditions: tuple[Condition, ...]) -> None:
        self.conditions = conditions


class VectorFilterBuilder:
    """`q` of the filter: an equality, or several of which one has to hold."""

    __slots__ = ()

    def eq(self, field: str, value: Any, /) -> VectorFilter:
        """Only documents whose `field`, one of the index's filter fields, equals `value`."""
        if not isinstance(field, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise DeveloperError(
                "InvalidVectorFilter",
                f"The first operand of `eq` in a vector filter must take a field path, not {field!r:.80}",
            )
        return VectorFilter((Condition(field, undefined if value is undefined else convert(value)),))

    def or_(self, *conditions: VectorFilter) -> VectorFilter:
        """Documents for which one of the conditions holds."""
        if not conditions:
            raise DeveloperError("InvalidVectorFilter", "`or_` in a vector filter needs a condition.")
        return VectorFilter(tuple(part for condition in conditions for part in _checked(condition).conditions))


async def vector_search(
    store: Store,
    table: str,
    index: str,
    vector: object,
    limit: object,
    filter: Callable[[VectorFilterBuilder], VectorFilter] | None,
) -> list[dict[str, Value]]:
    """The documents nearest to `vector`, as they were committed when this was called: `_id` and `_score`.

    Raises `DeveloperError` `InvalidVectorSearch`, `InvalidVectorFilter`, `InvalidSearch`, `IndexNotFound`,
    `IndexNotReady`.
    """
    wanted = _vector(vector)
    most = _limit(limit)
    conditions = () if filter is None else _checked(filter(VectorFilterBuilder())).conditions
    async with store.snapshot() as transaction:
        found = index_of_kind(transaction, table, index, IndexKind.VECTOR)
        similar = await transaction.nearest(found, _query(table, found, wanted, most, conditions))
        return [{"_id": id_in(key), "_score": score} for key, score in similar]


def _query(
    table: str, index: Index, vector: Sequence[float], limit: int, conditions: Sequence[Condition]
) -> VectorQuery:
    against = f"Vector search against {table}.{index.name}"
    if len(vector) != index.dimensions:
        raise _invalid(f"{against} needs a vector of {index.dimensions} dimensions, not {len(vector)}.")
    if len(conditions) > CONDITIONS_MAX:
        raise _invalid(f"{against} has too many filter conditions. Max: {CONDITIONS_MAX} Actual: {len(conditions)}")
    packed = pack_vector(vector)
    if packed is None:
        raise _invalid("`vector` must hold finite numbers in vectorSearch")
    filters = tuple((filter_position(field, against, index), filter_hash(value)) for field, value in conditions)
    return VectorQuery(packed, limit, filters)


def _vector(given: object) -> list[float]:
    """The numbers of any sequence of them, a library's own included."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise _invalid("`vector` must be a non-empty Array in vectorSearch")
    numbers = list(cast("Iterable[Any]", given))
    if not numbers:
        raise _invalid("`vector` must be a non-empty Array in vectorSearch")
    for number in numbers:
        if isinstance(number, bool | str | bytes) or not hasattr(number, "__float__"):
            raise _invalid(f"`vector` must hold numbers in vectorSearch, not {number!r:.80}")
    return [float(number) for number in numbers]


def _limit(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int | float) or not float(given).is_integer():
        raise _invalid(f"`limit` must be a whole number in vectorSearch, not {given!r:.80}")
    if not 1 <= given <= LIMIT_MAX:
        raise _invalid(f"`limit` must be between 1 and {LIMIT_MAX} in vectorSearch, not {given}")
    return int(given)


def _checked(filter: object) -> VectorFilter:
    if not isinstance(filter, VectorFilter):
        raise DeveloperError(
            "InvalidVectorFilter",
            'The filter of `vector_search` is `lambda q: q.eq("field", value)`, or several of these in `q.or_(...)`, '
            f"not {type(filter).__name__}",
        )
    return filter


def _invalid(message: str) -> DeveloperError:
    return DeveloperError("InvalidVectorSearch", message)
