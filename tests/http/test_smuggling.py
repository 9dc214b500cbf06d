"""Requests that two servers could understand differently (RFC 9112, section 11.2): refused, and nothing after them is
believed; and those that look odd but have one meaning: answered, in order."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from support.raw_http import HTTP, Said, say
from support.served import Served, run, served

POST = b"POST /outer HTTP/1.1\r\nhost: x\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
INNER = b"GET /inner HTTP/1.1\r\nhost: x\r\n\r\n"
END = b"0\r\n\r\n"

REFUSED: dict[str, tuple[int, bytes]] = {
    "both lengths": (400, POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" + END),
    "both lengths, the other way round": (
        400,
        POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n" + END,
    ),
    "two lengths": (400, POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\na"),
    "the same length twice": (400, POST + b"content-length: 1\r\nContent-Length: 1\r\n\r\na"),
    "a list of one length": (400, POST + b"content-length: 1, 1\r\n\r\na"),
    "a length with a sign": (400, POST + b"content-length: +1\r\n\r\na"),
    "a negative length": (400, POST + b"content-length: -1\r\n\r\na"),
    "a length in hexadecimal": (400, POST + b"content-length: 0x1\r\n\r\na"),
    "a length with an underscore": (400, POST + b"content-length: 1_0\r\n\r\naaaaaaaaaa"),
    "a length in other digits": (400, POST + "content-length: ١\r\n\r\na".encode()),
    "a length that is empty": (400, POST + b"content-length:\r\n\r\n"),
    "a length with a space before its colon": (400, POST + b"content-length : 1\r\n\r\na"),
    "a length folded": (400, POST + b"content-length:\r\n 1\r\n\r\na"),
    "a header folded": (400, b"GET /outer HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n"),
    "a header folded with a tab": (400, b"GET /outer HTTP/1.1\r\nhost: x\r\nx: a\r\n\tb\r\n\r\n"),
    "a folded first header": (400, b"GET /outer HTTP/1.1\r\n host: x\r\n\r\n"),
    "bare line feeds": (400, b"GET /outer HTTP/1.1\nhost: x\n\n"),
    "one bare line feed": (400, b"GET /outer HTTP/1.1\r\nhost: x\nx: y\r\n\r\n"),
    "a bare line feed before the empty line": (400, b"GET /outer HTTP/1.1\r\nhost: x\n\r\n\r\n"),
    "a bare carriage return": (400, b"GET /outer HTTP/1.1\r\nhost: x\rx: y\r\n\r\n"),
    "a NUL in a header": (400, b"GET /outer HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n"),
    "a control character in a header": (400, b"GET /outer HTTP/1.1\r\nhost: x\r\norigin: a\x0fb\r\n\r\n"),
    "an empty header name": (400, b"GET /outer HTTP/1.1\r\nhost: x\r\n: y\r\n\r\n"),
    "a header without a colon": (400, b"GET /outer HTTP/1.1\r\nhost: x\r\ny\r\n\r\n"),
    "an unknown transfer coding": (501, POST + b"transfer-encoding: xchunked\r\n\r\n" + END),
    "chunked after another": (501, POST + b"transfer-encoding: gzip, chunked\r\n\r\n" + END),
    "chunked before another": (501, POST + b"transfer-encoding: chunked, identity\r\n\r\n" + END),
    "chunked twice": (501, POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n" + END),
    "chunked with a parameter": (501, POST + b"transfer-encoding: chunked;q=1\r\n\r\n" + END),
    "chunked in quotes": (501, POST + b'transfer-encoding: "chunked"\r\n\r\n' + END),
    "chunked before a colon with a space": (400, POST + b"transfer-encoding : chunked\r\n\r\n" + END),
    "chunked after a vertical tab": (400, POST + b"transfer-encoding: \x0bchunked\r\n\r\n" + END),
    "chunked after a bare line feed": (400, POST + b"x: y\ntransfer-encoding: chunked\r\n\r\n" + END),
    "chunked in HTTP/1.0": (
        400,
        b"POST /outer HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n" + END,
    ),
    "a chunk size with a prefix": (400, CHUNKED + b"0x1\r\na\r\n" + END),
    "a chunk size with a sign": (400, CHUNKED + b"+1\r\na\r\n" + END),
    "a negative chunk size": (400, CHUNKED + b"-1\r\na\r\n" + END),
    "a chunk size before a space": (400, CHUNKED + b"1 \r\na\r\n" + END),
    "a chunk size after a space": (400, CHUNKED + b" 1\r\na\r\n" + END),
    "a chunk size that is empty": (400, CHUNKED + b"\r\na\r\n" + END),
    "a chunk size that is none": (400, CHUNKED + b"g\r\na\r\n" + END),
    "a chunk size beyond 64 bits": (400, CHUNKED + b"1" + b"0" * 16 + b"\r\na\r\n" + END),
    "chunks after bare line feeds": (400, CHUNKED + b"1\na\n0\n\n"),
    "a chunk longer than its size": (400, CHUNKED + b"1\r\nabc\r\n" + END),
    "a chunk shorter than its size": (400, CHUNKED + b"5\r\nab\r\n" + END + b"\r\n"),
    "an extension with a line feed": (400, CHUNKED + b"1;a\nb\r\na\r\n" + END),
    "an extension with a carriage return": (400, CHUNKED + b"1;a\rb\r\na\r\n" + END),
    "a long extension": (400, CHUNKED + b"1;" + b"a" * 2000 + b"\r\na\r\n" + END),
    "many extensions": (400, CHUNKED + (b"1;" + b"a" * 500 + b"\r\na\r\n") * 40 + END),
    "a folded trailer": (400, CHUNKED + b"0\r\nx: a\r\n b\r\n\r\n"),
    "a trailer after a bare line feed": (400, CHUNKED + b"0\r\nx: a\ny: b\r\n\r\n"),
    "no host": (400, b"GET /outer HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET /outer HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n"),
    "HTTP/2 from the first byte": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/0.9": (400, b"GET /outer\r\n\r\n"),
    "HTTP/3.0": (505, b"GET /outer HTTP/3.0\r\nhost: x\r\n\r\n"),
    "http in small letters": (400, b"GET /outer http/1.1\r\nhost: x\r\n\r\n"),
    "two spaces in the request line": (400, b"GET  /outer HTTP/1.1\r\nhost: x\r\n\r\n"),
    "a tab in the request line": (400, b"GET\t/outer HTTP/1.1\r\nhost: x\r\n\r\n"),
    "an empty line first": (400, b"\r\n" + INNER),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
}
"""Everything but "an empty line first" reaches a proxy's idea of a body with `INNER` behind it."""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": HTTP}) as server:
            await story(server)

    run(whole)


