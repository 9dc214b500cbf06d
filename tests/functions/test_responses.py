"""`Response`: what it may be made of, what it says about its content, and reading it."""

import asyncio
import datetime
import json
from array import array
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.server import URL, Blob, FormData, Response, URLSearchParams
from pyconvex.values import Int64, undefined


async def collected(response: Response) -> bytes | None:
    payload = response.payload()
    return payload if payload is None or isinstance(payload, bytes) else b"".join([chunk async for chunk in payload])


async def asynchronous(*parts: Any) -> AsyncIterator[Any]:
    for part in parts:
        yield part


def plain(*parts: Any) -> Iterator[Any]:
    yield from parts


BODIES: list[tuple[Any, bytes | None, str | None]] = [
    (None, None, None),
    ("é", "é".encode(), "text/plain;charset=UTF-8"),
    ("", b"", "text/plain;charset=UTF-8"),
    (b"x", b"x", None),
    (bytearray(b"x"), b"x", None),
    (memoryview(b"xyz")[1:], b"yz", None),
    (array("B", [1, 2]), b"\x01\x02", None),
    (Blob(["x"]), b"x", None),
    (Blob(["x"], type="image/png"), b"x", "image/png"),
    (URLSearchParams("a=1 2"), b"a=1+2", None),
    (asynchronous("a", b"b", bytearray(b"c")), b"abc", None),
    (plain("a", b"b", memoryview(b"c")), b"abc", None),
    (iter(["a", "b"]), b"ab", None),
    ("\ud800", b"\xef\xbf\xbd", "text/plain;charset=UTF-8"),
]


@pytest.mark.parametrize(("body", "sent", "content_type"), BODIES)
def test_bodies(body: Any, sent: bytes | None, content_type: str | None) -> None:
    response = Response(body)
    assert response.headers.get("content-type") == content_type
    assert asyncio.run(collected(response)) == sent
    assert response.body_used is (sent is not None)


def test_the_authors_content_type_stays_except_for_forms() -> None:
    assert Response("x", headers={"Content-Type": "text/html"}).headers["content-type"] == "text/html"
    assert Response(Blob(["x"], type="a/b"), headers={"content-type": "c/d"}).headers["content-type"] == "c/d"
    form = Response(FormData(), headers={"content-type": "text/html"})
    assert form.headers["content-type"].startswith("multipart/form-data; boundary=")


def test_streams_are_pulled_as_they_are_sent() -> None:
    pulled: list[int] = []

    def numbers() -> Iterator[str]:
        for number in range(3):
            pulled.append(number)
            yield str(number)

    async def scenario() -> None:
        payload = Response(numbers()).payload()
        assert payload is not None
        assert not isinstance(payload, bytes)
        assert pulled == []
        assert await anext(payload) == b"0"
        assert pulled == [0]

    asyncio.run(scenario())


@pytest.mark.parametrize("stream", [plain("a", 5), asynchronous("a", None)], ids=["plain", "asynchronous"])
def test_streams_consist_of_text_and_bytes(stream: Any) -> None:
    with pytest.raises(TypeError, match="its iterator gave a"):
        asyncio.run(Response(stream).bytes())


NO_BODIES: list[tuple[Any, str]] = [
    ({"a": 1}, "cannot be a dict: send JSON with `Response.json(...)`"),
    ([1], "cannot be a list"),
    (5, "cannot be a int"),
    ({"a"}, "cannot be a set: give an iterator"),
    (object(), "cannot be a object: use str, bytes, Blob"),
]


@pytest.mark.parametrize(("body", "message"), NO_BODIES)
def test_what_is_no_body(body: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        Response(body)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("status", "ok"), [(200, True), (299, True), (300, False), (404, False), (599, False), ("201", True)]
)
def test_statuses(status: Any, ok: bool) -> None:
    response = Response(None, status=status, status_text="Fine")
    assert (response.status, response.ok, response.status_text) == (int(status), ok, "Fine")


def test_a_named_status() -> None:
    assert Response(None, status=HTTPStatus.NOT_FOUND).status == 404
    assert type(Response(None, status=HTTPStatus.NOT_FOUND).status) is int


@pytest.mark.parametrize("status", [0, 100, 199, 600, -1, 200.5, True, None, "x", "99"])
def test_statuses_out_of_range(status: Any) -> None:
    with pytest.raises(ValueError, match=r"outside the range \[200, 599\]"):
        Response(None, status=status)
    with pytest.raises(ValueError, match=r"outside the range \[200, 599\]"):
        Response.json({}, status=status)


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_a_body(status: int) -> None:
    assert Response(None, status=status).body is None
    for make in (lambda: Response("", status=status), lambda: Response.json({}, status=status)):
        with pytest.raises(TypeError, match=f"status {status} cannot have a body"):
            make()


