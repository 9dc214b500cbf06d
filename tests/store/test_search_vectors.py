"""Which vectors are nearest, with and without numpy."""

from math import inf, isclose, nan, sqrt
from struct import pack

import numpy
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyconvex.store.search.vectors import (
    Nearest,
    NumpyProducts,
    PlainProducts,
    Similar,
    VectorQuery,
    pack_vector,
    similarity,
)

NUMBERS = st.integers(-3, 3) | st.floats(-1e6, 1e6)
VECTORS = st.lists(NUMBERS, min_size=3, max_size=3)


def packed(*numbers: float) -> bytes:
    vector = pack_vector(numbers)
    assert vector is not None
    return vector


@pytest.mark.parametrize(
    ("numbers", "unit"),
    [
        ([3.0, 4.0], [0.6, 0.8]),
        ([3, -4], [0.6, -0.8]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([1e300, 1e300], [sqrt(0.5), sqrt(0.5)]),
        ([5e-324, 0.0], [1.0, 0.0]),
    ],
)
def test_vectors_are_kept_at_length_one(numbers: list[float], unit: list[float]) -> None:
    assert pack_vector(numbers) == pack(f"<{len(unit)}f", *unit)


@pytest.mark.parametrize("numbers", [[], [1.0, nan], [inf, 1.0], [1.0, "2"], [True, 1.0], [None], [[1.0]]])
def test_what_is_no_vector(numbers: list[object]) -> None:
    assert pack_vector(numbers) is None


@pytest.mark.parametrize(
    ("one", "other", "cosine"),
    [
        ([1, 0], [2, 0], 1.0),
        ([1, 0], [0, 3], 0.0),
        ([1, 0], [-1, 0], -1.0),
        ([1, 1], [1, 0], sqrt(0.5)),
        ([0, 0], [1, 0], 0),
    ],
)
def test_similarity(one: list[float], other: list[float], cosine: float) -> None:
    assert isclose(similarity(packed(*one), packed(*other)), cosine, abs_tol=1e-7)
    assert similarity(packed(*one), packed(*one)) in (0.0, 1.0)


@given(VECTORS, st.lists(VECTORS, max_size=40), st.integers(1, 8))
def test_the_nearest_of_all(wanted: list[float], vectors: list[list[float]], limit: int) -> None:
    query = VectorQuery(packed(*wanted), limit, ())
    rows = [(b"%03d" % number, packed(*vector)) for number, vector in enumerate(vectors)]
    expected = [Similar(key, similarity(query.vector, vector)) for key, vector in rows]
    expected.sort(key=lambda one: (-one.score, [-byte for byte in one.key]))
    for products in (PlainProducts(query.vector), NumpyProducts(query.vector, numpy)):
        nearest = Nearest(query, products)
        nearest.add([])
        for start in range(0, len(rows), 7):
            nearest.add(rows[start : start + 7])
        assert nearest.best() == expected[:limit]


@given(st.lists(NUMBERS, min_size=2, max_size=64), st.floats(0.001, 1000))
def test_length_does_not_matter(numbers: list[float], factor: float) -> None:
    assume(any(abs(number) > 1e-6 for number in numbers))
    longer = [number * factor for number in numbers]
    assert isclose(similarity(packed(*numbers), packed(*longer)), 1.0, abs_tol=1e-6)


def test_a_scan_is_cut_into_pieces_that_take_about_equally_long() -> None:
    small, large = (VectorQuery(packed(*[1.0] * dimensions), 1, ()) for dimensions in (2, 4096))
    assert Nearest(small, PlainProducts(small.vector)).rows == 512
    assert Nearest(large, PlainProducts(large.vector)).rows == 24
