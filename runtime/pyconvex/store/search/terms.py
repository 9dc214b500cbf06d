"""Texts as the terms that full-text search knows (https://docs.convex.dev/search/text-search).

Every engine stores and looks for these terms only, so that no engine's own idea of a word matters.
"""

import re
from functools import cache
from typing import Final, NamedTuple
from unicodedata import category

QUERY_TERMS_MAX: Final = 16
TERM_BYTES_MAX: Final = 32

_ASCII_TERM = re.compile("[0-9a-z]+")
_MARKS = range(0x300, 0x1_F000)
"""Where Unicode has its combining marks."""


class SearchTerms(NamedTuple):
    """What a search looks for: documents with any of the `exact` terms, or with one that begins with `prefix`.

    The exact terms are distinct and in the query's order; `prefix` is the last term of the query and one of them.
    """

    exact: tuple[str, ...]
    prefix: str


def terms_in(text: str) -> list[str]:
    """The terms of a text in their order: runs of letters and digits, in lower case, of at most 32 bytes."""
    if text.isascii():
        return [term for term in _ASCII_TERM.findall(text.lower()) if len(term) <= TERM_BYTES_MAX]
    return [term for term in _any_term().findall(_lower(text)) if len(term.encode()) <= TERM_BYTES_MAX]


def terms_sought(query: str) -> SearchTerms | None:
    """What a user's query asks for: its first 16 terms; None when it has none."""
    terms = terms_in(query)[:QUERY_TERMS_MAX]
    return SearchTerms(tuple(dict.fromkeys(terms)), terms[-1]) if terms else None


def _lower(text: str) -> str:
    # Python writes a sigma at the end of a word differently: the beginning of a word would not find the word.
    return text.replace("Σ", "σ").lower()


@cache
def _any_term() -> "re.Pattern[str]":
    """Letters and digits, and their marks: words of India's scripts would fall apart at every vowel sign otherwise."""
    marks = "".join(chr(code) for code in _MARKS if category(chr(code)).startswith("M"))
    return re.compile(rf"[^\W_](?:[^\W_]|[{marks}])*")