def seen(server: Served) -> list[tuple[str, str, str]]:
    """What reached a handler since the last time."""
    found: list[tuple[str, str, str]] = server.host.registry.modules["http"].seen
    taken, found[:] = list(found), []
    return taken


@pytest.mark.parametrize("api", [False, True], ids=["site", "api"])
def test_what_is_ambiguous_is_refused_and_ends_the_connection(tmp_path: Path, api: bool) -> None:
    async def story(server: Served) -> None:
        for name, (status, text) in REFUSED.items():
            said = await say(server, text + INNER, api=api)
            assert (said.statuses, said.closed) == ([status], True), name
            assert b"\r\nconnection: close\r\n" in said.text.lower(), name
            assert said.last_body.endswith("\n"), f"{name}: it says why"
            assert not [each for each in seen(server) if each[0] == "GET"], name

    serving(tmp_path, story)


def test_it_does_not_matter_how_the_bytes_are_cut(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for name, (status, text) in REFUSED.items():
            if len(text) < 300:
                said = await say(server, *(bytes([byte]) for byte in text), INNER)
                assert (said.statuses, said.closed) == ([status], True), name
                assert not [each for each in seen(server) if each[0] == "GET"], name

    serving(tmp_path, story)


ANSWERED: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "pipelined": (INNER + POST + b"content-length: 3\r\n\r\nabc" + INNER, [("GET", ""), ("POST", "abc"), ("GET", "")]),
    "chunks": (CHUNKED + b"3\r\nabc\r\n" + END + INNER, [("POST", "abc"), ("GET", "")]),
    "a chunk that looks like a request": (
        CHUNKED + b"%x\r\n%s\r\n" % (len(INNER), INNER) + END + INNER,
        [("POST", INNER.decode()), ("GET", "")],
    ),
    "a chunk that looks like an end": (CHUNKED + b"5\r\n0\r\n\r\n\r\n" + END, [("POST", "0\r\n\r\n")]),
    "chunk extensions": (CHUNKED + b'3;a=b;c="d e"\r\nabc\r\n' + END + INNER, [("POST", "abc"), ("GET", "")]),
    "a chunk size with zeros": (CHUNKED + b"0003\r\nabc\r\n0000\r\n\r\n" + INNER, [("POST", "abc"), ("GET", "")]),
    "trailers": (
        CHUNKED + b"3\r\nabc\r\n0\r\ncontent-length: 9\r\nhost: evil\r\n\r\n" + INNER,
        [("POST", "abc"), ("GET", "")],
    ),
    "chunked in capitals": (POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + END + INNER, [("POST", ""), ("GET", "")]),
    "a length with zeros": (POST + b"content-length: 003\r\n\r\nabc" + INNER, [("POST", "abc"), ("GET", "")]),
    "a body of a GET": (
        b"GET /outer HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(INNER) + INNER + INNER,
        [("GET", ""), ("GET", "")],
    ),
    "a header that only looks like a length": (
        POST + b"content_length: 30\r\nx-content-length: 30\r\ncontent-length: 1\r\n\r\na" + INNER,
        [("POST", "a"), ("GET", "")],
    ),
    "an offer of h2c": (
        b"GET /outer HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
        b"http2-settings: AAMAAABkAAQAAP__\r\n\r\n" + INNER,
        [("GET", ""), ("GET", "")],
    ),
    "an offer of something else": (
        b"GET /outer HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: foo/2\r\n\r\n" + INNER,
        [("GET", ""), ("GET", "")],
    ),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_what_has_one_meaning_is_answered_in_order(tmp_path: Path, name: str) -> None:
    text, expected = ANSWERED[name]

    async def story(server: Served) -> None:
        for parts in ([text], [text[at : at + 7] for at in range(0, len(text), 7)]):
            said = await say(server, *parts, answers=len(expected))
            assert (said.statuses, said.closed) == ([200] * len(expected), False)
            assert [(method, body) for method, _, body in seen(server)][: len(expected)] == expected

    serving(tmp_path, story)


@pytest.mark.parametrize(
    "first",
    [
        b"GET /outer HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n",
        b"GET /outer HTTP/1.0\r\n\r\n",
        b"GET /outer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ],
    ids=["HTTP/1.0 that would stay", "HTTP/1.0", "close"],
)
@pytest.mark.parametrize("rest", [INNER, b"\r\n\r\n", b"\x00garbage"], ids=["a request", "empty lines", "garbage"])
def test_what_follows_the_last_request_is_nobodys(tmp_path: Path, first: bytes, rest: bytes) -> None:
    async def story(server: Served) -> None:
        said = await say(server, first + rest, answers=2)
        assert (said.statuses, said.closed) == ([200], True)
        assert b"\r\nconnection: close\r\n" in said.text.lower()
        assert len(seen(server)) == 1

    serving(tmp_path, story)


def test_garbage_after_a_good_request(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        said = await say(server, INNER + b"\x00\x01garbage\r\n\r\n" + INNER, answers=3)
        assert (said.statuses, said.closed) == ([200, 400], True)
        assert len(seen(server)) == 1

    serving(tmp_path, story)


def test_a_tunnel_is_not_made_and_its_bytes_are_no_requests(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        said = await say(server, b"CONNECT other:443 HTTP/1.1\r\nhost: other:443\r\n\r\n" + INNER, answers=2)
        assert (said.statuses, said.closed) == ([405], True)
        assert not seen(server)

    serving(tmp_path, story)


WEBSOCKET = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@pytest.mark.parametrize("version", [b"13", b"777"])
@pytest.mark.parametrize("api", [False, True], ids=["site", "api"])
def test_bytes_after_a_handshake_are_no_requests(tmp_path: Path, version: bytes, api: bool) -> None:
    """A proxy that takes the connection for a WebSocket lets everything through."""

    async def story(server: Served) -> None:
        head = b"GET /outer HTTP/1.1\r\nhost: x\r\nsec-websocket-version: " + version + b"\r\n" + WEBSOCKET
        said = await say(server, head + b"\r\n" + INNER, answers=2, api=api)
        assert said.closed
        assert [status for status in said.statuses if status < 400] == []
        assert not seen(server)

    serving(tmp_path, story)


EXPECTING = POST + b"expect: 100-continue\r\ncontent-length: "


def test_a_client_that_asks_is_told_to_go_on_when_its_body_is_wanted(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect()
        writer.write(EXPECTING + b"3\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc" + INNER)
        assert b"POST /outer abc" in await reader.readuntil(b"GET /inner ")
        writer.close()

    serving(tmp_path, story)


def test_a_client_that_asks_is_not_told_to_go_on_with_too_much(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        said = await say(server, EXPECTING + b"99999999999\r\n\r\n")
        assert (said.statuses, said.closed) == ([413], True)
        assert b"\r\nconnection: close\r\n" in said.text.lower()

    serving(tmp_path, story)


def test_a_client_that_does_not_wait_for_its_answer(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        said: Said = await say(server, EXPECTING + b"3\r\n\r\nabc" + INNER, answers=2)
        assert (said.statuses, said.closed) == ([200, 200], False)
        assert [body for _, _, body in seen(server)][:2] == ["abc", ""]

    serving(tmp_path, story)
