"""`http/request_url.py`: what `request.url` and routing make of a request's target and headers."""

import pytest

from pyconvex.errors import RequestRefused
from pyconvex.functions.fetch.url import pathname
from pyconvex.http.asgi import Exchange, Message
from pyconvex.http.request_url import check_target, origin_of


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
        ({b"host": b"my.site", b"x-forwarded-proto": b"https"}, "http://my.site"),
        ({b"host": b"my.site", b"forwarded": b"proto=https;host=evil"}, "http://my.site"),
        ({b"host": b"my.site", b"x-forwarded-host": b"evil"}, "http://my.site"),
        ({b"host": b"under_score.Example~x"}, "http://under_score.Example~x"),
    ],
)
def test_origin(headers: dict[bytes, bytes], expected: str) -> None:
    assert origin_of(exchange(*headers.items()), "http://otherwise") == expected


@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b"a/b",
        b"a@b",
        b"a?b",
        b"a#b",
        b"[",
        b"\xff",
        b"a:99999",
        b"a:b",
        b"<script>",
        b"a%2eb",
        b"a" * 300,
        b"1.2.3.999",
    ],
)
def test_bad_hosts(host: bytes) -> None:
    with pytest.raises(RequestRefused) as caught:
        origin_of(exchange((b"host", host)), "http://otherwise")
    assert (caught.value.status, caught.value.code) == (400, "BadHost")


@pytest.mark.parametrize(
    ("method", "target", "host", "code"),
    [
        ("GET", b"/a/b", b"my.site", None),
        ("GET", b"//a", b"my.site", None),
        ("GET", b"/a%2Fb/../c", b"my.site", None),
        ("GET", b"http://my.site/a", b"my.site", None),
        ("GET", b"HTTP://MY.site?q", b"my.site", None),
        ("GET", b"http://my.site/a", None, None),
        ("OPTIONS", b"*", b"my.site", None),
        ("CONNECT", b"other:443", b"other:443", None),
        ("GET", b"http://other/a", b"my.site", "BadTarget"),
        ("GET", b"http://my.site@other/a", b"my.site", "BadTarget"),
        ("GET", b"http://my.site:80/a", b"my.site", "BadTarget"),
        ("GET", b"ftp://my.site/a", b"my.site", "BadTarget"),
        ("GET", b"a", b"my.site", "BadTarget"),
        ("GET", b"*", b"my.site", "BadTarget"),
        ("GET", b"?q", b"my.site", "BadTarget"),
        ("GET", b"\\a", b"my.site", "BadTarget"),
        ("GET", b"/a%00b", b"my.site", "BadPath"),
        ("GET", b"/a\\..\\b", b"my.site", "BadPath"),
        ("GET", b"/a#b", b"my.site", "BadPath"),
        ("GET", b"http://my.site/a\\b", b"my.site", "BadPath"),
        ("GET", b"http://my.site/a%00", b"my.site", "BadPath"),
    ],
)
def test_targets(method: str, target: bytes, host: bytes | None, code: str | None) -> None:
    asked = exchange(*([] if host is None else [(b"host", host)]))
    asked.method = method
    asked.scope["raw_path"] = target
    try:
        check_target(asked)
    except RequestRefused as error:
        assert (error.status, error.code) == (400, code)
    else:
        assert code is None
