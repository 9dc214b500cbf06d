"""Server-sent events over a real connection, cookies and forms too: what `Request` and `Response` promise, served."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from support.served import Served, run, served

HTTP = """
import asyncio
from pyconvex.server import File, Request, Response, ServerSentEvent, current_ctx, http_router

http = http_router()
go_on, ended = asyncio.Event(), asyncio.Event()
ended_in = []


@http.route(path="/events", method="GET")
async def events(ctx, request: Request):
    async def ticks():
        yield {"since": request.headers.get("last-event-id")}
        await go_on.wait()
        yield ServerSentEvent("two\\nlines", event="tick", id="7")

    return Response.event_stream(ticks())


@http.route(path="/endless", method="GET")
async def endless(ctx, request: Request):
    async def ticks():
        try:
            while True:
                yield "tick"
                await asyncio.sleep(60)
        finally:
            ended_in.append(current_ctx() is ctx)
            ended.set()

    return Response.event_stream(ticks(), ping_seconds=0.01)


@http.route(path="/failing", method="GET")
async def failing(ctx, request: Request):
    async def ticks():
        try:
            while True:
                yield "tick"
                await asyncio.sleep(60)
        finally:
            raise LookupError("in the end")

    return Response.event_stream(ticks(), ping_seconds=0.01)


@http.route(path="/form", method="POST")
async def form(ctx, request: Request):
    fields = await request.form_data()
    shown = [
        [name, [value.name, value.type, value.size] if isinstance(value, File) else value]
        for name, value in fields.items()
    ]
    response = Response.json({"fields": shown, "cookies": dict(request.cookies)})
    response.set_cookie("seen", "yes", max_age=60)
    response.set_cookie("theme", "dark", http_only=False)
    response.delete_cookie("old")
    return response


default = http
"""


def serving(tmp_path: Path, story: Callable[[Served, Any], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": HTTP}) as server:
            await story(server, server.host.registry.modules["http"])

    run(whole)


def test_events_arrive_as_they_happen(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reader, writer = await server.connect()
        writer.write(b"GET /events HTTP/1.1\r\nhost: x\r\nlast-event-id: 6\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        for header in (b"content-type: text/event-stream\r\n", b"cache-control: no-store\r\n", b"chunked"):
            assert header in head
        assert (await reader.readuntil(b"\n\n\r\n")).endswith(b'data: {"since":"6"}\n\n\r\n')
        module.go_on.set()
        assert b"event: tick\nid: 7\ndata: two\ndata: lines\n\n" in await reader.readuntil(b"0\r\n\r\n")
        writer.close()

    serving(tmp_path, story)


def test_who_leaves_ends_the_stream(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reader, writer = await server.connect()
        writer.write(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"data: tick\n\n")
        await reader.readuntil(b":\n\n")
        assert not module.ended.is_set()
        writer.close()
        await asyncio.wait_for(module.ended.wait(), 30)
        assert module.ended_in == [True]
        await server.until(lambda: len(server.completions) == 1)
        assert "[INFO] Client disconnected" in server.printed

    serving(tmp_path, story)


def test_a_stream_that_fails_when_its_client_leaves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(server: Served, module: Any) -> None:
        reader, writer = await server.connect()
        writer.write(b"GET /failing HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"data: tick\n\n")
        writer.close()
        await server.until(lambda: len(server.completions) == 1)
        assert server.printed == ["[ERROR] Uncaught LookupError: in the end\n    at ticks (../convex/http.py:41)\n"]
        assert (server.completions[0].status, caplog.records) == (200, []), "no failure of the server's own"

    serving(tmp_path, story)


def test_a_form_with_cookies(tmp_path: Path) -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="text"\r\n\r\nhello\r\n'
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        + b"\0" * 3_000_000
        + b"\r\n--B--\r\n"
    )

    async def story(server: Served, module: Any) -> None:
        headers = {"content-type": "multipart/form-data; boundary=B", "cookie": "a=1; b=2"}
        reply = await server.send("/form", method="POST", headers=headers, body=body)
        assert reply.json == {
            "fields": [["text", "hello"], ["file", ["a.png", "image/png", 3_000_000]]],
            "cookies": {"a": "1", "b": "2"},
        }
        cookies = [value.partition(";")[0] for name, value in reply.headers if name.lower() == "set-cookie"]
        assert cookies == ["seen=yes", "theme=dark", "old="]

    serving(tmp_path, story)
