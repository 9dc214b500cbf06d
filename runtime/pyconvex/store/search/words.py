"""Entries as words for an engine's own text search: each begins with the number of its index.

So one expression picks the index, the terms and the filters, and nothing of another index is ever looked at.
"""

from collections.abc import Iterator
from typing import Final

from .entries import SearchEntry
from .selection import Having

TAG_CHARACTERS: Final = 9
"""How many characters of a term's word say the index: its number and a dot."""


def words_of(index: int, entry: SearchEntry) -> Iterator[str]:
    """All words under which a document is found, each once."""
    yield index_word(index)
    for position, value in enumerate(entry.filters):
        yield filter_word(index, position, value)
    for term in sorted(set(entry.text.split(" "))):
        yield term_word(index, term)


def index_word(index: int) -> str:
    """The word that every document of an index has."""
    return f"{index:08x}"


def term_word(index: int, term: str) -> str:
    return f"{index_word(index)}.{term}"


def filter_word(index: int, position: int, value: bytes) -> str:
    # No term has a dot.
    return f"{index_word(index)}..{position:x}.{value.hex()}"


def expression(index: int, having: Having, *, quote: str, prefixed: str, all_of: str, any_of: str) -> str:
    """What is asked for in an engine's language: words in `quote`s, `prefixed` behind what only begins a word.

    Our words hold no quotes and nothing else that would mean something there.
    """
    parts = [f"{quote}{term_word(index, term)}{quote}" for term in having.terms]
    if having.prefix is not None:
        parts.append(f"{quote}{term_word(index, having.prefix)}{quote}{prefixed}")
    return f"({(all_of if having.all else any_of).join(parts)})"
