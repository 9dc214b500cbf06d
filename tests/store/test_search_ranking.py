"""The order of results."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.store.search.entries import SearchEntry
from pyconvex.store.search.ranking import Ranking
from pyconvex.store.search.selection import SearchQuery
from pyconvex.store.search.terms import terms_sought

WORDS = st.sampled_from(["a", "ab", "abc", "b", "ba", "c", "ca", "d"])
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)


def order(query: str, *texts: str) -> list[str]:
    """The texts, best first; later ones are newer."""
    terms = terms_sought(query)
    assert terms is not None
    ranking = Ranking(terms)
    for number, text in enumerate(texts):
        ranking.add(b"%04d" % number, text)
    return [texts[int(one.key)] for one in ranking.ordered()]


@pytest.mark.parametrize(
    ("query", "best_first"),
    [
        pytest.param("cat", ["cat cat x", "cat x x"], id="more often"),
        pytest.param("cat", ["cat x", "cat x x x x x"], id="in a shorter text"),
        pytest.param("cat", ["cat", "cats"], id="exact above prefix"),
        pytest.param(
            "cat", ["cat " + "x " * 50 + "x", "cats cats cats cats"], id="exact in a long text above prefixes"
        ),
        pytest.param("cat dog", ["cat dog", "cat x", "x dogs"], id="more of the query"),
        pytest.param("black cat", ["x black cat x", "black x x cat"], id="near each other"),
        pytest.param("black ca", ["x black cats x", "black x x cats"], id="a prefix near another term"),
        pytest.param("black cat", ["cat black x x", "cat x x black"], id="near in either order"),
        pytest.param("cat cat", ["cat", "cats"], id="a term twice"),
    ],
)
def test_best_first(query: str, best_first: list[str]) -> None:
    assert order(query, *best_first) == best_first
    assert order(query, *reversed(best_first)) == best_first


def test_a_rare_term_says_more() -> None:
    assert order("the cat", "the x", "cat x", "the y", "the z") == ["cat x", "the z", "the y", "the x"]


def test_equal_ones_newer_first() -> None:
    terms = terms_sought("cat")
    assert terms is not None
    ranking = Ranking(terms)
    for key in (b"2", b"1", b"3"):
        ranking.add(key, "the cat")
    assert [one.key for one in ranking.ordered()] == [b"3", b"2", b"1"]
    assert len({one.score for one in ranking.ordered()}) == 1


def test_no_candidates() -> None:
    terms = terms_sought("cat")
    assert terms is not None
    assert Ranking(terms).ordered() == []


@given(TEXTS, st.lists(TEXTS, max_size=10), st.randoms())
def test_the_order_does_not_depend_on_the_order_of_arrival(query: str, texts: list[str], random: Random) -> None:
    terms = terms_sought(query)
    assert terms is not None
    numbered = [(b"%d" % number, text) for number, text in enumerate(texts)]
    one, other = Ranking(terms), Ranking(terms)
    for candidate in numbered:
        one.add(*candidate)
    random.shuffle(numbered)
    for candidate in numbered:
        other.add(*candidate)
    assert one.ordered() == other.ordered()


@given(WORDS, st.lists(TEXTS, max_size=10))
def test_exact_matches_come_before_prefixes(word: str, texts: list[str]) -> None:
    exact = [word in text.split(" ") for text in order(word, *texts)]
    assert exact == sorted(exact, reverse=True)


@given(TEXTS, st.lists(TEXTS, max_size=10))
def test_what_matches_scores_and_what_does_not_scores_nothing(query: str, texts: list[str]) -> None:
    terms = terms_sought(query)
    assert terms is not None
    ranking = Ranking(terms)
    for number, text in enumerate(texts):
        ranking.add(b"%d" % number, text)
    for score, key in ranking.ordered():
        words = texts[int(key)].split(" ")
        matches = any(word in terms.exact or word.startswith(terms.prefix) for word in words)
        assert (score > 0) == matches
        assert SearchQuery(terms, ()).matches(SearchEntry(texts[int(key)], ())) == matches
