"""`http/request_url.py`: what `request.url` and routing make of a request's target and headers."""

import pytest

from pyconvex.errors import RequestRefused
from pyconvex.http.asgi import Exchange, Message
from pyconvex.http.request_url import origin_of, pathname


def exchange(*headers: tuple[bytes, bytes]) -> Exchange:
    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent")

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": list(headers)}
    return Exchange(scope, receive, send)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a//b/", "/a//b/"),
        ("//a", "//a"),
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/..", "/"),
        ("/file.txt", "/file.txt"),
        ("/a..b", "/a..b"),
        ("/.hidden", "/.hidden"),
        ("/User%20123", "/User%20123"),
        ("/User+123", "/User+123"),
        ("/%e4%zz", "/%e4%zz"),
        ("/a\\b", "/a/b"),
        ("/{id}", "/%7Bid%7D"),
        ("*", "*"),
    ],
)
def test_pathname(sent: str, expected: str) -> None:
    assert pathname(sent) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "http://otherwise"),
        ({b"host": b"127.0.0.1:3211"}, "http://127.0.0.1:3211"),
        ({b"host": b"localhost"}, "http://localhost"),
        ({b"host": b"[::1]:3211"}, "http://[::1]:3211"),
        ({b"host": b"my.site", b"x-forwarded-proto": b"https"}, "https://my.site"),
        ({b"host": b"my.site", b"x-forwarded-proto": b"HTTPS, http"}, "https://my.site"),
        ({b"host": b"my.site", b"x-forwarded-proto": b"javascript"}, "http://my.site"),
        ({b"host": b"my.site", b"forwarded": b'for=1.2.3.4;proto="https";by=x'}, "https://my.site"),
        ({b"host": b"my.site", b"forwarded": b"notproto=https"}, "http://my.site"),
        ({b"host": b"my.site", b"x-forwarded-proto": b"http", b"forwarded": b"proto=https"}, "http://my.site"),
    ],
)
def test_origin(headers: dict[bytes, bytes], expected: str) -> None:
    assert origin_of(exchange(*headers.items()), "http://otherwise") == expected


@pytest.mark.parametrize(
    "host", [b"a b", b"a/b", b"a@b", b"a?b", b"a#b", b"[", b"\xff", b"a:99999", b"a:b", b"<script>"]
)
def test_bad_hosts(host: bytes) -> None:
    with pytest.raises(RequestRefused) as caught:
        origin_of(exchange((b"host", host)), "http://otherwise")
    assert (caught.value.status, caught.value.code) == (400, "BadHost")
