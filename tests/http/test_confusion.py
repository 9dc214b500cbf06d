"""Paths that look like others, headers that look like two, bodies that are small and large: each has one meaning."""

import gzip
from ast import literal_eval
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from support.served import Served, run, served

HTTP = """
from pyconvex.server import Request, Response, http_router

http = http_router()


@http.route(path="/private/keys", method="GET")
async def private(ctx, request: Request):
    return Response("private")


@http.route(path_prefix="/public/", method="GET")
async def public(ctx, request: Request):
    return Response(request.url.pathname)


@http.route(path="/named/{name}", method="GET")
async def named(ctx, request: Request):
    return Response.json([request.url.pathname, request.path_params["name"]])


@http.route(path="/header", method="POST")
async def header(ctx, request: Request):
    value = await request.text()
    response = Response("sent", headers={"x-fixed": "1"})
    try:
        response.headers.set("x-given", value)
    except TypeError as error:
        return Response(f"TypeError: {error}", status=400)
    return response


@http.route(path="/go", method="POST")
async def go(ctx, request: Request):
    return Response.redirect(await request.text())


@http.route(path="/size", method="POST")
async def size(ctx, request: Request):
    body = await request.bytes()
    return Response.json([len(body), request.headers.get("content-encoding")])


async def mounted(scope, receive, send):
    text = repr([scope["path"], scope["raw_path"].decode(), scope["root_path"]]).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


http.mount("/mounted/", mounted)
default = http
"""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": HTTP}) as server:
            await story(server)

    run(whole)


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("/private/keys", 200, "private"),
        ("/public/../private/keys", 200, "private"),
        ("/public/%2e%2e/private/keys", 200, "private"),
        ("/public/.%2E/private/keys", 200, "private"),
        ("/public/..%2fprivate/keys", 200, "/public/..%2fprivate/keys"),
        ("/public/%2e%2e%2fprivate%2fkeys", 200, "/public/%2e%2e%2fprivate%2fkeys"),
        ("/public//../../private/keys", 200, "private"),
        ("/public/a//b", 200, "/public/a//b"),
        ("/public/a%2Fb", 200, "/public/a%2Fb"),
        ("//private/keys", 404, None),
        ("/private//keys", 404, None),
        ("/private/keys/", 404, None),
        ("/private%2Fkeys", 404, None),
        ("/PRIVATE/keys", 404, None),
        ("/private/%6beys", 404, None),
        ("/private/keys%20", 404, None),
        ("/private/keys;a=b", 404, None),
        ("/../private/keys", 200, "private"),
        ("/public\\..\\private\\keys", 400, None),
        ("/private/keys#x", 400, None),
        ("/public/a%00b", 400, None),
        ("/private/keys%00.png", 400, None),
    ],
)
def test_a_path_is_the_same_to_its_route_and_to_its_handler(
    tmp_path: Path, target: str, status: int, text: str | None
) -> None:
    async def story(server: Served) -> None:
        for api, alias in ((False, ""), (True, ""), (True, "/http")):
            reply = await server.send(alias + target, api=api)
            assert reply.status == status
            if text is not None:
                assert reply.text == text

    serving(tmp_path, story)


def test_a_parameter_is_decoded_once_and_is_one_segment(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await server.send("/named/a%2Fb")).json == ["/named/a%2Fb", "a/b"]
        assert (await server.send("/named/%252e%252e")).json == ["/named/%252e%252e", "%2e%2e"]
        assert (await server.send("/named/a/b")).status == 404
        assert (await server.send("/named/a%00")).status == 400

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/mounted/a%20b", "/mounted/a b"),
        ("/x/../mounted/a", "/mounted/a"),
        ("/mounted/a/../b", "/mounted/b"),
        ("/mounted/./%2e/b", "/mounted/b"),
        ("/mounted/a//b", "/mounted/a//b"),
    ],
)
def test_a_mounted_application_gets_the_path_that_its_route_was_found_by(
    tmp_path: Path, target: str, path: str
) -> None:
    async def story(server: Served) -> None:
        scope = literal_eval((await server.send(target)).text)
        assert (scope[0], scope[2]) == (path, "/mounted")
        aliased = literal_eval((await server.send(f"/http{target}", api=True)).text)
        assert (aliased[0], aliased[2]) == (f"/http{path}", "/http/mounted")
        assert (await server.send("/mounted/../private/keys")).text == "private"

    serving(tmp_path, story)


@pytest.mark.parametrize(
    "bad", ["a\r\nx-evil: 1", "a\nx-evil: 1", "a\rx-evil: 1", "a\x00b", "a\x0bb", "a\x1bb", "a\x7fb"]
)
def test_a_value_never_becomes_two_headers(tmp_path: Path, bad: str) -> None:
    async def story(server: Served) -> None:
        for target in ("/header", "/go"):
            reply = await server.send(target, method="POST", body=bad.encode())
            assert reply.status in (400, 500)
            assert reply.header("x-evil") is None
            assert reply.header("x-given") is None
        assert (await server.send("/header", method="POST", body="ä b".encode())).header("x-given") == "ä b"

    serving(tmp_path, story)


def test_what_cors_sends_back_is_one_header(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        asks = {"origin": "https://a\x0bb", "access-control-request-headers": "x\x1by"}
        reply = await server.send("/api/query", method="OPTIONS", headers=asks, api=True)
        assert reply.status in (200, 400)
        assert not [value for _, value in reply.headers if "\r" in value or "\n" in value or "\0" in value]

    serving(tmp_path, story)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip"])
def test_a_body_is_handed_over_as_it_was_sent(tmp_path: Path, coding: str) -> None:
    """Nothing is decompressed, so that 20 KiB cannot become 20 MiB: a handler that expects it does it itself."""
    bomb = gzip.compress(bytes(20 * 2**20))

    async def story(server: Served) -> None:
        reply = await server.send("/size", method="POST", headers={"content-encoding": coding}, body=bomb)
        assert reply.json == [len(bomb), coding]
        api = await server.call("/api/query", bomb, content_encoding=coding)
        assert api.status == 400

    serving(tmp_path, story)
