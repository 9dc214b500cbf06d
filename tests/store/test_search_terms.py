"""Texts as terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.store.search.terms import SearchTerms, terms_in, terms_sought


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        (" \n\t-!?", []),
        ("Hello, World!", ["hello", "world"]),
        ("snake_case x-ray e.g. 3.14", ["snake", "case", "x", "ray", "e", "g", "3", "14"]),
        ("Straße ÉCOLE", ["straße", "école"]),
        ("日本語 テスト", ["日本語", "テスト"]),
        ("½ ② Ⅷ", ["½", "②", "ⅷ"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("Vietna\u0302\u0301m", ["vietna\u0302\u0301m"]),
        ("ΟΔΟΣ ΟΔΟΣΣ", ["οδοσ", "οδοσσ"]),
        ("a" * 32 + " " + "b" * 33, ["a" * 32]),
        ("é" * 16 + " " + "é" * 17, ["é" * 16]),
        ("nul\0nul", ["nul", "nul"]),
        ("🙂smile🙂", ["smile"]),
        ("twice Twice", ["twice", "twice"]),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert terms_in(text) == terms


@pytest.mark.parametrize(
    ("query", "sought"),
    [
        ("", None),
        ("!", None),
        ("Hello", SearchTerms(("hello",), "hello")),
        ("hello wor ", SearchTerms(("hello", "wor"), "wor")),
        ("a b a", SearchTerms(("a", "b"), "a")),
        ("good " + "x" * 33, SearchTerms(("good",), "good")),
        (
            " ".join(f"t{number}" for number in range(20)),
            SearchTerms(tuple(f"t{number}" for number in range(16)), "t15"),
        ),
    ],
)
def test_what_a_query_asks_for(query: str, sought: SearchTerms | None) -> None:
    assert terms_sought(query) == sought


@given(st.text())
def test_terms_are_their_own_terms(text: str) -> None:
    terms = terms_in(text)
    assert terms_in(" ".join(terms)) == terms
    assert all(" " not in term and term for term in terms)


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=2, max_size=8), st.data())
def test_the_beginning_of_a_word_finds_it(word: str, data: st.DataObject) -> None:
    (whole,) = terms_in(word) or ("",)
    beginning = data.draw(st.integers(1, len(word)).map(lambda length: word[:length]))
    assert whole.startswith(terms_in(beginning)[0]) or not whole
