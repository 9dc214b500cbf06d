"""Cookies: read from a request, set on a response."""

from datetime import UTC, datetime, timedelta, timezone
from http.cookies import SimpleCookie
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.server import Headers, Request, Response

READ: list[tuple[list[str], dict[str, str]]] = [
    ([], {}),
    (["a=1"], {"a": "1"}),
    (["a=1; b=2;c=3 ;  d = 4 "], {"a": "1", "b": "2", "c": "3", "d": "4"}),
    (["a=1", "b=2"], {"a": "1", "b": "2"}),
    (["a=first; a=second", "a=third"], {"a": "first"}),
    (['a="quoted"; b=""; c="; d="x'], {"a": "quoted", "b": "", "c": '"', "d": '"x'}),
    (["a=b=c&d=%20+"], {"a": "b=c&d=%20+"}),
    (["a=; nothing; =x; ;b=2"], {"a": "", "b": "2"}),
    (["a={1,2}"], {"a": "{1,2}"}),
    (["a=\xc3\xa9; b=\xe9"], {"a": "é", "b": "é"}),  # UTF-8 and Latin-1, both read as Latin-1
]


def request(headers: list[str]) -> Request:
    raw = [(b"cookie", header.encode("latin-1")) for header in headers]
    return Request.incoming("http://h/", "GET", Headers.incoming(raw), None, 0)


@pytest.mark.parametrize(("headers", "cookies"), READ)
def test_reading(headers: list[str], cookies: dict[str, str]) -> None:
    assert request(headers).cookies == cookies
    assert request(headers).clone().cookies == cookies


def test_what_was_read_cannot_be_changed() -> None:
    cookies: Any = request(["a=1"]).cookies
    with pytest.raises(TypeError):
        cookies["a"] = "2"


def written(*args: Any, **options: Any) -> str:
    response = Response()
    response.set_cookie(*args, **options)
    [header] = response.headers.get_set_cookie()
    return header


THEN = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
WRITTEN: list[tuple[dict[str, Any], str]] = [
    ({}, "n=v; Path=/; Secure; HttpOnly; SameSite=Lax"),
    ({"path": None, "secure": False, "http_only": False, "same_site": None}, "n=v"),
    ({"max_age": 60, "path": "/a b"}, "n=v; Max-Age=60; Path=/a b; Secure; HttpOnly; SameSite=Lax"),
    (
        {"max_age": timedelta(days=1), "same_site": "strict"},
        "n=v; Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=Strict",
    ),
    ({"expires": THEN}, "n=v; Expires=Sun, 22 Nov 2026 19:00:00 GMT; Path=/; Secure; HttpOnly; SameSite=Lax"),
    (
        {"expires": THEN.astimezone(timezone(timedelta(hours=5))), "http_only": False},
        "n=v; Expires=Sun, 22 Nov 2026 19:00:00 GMT; Path=/; Secure; SameSite=Lax",
    ),
    (
        {"domain": "example.com", "partitioned": True, "same_site": "none"},
        "n=v; Path=/; Domain=example.com; Secure; HttpOnly; Partitioned; SameSite=None",
    ),
]


@pytest.mark.parametrize(("options", "header"), WRITTEN)
def test_writing(options: dict[str, Any], header: str) -> None:
    assert written("n", "v", **options) == header


def test_each_cookie_is_a_header_of_its_own() -> None:
    response = Response.redirect("/home")
    response.set_cookie("a", "1")
    response.set_cookie("__Host-b", "2")
    response.delete_cookie("c", path="/x")
    assert [header.partition(";")[0] for header in response.headers.get_set_cookie()] == ["a=1", "__Host-b=2", "c="]
    assert response.headers.get_set_cookie()[2] == (
        "c=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/x; Secure; HttpOnly; SameSite=Lax"
    )


