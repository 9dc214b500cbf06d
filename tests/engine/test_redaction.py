"""What is shown of kept requests, and what not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.engine.requests.redaction import is_secret_header, redacted_body, redacted_header, redacted_query

HEADERS = [
    ("authorization", "Bearer eyJhbGciOi.x.y", "Bearer …"),
    ("authorization", "s3cret", "…"),
    ("proxy-authorization", "Basic dXNlcjpwYXNz", "Basic …"),
    ("cookie", "session=abc; theme=dark", "session=…; theme=…"),
    ("cookie", "abc; =def;theme=dark;", "…; =…; theme=…; …"),
    ("x-api-key", "abc", "…"),
    ("x-secret", "correct horse", "…"),
    ("x-auth-token", "abc", "…"),
    ("x-goog-iam-authorization-token", "abc", "…"),
    ("stripe-signature", "t=1700000000,v1=0123456789abcdef", "t=1700000000…"),
    ("x-hub-signature-256", "sha256=0123456789abcdef", "sha256=01234…"),
    ("webhook-signature", "v1,abc", "…"),
    ("x-shopify-hmac-sha256", "0123456789abcdef", "0123456789ab…"),
    ("content-type", "application/json", "application/json"),
    ("webhook-id", "msg_1", "msg_1"),
    ("x-github-delivery", "0-1", "0-1"),
    ("idempotency-key", "k-1", "k-1"),
    ("user-agent", "curl/8", "curl/8"),
]


@pytest.mark.parametrize(("name", "value", "shown"), HEADERS)
def test_headers(name: str, value: str, shown: str) -> None:
    assert redacted_header(name, value) == shown


def test_signatures_are_shortened_but_no_secret() -> None:
    assert not is_secret_header("stripe-signature")
    assert is_secret_header("x-api-key")


QUERIES = [
    ("", ""),
    ("a=1&b=2", "a=1&b=2"),
    ("token=abc&page=2", "token=…&page=2"),
    (
        "access_token=a&API_KEY=b&sig=c&code=d&X-Amz-Signature=e",
        "access_token=…&API_KEY=…&sig=…&code=…&X-Amz-Signature=…",
    ),
    ("%74oken=abc", "%74oken=…"),
    ("token&token=&monkey=1&zip_code=2", "token&token=&monkey=1&zip_code=2"),
    ("a=%ff&=&&", "a=%ff&=&&"),
]


@pytest.mark.parametrize(("query", "shown"), QUERIES)
def test_queries(query: str, shown: str) -> None:
    assert redacted_query(query) == shown


def test_json_bodies() -> None:
    body = {
        "type": "x", "code": "card_declined", "key": "k", "tokens": 12, "password": "p", "empty_token": "",
        "data": [{"client_secret": "s", "pin": "1", "opinion": "o", "apiKey": "a", "private-key": "b"}],
        "backup_tokens": ["a", "b", 3, {"token": "c", "n": "o"}],
    }  # fmt: skip
    shown = json.loads(redacted_body(json.dumps(body).encode(), "application/json"))
    assert shown == {
        **body,
        "password": "…",
        "data": [{"client_secret": "…", "pin": "…", "opinion": "o", "apiKey": "…", "private-key": "…"}],
        "backup_tokens": ["…", "…", 3, {"token": "…", "n": "o"}],
    }


def test_forms() -> None:
    for content_type in ("application/x-www-form-urlencoded;charset=UTF-8", "Application/X-WWW-Form-urlencoded"):
        assert redacted_body(b"user=ada&password=p", content_type).decode() == "user=ada&password=…"


@pytest.mark.parametrize("body", [b'{"a":  1}', b"plain token=1", b"\xff\0", b"", b"[" * 5000, b'{"a": 1', b'"token"'])
def test_other_bodies_stay_as_they_are(body: bytes) -> None:
    assert redacted_body(body, "application/json") == body


CUT = [
    (b'{"password": "SECRET", "name": "Ada", "mo', b'{"password": "\xe2\x80\xa6", "name": "Ada", "mo'),
    (b'{"name": "Ada", "token" : "SECR', b'{"name": "Ada", "token" : "\xe2\x80\xa6"'),
    (b'{"a": "say \\"token\\": ", "token":"x\\"SECRET', b'{"a": "say \\"token\\": ", "token":"\xe2\x80\xa6"'),
    (b'\xff{"token":"SECRET\\', b'\xff{"token":"\xe2\x80\xa6"'),
    (
        b"[" * 100_000 + b'{"token":"SECRET"}' + b"]" * 100_000,
        b"[" * 100_000 + b'{"token":"\xe2\x80\xa6"}' + b"]" * 100_000,
    ),
]


@pytest.mark.parametrize(("body", "shown"), CUT)
def test_what_cannot_be_read_as_a_whole(body: bytes, shown: bytes) -> None:
    assert redacted_body(body, "application/json") == shown


def test_no_body_keeps_the_search_busy() -> None:
    for part in (b'\\"', b'"', b'"a"  ', b'"a":"'):
        body = b'{"' + part * (2**17 // len(part))
        assert len(redacted_body(body, "")) >= len(body)


def test_what_is_nested_deeply_is_hidden() -> None:
    deep = b'{"a":' * 150 + b'{"token":"SECRET"}' + b"}" * 150
    assert b"SECRET" not in redacted_body(deep, "application/json")


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.lists(st.text()))))
def test_what_is_shown_is_json_of_the_same_shape(fields: dict[str, object]) -> None:
    shown = json.loads(redacted_body(json.dumps(fields).encode(), ""))
    assert list(shown) == list(fields)
