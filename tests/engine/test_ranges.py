"""Ranges of index keys against the plain meaning of their bounds, over all kinds of values."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.engine.database.ranges import IndexRangeBuilder, bounds_of, span_of
from pyconvex.store.schema.catalog import Index
from pyconvex.values import Int64, undefined
from pyconvex.values.keys import encode_key

INDEX = Index(7, "by_a_and_b", ("a", "b"))

scalars = st.one_of(
    st.sampled_from([undefined, None, True, False, 0.0, -0.0, "", "a", "a\0", "a\0b", "ab", b"", b"\0", b"\xff"]),
    st.floats(),
    st.integers(-(2**53), 2**53),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.text(max_size=3),
    st.binary(max_size=3),
)
values = st.one_of(scalars, st.lists(scalars.filter(lambda value: value is not undefined), max_size=2))
rows = st.lists(st.tuples(values, values), max_size=12)
limits = st.tuples(
    st.sampled_from([None, "gt", "gte"]), values, st.sampled_from([None, "lt", "lte"]), values, st.booleans()
)

HOLDS: dict[str, Callable[[bytes, bytes], bool]] = {
    "gt": lambda key, bound: key > bound,
    "gte": lambda key, bound: key >= bound,
    "lt": lambda key, bound: key < bound,
    "lte": lambda key, bound: key <= bound,
}


def bounded(builder: IndexRangeBuilder, field: str, bounds: tuple[Any, ...]) -> IndexRangeBuilder:
    lower, least, upper, most, upper_first = bounds
    given = [(lower, least), (upper, most)]
    for name, value in reversed(given) if upper_first else given:
        if name is not None:
            builder = getattr(builder, name)(field, value)
    return builder


def meant(value: Any, bounds: tuple[Any, ...]) -> bool:
    lower, least, upper, most, _ = bounds
    given = [(lower, least), (upper, most)]
    return all(HOLDS[name](encode_key((value,)), encode_key((bound,))) for name, bound in given if name)


def found(rows: list[tuple[Any, Any]], build: Callable[[IndexRangeBuilder], IndexRangeBuilder]) -> list[int]:
    """Positions of the rows whose keys lie in the range, as an index would hold them."""
    span = span_of(bounds_of(build), "table", INDEX)
    keys = [encode_key((a, b, 1.5, "id")) for a, b in rows]
    return [n for n, key in enumerate(keys) if span.start <= key and (span.stop is None or key < span.stop)]


@given(rows, limits)
def test_bounds_on_the_first_field(rows: list[tuple[Any, Any]], bounds: tuple[Any, ...]) -> None:
    expected = [n for n, (a, _) in enumerate(rows) if meant(a, bounds)]
    assert found(rows, lambda q: bounded(q, "a", bounds)) == expected


@given(rows, values, limits)
def test_an_equality_and_bounds_on_the_next_field(
    rows: list[tuple[Any, Any]], value: Any, bounds: tuple[Any, ...]
) -> None:
    rows = [*rows, *((value, b) for _, b in rows)]
    equal = encode_key((value,))
    expected = [n for n, (a, b) in enumerate(rows) if encode_key((a,)) == equal and meant(b, bounds)]
    assert found(rows, lambda q: bounded(q.eq("a", value), "b", bounds)) == expected


@given(rows, values, values)
def test_equalities_in_any_order(rows: list[tuple[Any, Any]], a: Any, b: Any) -> None:
    rows = [*rows, (a, b)]
    expected = [n for n, row in enumerate(rows) if encode_key(row) == encode_key((a, b))]
    assert found(rows, lambda q: q.eq("b", b).eq("a", a)) == expected
