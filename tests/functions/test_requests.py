"""`Request`: made by hand and as it arrives, its body read once."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pyconvex.errors import RequestRefused
from pyconvex.server import Blob, Client, FormData, Headers, Request, URLSearchParams

ADDRESS = "http://127.0.0.1:3211/messages?author=Ada+L"


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def incoming(*parts: bytes, method: str = "POST", limit: int = 100, content_type: str = "") -> Request:
    headers = Headers.incoming([(b"content-type", content_type.encode())] if content_type else [])
    return Request.incoming(ADDRESS, method, headers, chunks(*parts), limit, {"id": 7})


def test_what_arrives() -> None:
    request = incoming(b"x")
    assert (request.method, request.path_params) == ("POST", {"id": 7})
    assert str(request.url) == ADDRESS
    assert request.url is request.url
    assert request.url.search_params.get("author") == "Ada L"
    assert not request.signal.aborted
    request.signal.abort()
    assert request.signal.aborted
    assert repr(request) == f"<Request POST {ADDRESS}>"


READERS: list[tuple[str, Callable[[Request], Any], object]] = [
    ("text", lambda request: request.text(), '{"a": 1}'),
    ("bytes", lambda request: request.bytes(), b'{"a": 1}'),
    ("array_buffer", lambda request: request.array_buffer(), b'{"a": 1}'),
    ("json", lambda request: request.json(), {"a": 1}),
]


@pytest.mark.parametrize(("name", "read", "expected"), READERS, ids=lambda part: str(part)[:10])
def test_a_body_is_read_once(name: str, read: Callable[[Request], Any], expected: object) -> None:
    async def scenario() -> None:
        whole = Request.incoming(ADDRESS, "POST", Headers(), b'{"a": 1}', 100)
        for request in (incoming(b'{"a"', b": 1}"), Request(ADDRESS, method="POST", body='{"a": 1}'), whole):
            assert not request.body_used
            assert await read(request) == expected
            assert request.body_used
            with pytest.raises(TypeError, match="body stream already read"):
                await read(request)
            with pytest.raises(TypeError, match="body stream already read"):
                request.clone()
            assert request.body is not None
            with pytest.raises(TypeError, match="body stream already read"):
                await anext(request.body)

    asyncio.run(scenario())


def test_a_blob_has_the_content_type() -> None:
    async def scenario() -> None:
        blob = await incoming(b"x", content_type="image/png").blob()
        assert (blob.type, await blob.bytes()) == ("image/png", b"x")
        assert (await incoming(b"x").blob()).type == ""

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_methods_without_a_body(method: str) -> None:
    async def scenario() -> None:
        for request in (incoming(b"ignored", method=method), Request(ADDRESS, method=method)):
            assert request.body is None
            for _ in range(2):
                assert await request.text() == ""
                assert await request.bytes() == b""
                with pytest.raises(json.JSONDecodeError, match="empty"):
                    await request.json()
            assert not request.body_used
            assert request.clone().body is None

    asyncio.run(scenario())


def test_the_body_in_chunks() -> None:
    async def scenario() -> None:
        request = incoming(b"a", b"b", b"c")
        body = request.body
        assert body is not None
        assert body is request.body
        async for chunk in body:
            assert chunk == b"a"
            break
        assert request.body_used
        assert [chunk async for chunk in body] == [b"b", b"c"]
        with pytest.raises(TypeError, match="already read"):
            await request.text()

    asyncio.run(scenario())


def test_an_empty_body_is_a_body() -> None:
    async def scenario() -> None:
        request = incoming()
        assert request.body is not None
        assert await request.text() == ""
        assert request.body_used

    asyncio.run(scenario())


LIMITS: list[tuple[list[bytes], bool]] = [
    ([b"x" * 100], True),
    ([b"x" * 101], False),
    ([b"x" * 60, b"x" * 40], True),
    ([b"x" * 60, b"x" * 41, b"x"], False),
]


@pytest.mark.parametrize(("parts", "fits"), LIMITS, ids=["fits", "over", "fits in parts", "over in parts"])
def test_a_body_over_the_limit_is_refused(parts: list[bytes], fits: bool) -> None:
    async def scenario() -> None:
        reads: list[Callable[[Request], Awaitable[object]]] = [
            lambda request: request.bytes(),
            lambda request: request.clone().text(),
            all_chunks,
        ]
        for read in reads:
            reading = read(incoming(*parts, limit=100))
            if fits:
                await reading
                continue
            with pytest.raises(RequestRefused, match="larger than 100 bytes") as caught:
                await reading
            assert (caught.value.status, caught.value.code) == (413, "RequestTooLarge")

    async def all_chunks(request: Request) -> list[bytes]:
        assert request.body is not None
        return [chunk async for chunk in request.body]

    asyncio.run(scenario())


def test_clones_are_read_apart() -> None:
    async def scenario() -> None:
        first = incoming(b"a", b"b", content_type="text/plain")
        second = first.clone()
        third = second.clone()
        assert second.body is not None
        assert await anext(second.body) == b"a"
        assert await first.text() == "ab"
        assert [chunk async for chunk in second.body] == [b"b"]
        assert await third.text() == "ab"
        assert (third.method, third.path_params, str(third.url)) == ("POST", {"id": 7}, ADDRESS)
        third.headers.set("content-type", "changed")
        assert first.headers["content-type"] == "text/plain"

    asyncio.run(scenario())


TEXTS = [(b"\xef\xbb\xbfhi", "hi"), (b"a\xffb", "a\ufffdb"), ("é漢😀".encode(), "é漢😀"), (b"\0", "\0")]


@pytest.mark.parametrize(("body", "text"), TEXTS)
def test_text_is_utf_8(body: bytes, text: str) -> None:
    assert asyncio.run(incoming(body).text()) == text


JSON: list[tuple[bytes, object]] = [
    (b"1", 1),
    (b"1.0", 1.0),
    (b"1e2", 100.0),
    (b"123456789012345678901234567890", 123456789012345678901234567890),
    (b"-0.0", -0.0),
    (b"1e400", float("inf")),
    (b' {"a": [null, true, "\\u00e9"]} ', {"a": [None, True, "é"]}),
    (b'"\\ud800"', "\ud800"),
    (b"\xef\xbb\xbf[]", []),
    (b'"\xff"', "\ufffd"),
]


@pytest.mark.parametrize(("body", "value"), JSON)
def test_json_keeps_numbers_as_written(body: bytes, value: object) -> None:
    parsed = asyncio.run(incoming(body).json())
    assert parsed == value
    assert type(parsed) is type(value)


BAD_JSON = [
    b"",
    b" ",
    b"{",
    b"{'a': 1}",
    b"[1,]",
    b"NaN",
    b"-Infinity",
    b"01",
    b"1 2",
    b'"a',
    b"\xff\xfe",
    b"[" * 200_000,
    b"1" * 5000,
]


@pytest.mark.parametrize("body", BAD_JSON, ids=lambda body: repr(body)[:20])
def test_bad_json(body: bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        asyncio.run(incoming(body, limit=1_000_000).json())


MADE: list[tuple[dict[str, Any], str, str | None]] = [
    ({}, "GET", None),
    ({"method": "pOsT", "body": "x"}, "POST", "text/plain;charset=UTF-8"),
    ({"method": "POST", "body": b"x"}, "POST", None),
    ({"method": "PUT", "body": URLSearchParams("a=1")}, "PUT", "application/x-www-form-urlencoded;charset=UTF-8"),
    ({"method": "PUT", "body": Blob(["x"], type="image/png")}, "PUT", "image/png"),
    ({"method": "PUT", "body": "x", "headers": {"Content-Type": "text/csv"}}, "PUT", "text/csv"),
    ({"method": "foo"}, "foo", None),
]


@pytest.mark.parametrize(("options", "method", "content_type"), MADE)
def test_made_by_hand(options: dict[str, Any], method: str, content_type: str | None) -> None:
    request = Request("HTTP://h/x", **options)
    assert (request.method, request.headers.get("content-type"), str(request.url)) == (
        method,
        content_type,
        "http://h/x",
    )
    assert request.path_params == {}


def test_made_of_another() -> None:
    async def scenario() -> None:
        first = Request.incoming(ADDRESS, "POST", Headers({"a": "1"}), b"x", 9, {"id": 7}, client=Client("::1", 5))
        second = Request(first)
        assert (second.method, str(second.url), second.headers["a"]) == ("POST", ADDRESS, "1")
        assert (second.path_params, second.client) == ({"id": 7}, ("::1", 5))
        second.headers.set("a", "2")
        assert first.headers["a"] == "1"
        assert (first.body_used, second.body_used) == (True, False)
        third = Request(second, method="put", headers={"b": "3"}, body="y")
        assert (third.method, third.headers.get("a"), third.headers["b"], await third.text()) == ("PUT", None, "3", "y")
        assert await second.text() == "x"
        wrong: list[dict[str, Any]] = [{}, {"method": "GET"}, {"method": "GET", "body": "z"}]
        for options in wrong:
            with pytest.raises(TypeError, match=r"already read|cannot have body"):
                Request(second, **options)
        assert await Request(Request(ADDRESS), method="DELETE").text() == ""

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("query_params", "A Request has no `query_params`; it is called `.url.search_params`"),
        ("formData", "A Request has no `formData`; it is called `.form_data()`"),
        ("mode", "A Request has no `mode`"),
    ],
)
def test_names_from_elsewhere(name: str, message: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(Request(ADDRESS), name)
    assert str(caught.value) == message
    assert not hasattr(Request(ADDRESS), name)


def test_a_form_has_its_boundary() -> None:
    request = Request(ADDRESS, method="POST", body=FormData(), headers={"content-type": "multipart/form-data"})
    assert "boundary=" in request.headers["content-type"]


REFUSED: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("/relative", {}, ValueError, "Failed to parse URL from '/relative'"),
    (ADDRESS, {"body": "x"}, TypeError, "GET/HEAD method cannot have body"),
    (ADDRESS, {"method": "head", "body": ""}, TypeError, "GET/HEAD method cannot have body"),
    (ADDRESS, {"method": "TRACE"}, TypeError, "'TRACE' is not an HTTP method"),
    (ADDRESS, {"method": "A B"}, TypeError, "'A B' is not an HTTP method"),
    (ADDRESS, {"method": "POST", "body": {"a": 1}}, TypeError, "cannot be a dict"),
    (ADDRESS, {"headers": {"a b": "x"}}, TypeError, "not a valid header name"),
    ("http://ada:pw@h/", {}, TypeError, "no user name and password"),
    ("http://ada@h/", {}, TypeError, "no user name and password"),
]


@pytest.mark.parametrize(("url", "options", "error", "message"), REFUSED)
def test_what_is_no_request(url: str, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        Request(url, **options)
    assert message in str(caught.value)
