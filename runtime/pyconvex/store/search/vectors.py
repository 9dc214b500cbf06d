"""Which vectors are nearest to a given one, by the cosine of the angle between them.

Vectors are kept at length 1, as float32. A scan takes the products quickly and roughly, by whatever is there; those
that may be among the nearest are then scored by `similarity`, so that the answer is the same whoever scanned.
"""

import sys
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from heapq import nlargest
from math import hypot, isfinite
from operator import mul
from typing import Any, Final, NamedTuple, Protocol, cast

SLACK: Final = 1e-4
"""More than what quick products are wrong by: they are float32's, over at most 4,096 dimensions."""
_NUMBERS = frozenset({int, float})
_BIG_ENDIAN = sys.byteorder == "big"
_PLAIN_NUMBERS, _NUMPY_NUMBERS = 100_000, 400_000
"""How many numbers are read and multiplied in about two milliseconds."""
_ROWS_MAX = 512
"""How many rows are read in that time, however short they are."""


class VectorQuery(NamedTuple):
    """What a vector search asks of an engine."""

    vector: bytes
    """As `pack_vector` writes it."""
    limit: int
    filters: tuple[tuple[int, bytes], ...]
    """One of them must hold, if there are any: the position of a filter field in the index, and the value's hash."""


class Similar(NamedTuple):
    key: bytes
    """Of the document, in `by_creation_time`."""
    score: float
    """From -1 to 1."""


class Products(Protocol):
    """How a scan multiplies."""

    numbers: int
    """How many numbers to multiply between two turns of the event loop."""

    def __call__(self, vectors: Sequence[bytes]) -> Sequence[float]:
        """The product of each of the vectors with the query's; off by less than `SLACK`."""
        ...


class Nearest:
    """Takes the vectors of an index, some at a time, and keeps those nearest to the query."""

    def __init__(self, query: VectorQuery, products: Products | None = None) -> None:
        self._query = query
        self._products = products or quickest_products(query.vector)
        self._kept: list[tuple[float, bytes, bytes]] = []
        self._floor = -2.0
        self.rows = max(1, min(_ROWS_MAX, self._products.numbers * 4 // len(query.vector)))
        """How many vectors to add at a time, so that the event loop has its turns."""

    def add(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Add documents: the key in `by_creation_time`, and the vector."""
        if not rows:
            return
        products = self._products([vector for _, vector in rows])
        floor = self._floor
        self._kept += [
            (product, key, vector) for product, (key, vector) in zip(products, rows, strict=True) if product >= floor
        ]
        if len(self._kept) > 2 * self._query.limit:
            self._raise_floor()

    def best(self) -> list[Similar]:
        """The nearest, best first; of equally near ones the newer first."""
        found = [Similar(key, similarity(self._query.vector, vector)) for _, key, vector in self._kept]
        found.sort(key=lambda one: one.key, reverse=True)
        found.sort(key=lambda one: -one.score)
        return found[: self._query.limit]

    def _raise_floor(self) -> None:
        """Forget what cannot be among the nearest any more."""
        products = [product for product, _, _ in self._kept]
        self._floor = nlargest(self._query.limit, products)[-1] - 2 * SLACK
        self._kept = [kept for kept in self._kept if kept[0] >= self._floor]


def pack_vector(numbers: Sequence[object]) -> bytes | None:
    """The direction of a vector as little-endian float32, at length 1 (or 0); None unless all numbers are finite."""
    if not numbers or not _NUMBERS.issuperset(map(type, numbers)):
        return None
    floats = cast("Sequence[float]", numbers)
    largest = max(map(abs, floats))
    if not all(map(isfinite, floats)):
        return None
    if largest:
        # In two steps, so that the length of a very long or very short vector is a number still.
        floats = [number / largest for number in floats]
        length = hypot(*floats)
        floats = [number / length for number in floats]
    return _little_endian(array("f", floats)).tobytes()


def similarity(one: bytes, other: bytes) -> float:
    """The cosine of the angle between two packed vectors; 0 when one of them has no direction."""
    left, right = unpacked(one), unpacked(other)
    lengths = (_product(left, left) * _product(right, right)) ** 0.5
    return max(-1.0, min(1.0, _product(left, right) / lengths)) if lengths else 0.0


def unpacked(vector: bytes) -> "array[float]":
    return _little_endian(array("f", vector))


def quickest_products(vector: bytes) -> Products:
    numpy = _numpy()
    return PlainProducts(vector) if numpy is None else NumpyProducts(vector, numpy)


class PlainProducts:
    """Products without any library."""

    numbers = _PLAIN_NUMBERS

    def __init__(self, vector: bytes) -> None:
        self._vector = unpacked(vector)

    def __call__(self, vectors: Sequence[bytes]) -> Sequence[float]:
        return [_product(self._vector, unpacked(vector)) for vector in vectors]


class NumpyProducts:
    """Products by numpy, twenty times as quick."""

    numbers = _NUMPY_NUMBERS

    def __init__(self, vector: bytes, numpy: Any) -> None:
        self._numpy = numpy
        self._vector = numpy.frombuffer(vector, "<f4")

    def __call__(self, vectors: Sequence[bytes]) -> Sequence[float]:
        matrix = self._numpy.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
        return (matrix @ self._vector).tolist()


@cache
def _numpy() -> Any:
    """numpy, imported with the first vector search; None where it is not installed."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def _little_endian(numbers: "array[float]") -> "array[float]":
    if _BIG_ENDIAN:
        numbers.byteswap()
    return numbers


def _sum_of_products(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(map(mul, left, right))


if sys.version_info >= (3, 12):
    from math import sumprod

    _product: Callable[[Sequence[float], Sequence[float]], float] = sumprod
else:
    _product: Callable[[Sequence[float], Sequence[float]], float] = _sum_of_products