@dataclass
class Point:
    x: int


JSON: list[tuple[Any, str]] = [
    (None, "null"),
    ({"a": [1, 1.0, True, "é", None]}, '{"a":[1,1.0,true,"é",null]}'),
    (2**70, "1180591620717411303424"),
    ((1, 2), "[1,2]"),
    ({1: "a"}, '{"1":"a"}'),
    (Point(1), '{"x":1}'),
    (datetime.date(2026, 11, 22), '"2026-11-22"'),
]


@pytest.mark.parametrize(("data", "text"), JSON)
def test_json_is_plain(data: Any, text: str) -> None:
    response = Response.json(data, status=201, headers={"Content-Type": "text/html", "X-Y": "z"})
    assert dict(response.headers.items()) == {"content-type": "application/json", "x-y": "z"}
    assert response.status == 201
    assert asyncio.run(response.text()) == text


def cycle() -> list[Any]:
    loop: list[Any] = []
    loop.append({"again": loop})
    return loop


NO_JSON: list[tuple[Any, str]] = [
    (b"x", "JSON has no bytes"),
    ({"a": [bytearray(b"x")]}, "(at .a[0])"),
    ({"n": Int64(5)}, "JSON has no Int64(5), write `int(...)` or `str(...)` of it (at .n)"),
    ([1, float("nan")], "JSON has no nan (at [1])"),
    ({"a": {"b": float("-inf")}}, "JSON has no -inf (at .a.b)"),
    ({"a": undefined}, "undefined is no value, leave the field out (at .a)"),
    ({"a": "x\ud800"}, "half a surrogate pair (at .a)"),
    ({(1, 2): 3}, "the key (1, 2) is no text"),
    ({b"k": 3}, "the key b'k' is no text"),
    (object(), "not JSON serializable"),
    (Point(float("nan")), "JSON has no nan (at .x)"),  # pyright: ignore[reportArgumentType] - a float in it
    (cycle(), "refers to itself or is nested too deeply"),
]


@pytest.mark.parametrize(("data", "message"), NO_JSON)
def test_what_json_has_not(data: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        Response.json(data)
    assert str(caught.value).startswith("The data is not JSON serializable: ")
    assert message in str(caught.value)


PLAIN_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN_JSON)
def test_json_comes_back(data: Any) -> None:
    async def there_and_back() -> tuple[Any, str]:
        response = Response.json(data)
        copy = response.clone()
        return await response.json(), await copy.text()

    value, text = asyncio.run(there_and_back())
    assert value == data == json.loads(text)


def test_reading_once() -> None:
    async def scenario() -> None:
        for response in (Response("text"), Response(asynchronous("te", "xt"))):
            copy = response.clone()
            assert await response.text() == "text"
            with pytest.raises(TypeError, match="body stream already read"):
                await response.bytes()
            with pytest.raises(TypeError, match="body stream already read"):
                response.payload()
            assert await (await copy.blob()).text() == "text"
        nothing = Response(None)
        assert (await nothing.text(), nothing.body, nothing.body_used) == ("", None, False)
        with pytest.raises(json.JSONDecodeError):
            await Response("{").json()

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\0", "☃"])
def test_status_texts_of_one_line(text: str) -> None:
    with pytest.raises(TypeError, match="no status text"):
        Response(None, status_text=text)


def test_a_clone_keeps_status_and_headers() -> None:
    copy = Response("x", status=404, status_text="Gone", headers={"a": "b"}).clone()
    assert (copy.status, copy.status_text, copy.headers["a"]) == (404, "Gone", "b")
    assert copy.headers["content-type"] == "text/plain;charset=UTF-8"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(status: int) -> None:
    response = Response.redirect("/elsewhere?a=b", status)
    assert (response.status, response.headers.items(), response.body) == (
        status,
        [("location", "/elsewhere?a=b")],
        None,
    )
    assert Response.redirect(URL("http://h")).headers["location"] == "http://h/"
    assert Response.redirect("/x").status == 302
    assert Response.redirect("/é?a=b c%20☃#f").headers["location"] == "/%C3%A9?a=b c%20%E2%98%83#f"
    with pytest.raises(TypeError, match="line breaks"):
        Response.redirect("/x\r\nset-cookie: a=b")


@pytest.mark.parametrize("status", [200, 300, 304, 404, "302", None])
def test_no_redirects(status: Any) -> None:
    with pytest.raises(ValueError, match="not a redirect status"):
        Response.redirect("/x", status)


def test_error() -> None:
    assert (Response.error().status, Response.error().body) == (500, None)
