"""What search and vector indexes hold of a document, the same on every engine."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, TypeAlias

from pyconvex.values.keys import encode_key
from pyconvex.values.value import Undefined, Value, undefined

from .terms import terms_in
from .vectors import pack_vector

FILTER_BYTES: Final = 12
"""Length of a filter value's hash: nobody finds a second value with the hash of a given one."""

Path: TypeAlias = tuple[str, ...]


class SearchEntry(NamedTuple):
    text: str
    """The terms of the search field in their order, a space between two."""
    filters: tuple[bytes, ...]
    """The hash of each filter field's value, in the order of their declaration."""


class VectorEntry(NamedTuple):
    vector: bytes
    """Of length 1, as `pack_vector` writes it."""
    filters: tuple[bytes, ...]
    """As in `SearchEntry`."""


Entry: TypeAlias = SearchEntry | VectorEntry


class FoundChange(NamedTuple):
    """A document's entry in one index before and after a transaction; None where it has none."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride]  # nobody searches in it with tuple.index
    before: Entry | None
    after: Entry | None

    def terms(self) -> set[str]:
        """The terms under which a search has met the document, or would meet it now."""
        texts = [entry.text for entry in (self.before, self.after) if isinstance(entry, SearchEntry)]
        return {term for text in texts for term in text.split(" ")}


def search_entry(document: Mapping[str, Value], field: Path, filters: Sequence[Path]) -> SearchEntry | None:
    """None for a document whose field is no text, or a text without a term: no search finds it."""
    text = value_at(document, field)
    terms = terms_in(text) if isinstance(text, str) else None
    return SearchEntry(" ".join(terms), _hashes(document, filters)) if terms else None


def vector_entry(
    document: Mapping[str, Value], field: Path, dimensions: int, filters: Sequence[Path]
) -> VectorEntry | None:
    """None for a document whose field is no list of that many finite float64 numbers."""
    numbers = value_at(document, field)
    if not isinstance(numbers, list) or len(numbers) != dimensions:
        return None
    packed = pack_vector(numbers)
    return None if packed is None else VectorEntry(packed, _hashes(document, filters))


def filter_hash(value: Value | Undefined) -> bytes:
    """Equal for equal values and only for those; a missing field is a value of its own."""
    return blake2b(encode_key((value,)), digest_size=FILTER_BYTES).digest()


def value_at(document: Mapping[str, Value], path: Path) -> Value | Undefined:
    """The value of a field, or of a field inside objects; `undefined` where there is none."""
    value: Value | Undefined = document.get(path[0], undefined)
    for name in path[1:]:
        if not isinstance(value, dict):
            return undefined
        value = value.get(name, undefined)
    return value


def _hashes(document: Mapping[str, Value], filters: Sequence[Path]) -> tuple[bytes, ...]:
    return tuple(filter_hash(value_at(document, path)) for path in filters)
