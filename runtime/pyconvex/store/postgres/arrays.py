"""Arrays of integers, bytes and texts in PostgreSQL's binary form.

Rows of a batch go to the server as one array for each column. Writing the form here costs a fraction of what adapting
value by value does, and the types never depend on the values, so one prepared statement serves all batches.
"""

from collections.abc import Sequence
from struct import Struct, pack
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.adapt import Dumper

_BIGINT, _BYTEA, _TEXT = 20, 17, 25
_BIGINTS, _BYTEAS, _TEXTS = 1016, 1001, 1009

_header = Struct(">iiiii").pack
_length = Struct(">i").pack


class Integers(bytes):
    """A `bigint[]`."""


class Blobs(bytes):
    """A `bytea[]`."""


class Texts(bytes):
    """A `text[]` of UTF-8."""


def integers(values: Sequence[int]) -> Integers:
    flat = [8] * (2 * len(values))
    flat[1::2] = values
    return Integers(_head(_BIGINT, len(values)) + pack(">" + "iq" * len(values), *flat))


def blobs(values: Sequence[bytes]) -> Blobs:
    return Blobs(_joined(_BYTEA, values))


def texts(values: Sequence[bytes]) -> Texts:
    return Texts(_joined(_TEXT, values))


def register_arrays(connection: "psycopg.AsyncConnection[Any]") -> None:
    """Teach a connection to send these."""
    for kind, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(kind, dumper)


def _head(element: int, count: int) -> bytes:
    # Dimensions, no NULLs, the elements' type, how many, the first one's number; an empty array has no dimension.
    return _header(1, 0, element, count, 1) if count else _header(0, 0, element, 0, 0)[:12]


def _joined(element: int, values: Sequence[bytes]) -> bytes:
    parts = [_head(element, len(values))]
    for value in values:
        parts.append(_length(len(value)))
        parts.append(value)
    return b"".join(parts)


class _ArrayDumper(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


class _IntegersDumper(_ArrayDumper):
    oid = _BIGINTS


class _BlobsDumper(_ArrayDumper):
    oid = _BYTEAS


class _TextsDumper(_ArrayDumper):
    oid = _TEXTS


_DUMPERS: Final[dict[type, type[Dumper]]] = {Integers: _IntegersDumper, Blobs: _BlobsDumper, Texts: _TextsDumper}
