"""What a search asks of an engine, and which matching documents it is to hand over when there are too many."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar

from .entries import SearchEntry
from .terms import SearchTerms

T = TypeVar("T")
"""How an engine names documents."""

CANDIDATES_MAX: Final = 1024
RANKED_CHARACTERS: Final = 32_768
"""How much of a text the ranking looks at: some ten pages."""


class SearchQuery(NamedTuple):
    terms: SearchTerms
    filters: tuple[tuple[int, bytes], ...]
    """All of them must hold: the position of a filter field in the index, and the value's hash."""

    def matches(self, entry: SearchEntry) -> bool:
        if any(entry.filters[position] != value for position, value in self.filters):
            return False
        terms = entry.text.split(" ")
        prefix = self.terms.prefix
        return not set(self.terms.exact).isdisjoint(terms) or any(term.startswith(prefix) for term in terms)


class Candidate(NamedTuple):
    key: bytes
    """Of the document, in `by_creation_time`."""
    text: str
    """The beginning of the entry's text."""


class Candidates(NamedTuple):
    found: Sequence[Candidate]
    complete: bool
    """Nothing else matches."""


class Having(NamedTuple):
    """Documents that have any of these terms, or all of them; a word that begins with `prefix` is one more."""

    terms: tuple[str, ...]
    prefix: str | None = None
    all: bool = False


Find: TypeAlias = Callable[[Having, int], Awaitable[Sequence[T]]]
"""The newest documents, as many as the number says, that satisfy the filters and what is asked."""


async def select(find: Find[T], terms: SearchTerms, limit: int) -> tuple[list[T], bool]:
    """The documents that match, and whether these are all; when more than `limit` do, those that promise most.

    First those that have all terms, then those with the term that the fewest documents have, and so on; of equal ones
    the newest. It depends on nothing but documents that match. Prefixes come last, as they cost most.
    """
    exact = await find(Having(terms.exact), limit + 1)
    if len(exact) <= limit:
        everything = await find(Having(terms.exact, terms.prefix), limit + 1)
        if len(everything) <= limit:
            return list(everything), True
    chosen: dict[T, None] = {}
    async for group in _groups(find, terms, limit):
        chosen.update(dict.fromkeys(group))
        if len(chosen) >= limit:
            break
    return list(chosen)[:limit], False


async def _groups(find: Find[T], terms: SearchTerms, limit: int) -> AsyncIterator[Sequence[T]]:
    if len(terms.exact) > 1:
        yield await find(Having(terms.exact, all=True), limit)
        earlier = tuple(term for term in terms.exact if term != terms.prefix)
        yield await find(Having(earlier, terms.prefix, all=True), limit)
    for group in sorted([await find(Having((term,)), limit) for term in terms.exact], key=len):
        yield group
    yield await find(Having((), terms.prefix), limit)
