"""The `q` of `with_index`, and the range of index keys it stands for.

https://docs.convex.dev/database/reading-data/indexes#querying-documents-using-indexes
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from pyconvex.errors import DeveloperError
from pyconvex.store.schema.catalog import BY_CREATION_TIME, BY_ID, Index
from pyconvex.values.display import display_in_error
from pyconvex.values.keys import behind, encode_key
from pyconvex.values.value import Undefined, Value, convert, undefined


class Operator(StrEnum):
    EQ = "eq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"


_LOWER: Final = (Operator.GT, Operator.GTE)


class Bound(NamedTuple):
    field: str
    operator: Operator
    value: Value | Undefined

    @property
    def sort(self) -> str:
        """The word that messages have for it."""
        if self.operator is Operator.EQ:
            return "equality"
        return "lower" if self.operator in _LOWER else "upper"


class IndexRangeBuilder:
    """Each method gives the builder to go on with; a builder is used once."""

    __slots__ = ("_used", "bounds")

    def __init__(self, bounds: tuple[Bound, ...] = ()) -> None:
        self.bounds = bounds
        self._used = False

    def eq(self, field: str, value: Any, /) -> IndexRangeBuilder:
        return self._with(field, Operator.EQ, value)

    def gt(self, field: str, value: Any, /) -> IndexRangeBuilder:
        return self._with(field, Operator.GT, value)

    def gte(self, field: str, value: Any, /) -> IndexRangeBuilder:
        return self._with(field, Operator.GTE, value)

    def lt(self, field: str, value: Any, /) -> IndexRangeBuilder:
        return self._with(field, Operator.LT, value)

    def lte(self, field: str, value: Any, /) -> IndexRangeBuilder:
        return self._with(field, Operator.LTE, value)

    def _with(self, field: str, operator: Operator, value: Any) -> IndexRangeBuilder:
        if self._used:
            raise DeveloperError(
                "IndexRangeReused",
                "IndexRangeBuilder has already been used! Chain your method calls like `lambda q: q.eq(...).eq(...)`.",
            )
        self._used = True
        bound = Bound(field, operator, undefined if value is undefined else convert(value))
        return IndexRangeBuilder((*self.bounds, bound))


def bounds_of(range: Callable[[Any], Any] | None) -> tuple[Bound, ...]:
    """What the callback of `with_index` asks for; without one, everything."""
    if range is None:
        return ()
    built = range(IndexRangeBuilder())
    if not isinstance(built, IndexRangeBuilder):
        raise DeveloperError(
            "InvalidIndexRange",
            "The range of `with_index` must return its builder, as in `lambda q: q.eq(...)`, "
            f"not {type(built).__name__}",
        )
    return built.bounds


class KeySpan(NamedTuple):
    """Keys from `start` up to, but without, `stop` (None: the end of the index)."""

    start: bytes
    stop: bytes | None

    @property
    def empty(self) -> bool:
        return self.stop is not None and self.start >= self.stop


WHOLE_INDEX: Final = KeySpan(b"", None)


def span_of(bounds: Sequence[Bound], table: str, index: Index) -> KeySpan:
    """The keys that satisfy all `bounds`.

    Raises `DeveloperError` `InvalidIndexRange` when they are no range of that index.
    """
    if not bounds:
        return WHOLE_INDEX
    equal, lower, upper = _sorted_out(bounds, table, index)
    prefix = encode_key([equal[field].value for field in _fields_of(index) if field in equal])
    start, stop = prefix, behind(prefix) if equal else None
    if lower is not None:
        least = prefix + encode_key((lower.value,))
        start = behind(least) if lower.operator is Operator.GT else least
    if upper is not None:
        most = prefix + encode_key((upper.value,))
        stop = behind(most) if upper.operator is Operator.LTE else most
    return KeySpan(start, stop)


def _sorted_out(
    bounds: Sequence[Bound], table: str, index: Index
) -> tuple[dict[str, Bound], Bound | None, Bound | None]:
    """The equalities by field, the lower and the upper bound; checked in the order in which they were given."""
    equal: dict[str, Bound] = {}
    lower: Bound | None = None
    upper: Bound | None = None
    for bound in bounds:
        _check_field(bound, table, index)
        for other in (equal.get(bound.field), lower, upper):
            if other is not None and _clash(bound, other):
                raise _twice(bound, other)
        if bound.operator is Operator.EQ:
            equal[bound.field] = bound
        elif bound.operator in _LOWER:
            lower = bound
        else:
            upper = bound
        if lower is not None and upper is not None and lower.field != upper.field:
            raise _two_fields(lower, upper, table, index)
    bounded = lower or upper
    _check_order(equal, bounded.field if bounded else None, table, index)
    return equal, lower, upper


def _clash(bound: Bound, other: Bound) -> bool:
    """Whether both say the same kind of thing, or one field is to be equal to something and bounded as well."""
    if bound.field == other.field and Operator.EQ in (bound.operator, other.operator):
        return True
    return bound.operator is not Operator.EQ and bound.sort == other.sort


def _fields_of(index: Index) -> tuple[str, ...]:
    """The fields a range may use: the built-in indexes have only their own, others end with the creation time."""
    return index.fields if index.name in (BY_ID, BY_CREATION_TIME) else (*index.fields, "_creationTime")


def _check_field(bound: Bound, table: str, index: Index) -> None:
    if bound.field not in _fields_of(index):
        raise _invalid(
            f'The index range included a comparison with "{bound.field}", but {table}.{index.name} '
            f"with fields {_listed(_fields_of(index))} doesn't index this field."
        )


def _check_order(equal: dict[str, Bound], bounded: str | None, table: str, index: Index) -> None:
    fields = _fields_of(index)
    used = [*sorted(equal, key=fields.index), *([bounded] if bounded else [])]
    wrong = next((field for field, expected in zip(used, fields, strict=False) if field != expected), None)
    if wrong is not None:
        raise _invalid(
            f"Tried to query index {table}.{index.name} but the query didn't use the index fields in order.\n"
            f"Index fields: {_listed(fields)}\n"
            f"Query fields: {_listed(used)}\n"
            f"First incorrect field: {wrong}"
        )


def _twice(bound: Bound, other: Bound) -> DeveloperError:
    defined = "inequality" if bound.operator is Operator.EQ and other.operator is not Operator.EQ else other.sort
    return _invalid(
        f'Already defined {defined} bound in index range. Can\'t add "{bound.field}" {bound.operator.value} '
        f"{display_in_error(bound.value)}."
    )


def _two_fields(lower: Bound, upper: Bound, table: str, index: Index) -> DeveloperError:
    return _invalid(
        "Upper and lower bounds in `range` can only be applied to a single index field. This query against index "
        f"{table}.{index.name} attempted to set a range bound on both "
        f'"{lower.field}" and "{upper.field}".'
    )


def _listed(fields: Sequence[str]) -> str:
    return json.dumps(fields)


def _invalid(message: str) -> DeveloperError:
    return DeveloperError("InvalidIndexRange", message)
