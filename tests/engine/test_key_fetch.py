"""For how long a fetched document counts, and documents that are written down in their own address."""

import math

import pytest

from pyconvex.engine.auth.key_documents import FetchFailed
from pyconvex.engine.auth.key_fetch import FRESH_SECONDS_MAX, FRESH_SECONDS_MIN, UNSAID_SECONDS, fetch, lifetime


@pytest.mark.parametrize(
    ("cache_control", "age", "seconds"),
    [
        (None, None, UNSAID_SECONDS),
        ("", None, UNSAID_SECONDS),
        ("public", "100", UNSAID_SECONDS),
        ("max-age=3600", None, 3600),
        ("MAX-AGE = 3600", None, 3600),
        ('max-age="3600"', None, 3600),
        ("public,max-age=3600,immutable", None, 3600),
        ("s-maxage=9, max-age=3600", None, 3600),
        ("s-maxage=9", None, UNSAID_SECONDS),
        ("max-age=3600", "600", 3000),
        ("max-age=3600", "9999", FRESH_SECONDS_MIN),
        ("max-age=3600", "-1", 3600),
        ("max-age=0", None, FRESH_SECONDS_MIN),
        ("max-age=-1", None, UNSAID_SECONDS),
        ("max-age=999999999", None, FRESH_SECONDS_MAX),
        ("max-age=99999999999999999999", None, UNSAID_SECONDS),
        ("no-store", None, FRESH_SECONDS_MIN),
        ("max-age=3600, no-cache", None, FRESH_SECONDS_MIN),
    ],
)
def test_how_long_a_document_counts(cache_control: str | None, age: str | None, seconds: float) -> None:
    assert lifetime(cache_control, age) == seconds


@pytest.mark.parametrize(
    ("uri", "content"),
    [
        ("data:,a%20b", b"a b"),
        ("data:application/json,{}", b"{}"),
        ("data:text/plain;charset=utf-8;base64,e30=", b"{}"),
        ("data:text/plain;charset=utf-8;base64,e30", b"{}"),
        ("DATA:;BASE64,e3%30%3D", b"{}"),
        ("data:;base64, e3\n0 =", b"{}"),
        ("data:;base64,", b""),
    ],
)
def test_documents_in_their_address(uri: str, content: bytes) -> None:
    assert fetch(uri) == (content, None, math.inf)


@pytest.mark.parametrize("uri", ["data:", "data:;base64", "data:;base64,é", "data:;base64,e", "data:;base64,e3-_"])
def test_addresses_that_hold_no_document(uri: str) -> None:
    with pytest.raises(FetchFailed, match="data: URI cannot be read"):
        fetch(uri)