REFUSED: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (("a b", "v"), {}, ValueError, "'a b' is no name for a cookie"),
    (("", "v"), {}, ValueError, "'' is no name"),
    (("é", "v"), {}, ValueError, "'é' is no name"),
    (("a=b", "v"), {}, ValueError, "'a=b' is no name"),
    ((5, "v"), {}, TypeError, "name of a cookie is a str, not int"),
    (("n", 5), {}, TypeError, "value of the cookie 'n' is a str, not int"),
    (("n", "two words"), {}, ValueError, "holds ' ', which cookies cannot carry: encode it"),
    (("n", "a;b"), {}, ValueError, "holds ';'"),
    (("n", "a,b"), {}, ValueError, "holds ','"),
    (("n", '"v"'), {}, ValueError, "holds '\"'"),
    (("n", "a\r\nSet-Cookie: x=y"), {}, ValueError, "holds '\\r'"),
    (("n", "é"), {}, ValueError, "holds 'é'"),
    (("n", "v" * 4096), {}, ValueError, "larger than 4096 bytes"),
    (("n", "v"), {"same_site": "none", "secure": False}, ValueError, "same_site='none' must be secure"),
    (("n", "v"), {"same_site": "Lax"}, ValueError, "'lax', 'strict', 'none' or None, not 'Lax'"),
    (("n", "v"), {"partitioned": True, "secure": False}, ValueError, "must be secure"),
    (("__Secure-n", "v"), {"secure": False}, ValueError, "must be secure, as its name says"),
    (("__Host-n", "v"), {"domain": "h.com"}, ValueError, "the path '/' and no domain"),
    (("__host-n", "v"), {"path": "/x"}, ValueError, "the path '/' and no domain"),
    (("n", "v"), {"path": "x"}, ValueError, "path of the cookie 'n' starts with /"),
    (("n", "v"), {"path": "/;domain=x"}, ValueError, "path of the cookie 'n' starts with /"),
    (("n", "v"), {"domain": "a b"}, ValueError, "domain of the cookie 'n' is a host name"),
    (("n", "v"), {"domain": "a;secure"}, ValueError, "domain of the cookie 'n' is a host name"),
    (("n", "v"), {"path": 5}, TypeError, "path of the cookie 'n' is a str, not int"),
    (("n", "v"), {"domain": 5}, TypeError, "domain of the cookie 'n' is a str, not int"),
    (("n", "v"), {"max_age": 1.5}, TypeError, "whole seconds or a timedelta, not float"),
    (("n", "v"), {"max_age": True}, TypeError, "whole seconds or a timedelta, not bool"),
    (("n", "v"), {"expires": datetime(2026, 1, 1)}, ValueError, "no time zone"),
    (("n", "v"), {"expires": 5}, TypeError, "is a datetime, not int"),
]


@pytest.mark.parametrize(("args", "options", "error", "message"), REFUSED, ids=lambda part: ascii(part)[:40])
def test_what_browsers_would_refuse(
    args: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    response = Response()
    with pytest.raises(error) as caught:
        response.set_cookie(*args, **options)
    assert message in str(caught.value)
    assert response.headers.get_set_cookie() == []


NAMES = st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}", fullmatch=True).filter(
    lambda name: not name.startswith("__")
)
VALUES = st.from_regex(r"[!#-+\--:<-\[\]-~]{0,20}", fullmatch=True)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_set_comes_back(cookies: dict[str, str]) -> None:
    response = Response()
    for name, value in cookies.items():
        response.set_cookie(name, value)
    sent = [header.partition(";")[0] for header in response.headers.get_set_cookie()]
    assert request(["; ".join(sent)]).cookies == cookies


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, min_size=1, max_size=3))
def test_the_standard_library_reads_it_too(cookies: dict[str, str]) -> None:
    response = Response()
    for name, value in cookies.items():
        response.set_cookie(name, value, max_age=5)
    read = SimpleCookie()
    for header in response.headers.get_set_cookie():
        read.load(header)
    assert {name: morsel.value for name, morsel in read.items()} == cookies
    assert {morsel["max-age"] for morsel in read.values()} == {"5"}


@given(st.text(st.characters(max_codepoint=0xFF), max_size=60))
def test_any_header_can_be_read(header: str) -> None:
    cookies = request([header]).cookies
    assert all(name and name == name.strip(" \t") for name in cookies)
