"""What a browser does with requests to another origin, by the Fetch standard."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.functions.routing.cors_protocol import (
    Answer,
    PageRequest,
    check_preflight,
    check_response,
    forbidden_headers,
    hidden_headers,
    is_safelisted,
    lacks_vary,
    preflight_headers,
    preflight_reasons,
    unsafe_names,
)
from pyconvex.server import Cors, Headers

SITE = "https://my.site"

SAFELISTED: list[tuple[str, str, bool]] = [
    ("Accept", "text/html", True),
    ("accept", "text/html;q=0.9, */*", True),
    ("accept", 'a"b', False),
    ("accept", "a(b)", False),
    ("accept", "a\x7f", False),
    ("accept", "a\tb", True),
    ("Accept-Language", "de-DE, de;q=0.8, *;q=0.1", True),
    ("accept-language", "de_DE", False),
    ("content-language", "en", True),
    ("content-language", "e&n", False),
    ("Content-Type", "text/plain", True),
    ("content-type", "Text/Plain;charset=UTF-8", True),
    ("content-type", "application/x-www-form-urlencoded", True),
    ("content-type", "multipart/form-data; boundary=x", True),
    ("content-type", "application/json", False),
    ("content-type", "text/plain2", False),
    ("content-type", "text", False),
    ("content-type", "", False),
    ("content-type", 'text/plain;charset="utf-8"', False),
    ("range", "bytes=0-", True),
    ("range", "bytes=0-99", True),
    ("range", "bytes=9-1", False),
    ("range", "bytes=-500", False),
    ("range", "bytes=0-1,3-4", False),
    ("range", "Bytes=0-", False),
    ("authorization", "Bearer x", False),
    ("x-key", "1", False),
    ("accept", "a" * 128, True),
    ("accept", "a" * 129, False),
]


@pytest.mark.parametrize(("name", "value", "safe"), SAFELISTED)
def test_headers_that_go_without_a_preflight(name: str, value: str, safe: bool) -> None:
    assert is_safelisted(name, value) is safe
    assert unsafe_names([(name, value)]) == ([] if safe else [name.lower()])


def test_many_safelisted_headers_are_too_many() -> None:
    eight = [("accept", "a" * 128)] * 8
    assert unsafe_names(eight) == []
    assert unsafe_names([*eight, ("Accept-Language", "de")]) == ["accept", "accept-language"]
    assert unsafe_names([("X-B", "1"), ("x-a", "1"), ("x-b", "2"), ("accept", "a")]) == ["x-a", "x-b"]


PREFLIGHTS: list[tuple[PageRequest, list[str], str | None]] = [
    (PageRequest(SITE, "GET"), [], None),
    (PageRequest(SITE, "HEAD"), [], None),
    (PageRequest(SITE, "POST", [("Content-Type", "text/plain")]), [], None),
    (PageRequest(SITE, "POST", [("Content-Type", "text/plain")], credentials=True), [], None),
    (PageRequest(SITE, "PUT"), ["the method PUT"], None),
    (PageRequest(SITE, "patch"), ["the method patch"], None),
    (
        PageRequest(SITE, "POST", [("Content-Type", "application/json"), ("Authorization", "Bearer x")]),
        ["the header authorization", "the content type application/json"],
        "authorization,content-type",
    ),
]


@pytest.mark.parametrize(("request_", "reasons", "names"), PREFLIGHTS)
def test_when_and_what_a_browser_asks_first(request_: PageRequest, reasons: list[str], names: str | None) -> None:
    assert preflight_reasons(request_) == reasons
    sent = preflight_headers(request_)
    assert (sent["origin"], sent["access-control-request-method"]) == (SITE, request_.method)
    assert sent.get("access-control-request-headers") == names


def answer(status: int = 204, **headers: str) -> Answer:
    return Answer(
        status, Headers({f"access-control-{name.replace('_', '-')}": value for name, value in headers.items()})
    )


CORS_CHECKS: list[tuple[dict[str, str], bool, str | None]] = [
    # headers of the answer, credentials, what is objected to
    ({}, False, "access-control-allow-origin is missing"),
    ({"allow_origin": "*"}, False, None),
    ({"allow_origin": SITE}, False, None),
    ({"allow_origin": "https://other.site"}, False, "is 'https://other.site', not 'https://my.site'"),
    ({"allow_origin": "https://my.site/"}, False, "differs from 'https://my.site' in letter case or a slash"),
    ({"allow_origin": "https://My.site"}, False, "differs from 'https://my.site' in letter case or a slash"),
    ({"allow_origin": "https://*.site"}, False, "there are no patterns"),
    ({"allow_origin": f"{SITE}, https://b.site"}, False, "it names one origin, never a list"),
    ({"allow_origin": "null"}, False, "is 'null', not"),
    ({"allow_origin": "*"}, True, "is *, which does not count for requests with credentials"),
    ({"allow_origin": SITE}, True, "access-control-allow-credentials is missing"),
    ({"allow_origin": SITE, "allow_credentials": "True"}, True, "is 'True', not 'true' in lower case"),
    ({"allow_origin": SITE, "allow_credentials": "true"}, True, None),
    ({"allow_origin": SITE, "allow_credentials": "false"}, False, None),
]


@pytest.mark.parametrize(("headers", "credentials", "objection"), CORS_CHECKS)
def test_the_cors_check(headers: dict[str, str], credentials: bool, objection: str | None) -> None:
    found = check_response(PageRequest(SITE, "GET", credentials=credentials), answer(200, **headers))
    assert len(found) == (objection is not None)
    if objection is not None:
        assert objection in found[0].message
        assert found[0].header is not None
        assert found[0].fix.startswith(f"{found[0].header}: ")


def test_two_lines_of_allow_origin_are_a_list() -> None:
    headers = Headers([("access-control-allow-origin", SITE), ("access-control-allow-origin", SITE)])
    (objection,) = check_response(PageRequest(SITE, "GET"), Answer(200, headers))
    assert "never a list" in objection.message


def test_pages_without_an_origin() -> None:
    assert check_response(PageRequest("null", "GET"), answer(200, allow_origin="null")) == []


ALLOWING: dict[str, str] = {"allow_origin": SITE, "allow_methods": "PUT", "allow_headers": "X-Key"}
ANSWERS: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    # changes to the request, changes to the answer, what is objected to
    ({}, {}, []),
    ({}, {"status": 200}, []),
    ({}, {"status": 404}, ["the status is 404, and a preflight needs one from 200 to 299"]),
    ({}, {"status": 301}, ["a preflight is not redirected"]),
    ({}, {"allow_origin": None}, ["access-control-allow-origin is missing"]),
    ({}, {"allow_methods": None}, ["access-control-allow-methods is missing"]),
    ({}, {"allow_methods": "GET, POST"}, ["'GET, POST', without PUT"]),
    ({}, {"allow_methods": "put"}, ["'put', without PUT"]),
    ({}, {"allow_methods": "*"}, []),
    (
        {"credentials": True},
        {"allow_methods": "*", "allow_credentials": "true"},
        ["methods is *, which does not count"],
    ),
    ({}, {"allow_methods": "PUT DELETE"}, ["access-control-allow-methods is no list of methods"]),
    ({"method": "POST"}, {"allow_methods": None}, []),
    ({"method": "DELETE"}, {}, ["without DELETE"]),
    ({}, {"allow_headers": None}, ["access-control-allow-headers is missing, and has to name x-key"]),
    ({}, {"allow_headers": "x-other, X-KEY"}, []),
    ({}, {"allow_headers": "x-other"}, ["'x-other', without x-key"]),
    ({}, {"allow_headers": "*"}, []),
    ({}, {"allow_headers": "x key"}, ["access-control-allow-headers is no list of header names"]),
    ({"headers": [("Authorization", "x")]}, {"allow_headers": "*"}, ["does not cover authorization"]),
    ({"headers": [("Authorization", "x")]}, {"allow_headers": "*, Authorization"}, []),
    (
        {"credentials": True},
        {"allow_headers": "*", "allow_credentials": "true"},
        ["headers is *, which does not cover requests with credentials"],
    ),
    ({"credentials": True}, {}, ["access-control-allow-credentials is missing"]),
    ({}, {"status": 500, "allow_origin": None, "allow_methods": None, "allow_headers": None}, [""] * 4),
]


@pytest.mark.parametrize(("asked", "answered", "objections"), ANSWERS)
def test_answers_to_preflights(asked: dict[str, Any], answered: dict[str, Any], objections: list[str]) -> None:
    plain: dict[str, Any] = {"origin": SITE, "method": "PUT", "headers": [("X-Key", "1")]}
    request = PageRequest(**{**plain, **asked})
    merged: dict[str, Any] = {**ALLOWING, **answered}
    status = merged.pop("status", 204)
    given = {name: value for name, value in merged.items() if value is not None}
    found = check_preflight(request, answer(status, **given))
    assert len(found) == len(objections)
    assert all(text in each.message for text, each in zip(objections, found, strict=True))


def test_what_a_page_cannot_read() -> None:
    def hidden(exposed: str, *, credentials: bool = False) -> list[str]:
        own = {"Content-Type": "a/b", "X-Total": "7", "X-More": "1", "Vary": "Origin"}
        headers = Headers({**own, "access-control-expose-headers": exposed})
        return hidden_headers(PageRequest(SITE, "GET", credentials=credentials), Answer(200, headers))

    assert hidden("") == ["x-more", "x-total"]
    assert hidden("X-Total") == ["x-more"]
    assert hidden("*") == []
    assert hidden("*", credentials=True) == ["x-more", "x-total"]


VARIES: list[tuple[dict[str, str], bool]] = [
    ({}, False),
    ({"allow_origin": "*"}, False),
    ({"allow_origin": SITE}, True),
]


@pytest.mark.parametrize(("headers", "lacking"), VARIES)
def test_vary(headers: dict[str, str], lacking: bool) -> None:
    given = answer(200, **headers)
    assert lacks_vary(given) is lacking
    for vary in ("Accept, origin", "*"):
        given.headers.set("vary", vary)
        assert lacks_vary(given) is False


def test_headers_that_a_page_cannot_set() -> None:
    given = [("Cookie", "a"), ("X-Key", "a"), ("Sec-Fetch-Mode", "a"), ("Proxy-Authorization", "a"), ("HOST", "a")]
    assert forbidden_headers(given) == ["cookie", "sec-fetch-mode", "proxy-authorization", "host"]


names = st.sampled_from(["X-Key", "Content-Type", "Authorization", "Accept"])


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    headers=st.lists(st.tuples(names, st.sampled_from(["text/plain", "application/json", "x"])), max_size=4),
    allowed=st.lists(names, max_size=3),
    credentials=st.booleans(),
    is_known=st.booleans(),
    any_header=st.booleans(),
)
def test_cors_of_a_router_lets_through_what_it_allows(
    method: str,
    headers: list[tuple[str, str]],
    allowed: list[str],
    credentials: bool,
    is_known: bool,
    any_header: bool,
) -> None:
    cors = Cors([SITE], headers=["*"] if any_header else allowed, credentials=credentials)
    request = PageRequest(SITE if is_known else "https://other.site", method, headers, credentials)
    response = cors.preflight(Headers(preflight_headers(request)), ["GET", "POST", "PUT", "PATCH", "DELETE"])
    assert response is not None
    objections = check_preflight(request, Answer(response.status, response.headers))
    lower = {name.lower() for name in allowed}
    expected = is_known and (any_header or set(unsafe_names(headers)) <= lower)
    assert (not objections) is expected
    other = Headers()
    cors.decorate(other, request.origin)
    assert (not check_response(request, Answer(200, other))) is is_known
    assert not lacks_vary(Answer(200, other))
