"""Which documents an engine hands over, and what a search takes for a match."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.store.search.entries import SearchEntry
from pyconvex.store.search.selection import Having, SearchQuery, select
from pyconvex.store.search.terms import SearchTerms, terms_sought

WORDS = st.sampled_from(["a", "ab", "abc", "b", "ba", "c"])
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


def sought(query: str) -> SearchTerms:
    terms = terms_sought(query)
    assert terms is not None
    return terms


def selected(texts: Sequence[str], query: str, limit: int) -> tuple[list[int], bool]:
    async def find(having: Having, most: int) -> Sequence[int]:
        return [number for number in reversed(range(len(texts))) if _has(texts[number], having)][:most]

    return asyncio.run(select(find, sought(query), limit))


def _has(text: str, having: Having) -> bool:
    words = text.split(" ")
    found = [term in words for term in having.terms]
    if having.prefix is not None:
        found.append(any(word.startswith(having.prefix) for word in words))
    return all(found) if having.all else any(found)


@given(st.lists(TEXTS, max_size=12), TEXTS, st.integers(1, 6))
def test_all_that_match_or_as_many_as_wanted(texts: list[str], query: str, limit: int) -> None:
    matching = {n for n, text in enumerate(texts) if SearchQuery(sought(query), ()).matches(SearchEntry(text, ()))}
    numbers, complete = selected(texts, query, limit)
    assert complete == (len(matching) <= limit)
    assert len(numbers) == len(set(numbers)) == min(limit, len(matching))
    assert matching.issuperset(numbers)


def test_those_that_promise_most() -> None:
    texts = ["a b", "abc", "a", "a", "b", "b", "b", "a", "c", "ab"]
    assert selected(texts, "b a", 1) == ([0], False)
    assert selected(texts, "a", 2) == ([7, 3], False)
    assert selected(texts, "c b a", 2) == ([8, 6], False)
    assert selected(texts, "b a", 4) == ([0, 6, 5, 4], False)
    assert selected(texts, "b c", 8)[1] is True


def test_what_is_written_elsewhere_changes_nothing() -> None:
    texts = ["a b", "a", "a", "b"]
    assert selected([*texts, "c", "c c"], "a b", 2) == selected(texts, "a b", 2)
