"""Whatever arrives on a socket: never a 500, never the end of the server."""

import asyncio
import contextlib
import logging
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.served import Served, run, served

HTTP = """
from pyconvex.server import Response, http_router

http = http_router()


@http.route(path_prefix="/", method="POST")
async def post(ctx, request):
    try:
        return Response.json(await request.json())
    except ValueError:
        return Response("no JSON", status=400)


@http.route(path_prefix="/", method="GET")
async def get(ctx, request):
    return Response.json([str(request.url), request.url.search_params.get("q")])


default = http
"""

MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no version": b"GET /\r\n\r\n",
    "odd version": b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "odd host": b"GET / HTTP/1.1\r\nhost: \x80\xff[\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n",
    "bytes in the path": b"GET /\xc3\xa9 HTTP/1.1\r\nhost: x\r\n\r\n",
    "broken percents": b"GET /%e4%zz%?q=%ff%fe%&%=% HTTP/1.1\r\nhost: x\r\n\r\n",
    "dots": b"GET /../../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
    "absolute": b"GET http://other:99999999/x HTTP/1.1\r\nhost: x\r\n\r\n",
    "authority": b"CONNECT other:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
    "long path": b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "longer path": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "huge header": b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
    "content-length of words": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n",
    "negative content-length": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    "content-lengths": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "endless content-length": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: " + b"9" * 18 + b"\r\n\r\n",
    "broken chunks": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc",
    "odd transfer encoding": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\nabc",
    "truncated body": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
    "truncated chunks": b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    "truncated head": b"POST / HTTP/1.1\r\nhost:",
    "broken JSON": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n{",
    "broken UTF-8": b'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n"\xff"',
    "deep JSON": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 90000\r\n\r\n" + b"[" * 90_000,
    "broken HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "broken upgrade": b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\nhttp2-settings: !\r\n\r\n",
    "broken WebSocket": b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    "broken authorization": b"GET / HTTP/1.1\r\nhost: x\r\nauthorization: Convex \xff:\xfe\r\n\r\n",
    "broken cookies": b"GET / HTTP/1.1\r\nhost: x\r\ncookie: \xff=;;;=\r\n\r\n",
}
ENDPOINTS = ("/api/query", "/api/mutation", "/api/function", "/api/run/a/b", "/api/storage/x")


async def statuses(server: Served, text: bytes, *, api: bool) -> list[bytes]:
    """The statuses of what comes back until the server has nothing more to say."""
    reader, writer = await server.connect(api=api)
    answer = b""
    with contextlib.suppress(ConnectionError):
        writer.write(text)
        writer.write_eof()
        answer = await reader.read()
    writer.transport.abort()
    return re.findall(rb"HTTP/1\.1 (\d{3}) [ A-Za-z-]*\r\n", answer)


def is_failure(status: bytes) -> bool:
    return status == b"500"


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("api", [False, True], ids=["site", "api"])
def test_requests_that_are_none(tmp_path: Path, text: bytes, api: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with served(tmp_path, {"http": HTTP}) as server:
            assert not any(map(is_failure, await statuses(server, text, api=api)))
            assert (await server.send("/fine")).json == ["http://127.0.0.1/fine", None]

    run(story)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_every_endpoint_gets_every_malformed_body(tmp_path: Path) -> None:
    bodies = [b"", b"{", b"\xff\xfe", b'{"path":', b"[[[", b'"', b"0", b'{"args":1,"path":"a:b"}', b"\x00" * 50]
    heads = [b"content-type: application/json\r\n", b"content-type: \xff\r\n", b""]

    async def story() -> None:
        async with served(tmp_path, {"http": HTTP}) as server:
            for endpoint in ENDPOINTS:
                for body in bodies:
                    text = b"".join(
                        b"POST %s HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n%s"
                        % (endpoint.encode(), head, len(body), body)
                        for head in heads
                    )
                    answers = await statuses(server, text, api=True)
                    assert len(answers) == len(heads), (endpoint, body)
                    assert not any(map(is_failure, answers)), (endpoint, body)

    run(story)


def test_a_truncated_body_never_reaches_a_function(tmp_path: Path) -> None:
    modules = {
        "messages": """
            from pyconvex.server import mutation, query

            @mutation
            async def send(ctx, body=None):
                await ctx.db.insert("messages", {})

            @query
            async def count(ctx):
                return len(await ctx.db.query("messages").collect())
        """
    }

    async def story() -> None:
        async with served(tmp_path, modules) as server:
            whole = b'{"path":"messages:send","args":{}}'
            for cut in range(0, len(whole), 5):
                head = b"POST /api/mutation HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                await statuses(server, head + b"content-length: %d\r\n\r\n" % len(whole) + whole[:cut], api=True)
            reply = await server.call("/api/query", {"path": "messages:count", "args": {}})
            assert reply.json["value"] == 0

    run(story)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.lists(st.binary(max_size=40), max_size=6),
    method=st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"X"]),
    path=st.binary(max_size=30),
    body=st.binary(max_size=60),
)
def test_random_requests(tmp_path: Path, head: list[bytes], method: bytes, path: bytes, body: bytes) -> None:
    text = (
        method + b" /" + path + b" HTTP/1.1\r\nhost: x\r\n" + b"".join(line + b"\r\n" for line in head) + b"\r\n" + body
    )

    async def story() -> None:
        async with served(tmp_path, {"http": HTTP}) as server:
            for api in (False, True):
                assert not any(map(is_failure, await statuses(server, text, api=api)))
            assert (await server.send("/fine")).status == 200

    run(story)


def test_many_half_open_connections_hold_nobody_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, {"http": HTTP}) as server:
            half = [await server.connect() for _ in range(100)]
            for _, writer in half:
                writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n")
            assert (await asyncio.wait_for(server.send("/fine"), 5)).status == 200
            for _, writer in half:
                writer.transport.abort()

    run(story)
