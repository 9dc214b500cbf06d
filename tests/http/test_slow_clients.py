"""Clients that send or read slowly: each wait has a limit with a name, and whoever waits beside them is served."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.settings import Limits
from support.served import Reply, Served, read_reply, run, served

HTTP = """
import asyncio
from pyconvex.server import Request, Response, http_router

http = http_router()
goes_on = asyncio.Event()
sent = 0


@http.route(path="/hello", method="GET")
async def hello(ctx, request: Request):
    return Response("hello")


@http.route(path="/take", method="POST")
async def take(ctx, request: Request):
    return Response.json(len(await request.bytes()))


@http.route(path="/later", method="POST")
async def later(ctx, request: Request):
    await goes_on.wait()
    return Response.json(len(await request.bytes()))


@http.route(path="/pour", method="GET")
async def pour(ctx, request: Request):
    async def parts():
        global sent
        for _ in range(300):
            sent += 65536
            yield b"x" * 65536

    return Response(parts())


@http.route(path="/stream", method="GET")
async def stream(ctx, request: Request):
    async def parts():
        for _ in range(6):
            yield b"x" * 65536

    return Response(parts())


@http.route(path="/some", method="GET")
async def some(ctx, request: Request):
    return Response(b"x" * 60_000)


@http.route(path="/give", method="GET")
async def give(ctx, request: Request):
    return Response(b"x" * 20 * 2**20)


async def mounted(scope, receive, send):
    while (message := await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


http.mount("/mounted/", mounted)
default = http
"""

STREAM_BYTES = 6 * 2**16

POST = b"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"

JSON = b"\r\ncontent-type: application/json\r\n\r\n"


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **limits: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": HTTP}, limits=Limits(**limits)) as server:
            await story(server)

    run(whole)


@contextlib.asynccontextmanager
async def dripping(writer: asyncio.StreamWriter, byte: bytes, pause: float) -> AsyncGenerator[None, None]:
    """Send one byte after another for as long as the block runs."""

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(byte)
                await writer.drain()
                await asyncio.sleep(pause)

    task = asyncio.ensure_future(drip())
    try:
        yield
    finally:
        task.cancel()


async def whole_reply(reader: asyncio.StreamReader) -> Reply:
    """The one reply after which the server hangs up."""
    reply = await read_reply(reader)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    return reply


@pytest.mark.parametrize("start", [b"G", b"GET /hello HTTP/1.1\r\n", b"GET /hello HTTP/1.1\r\nhost: x\r\nx: y"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_a_head_that_is_never_complete(tmp_path: Path, start: bytes, is_first: bool) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect()
        if not is_first:
            writer.write(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await read_reply(reader)).text == "hello"
        writer.write(start)
        reply = await whole_reply(reader)
        assert (reply.status, reply.header("connection")) == (408, "close")
        assert reply.text == "The headers of the request were not complete after 0.1 s\n"
        assert (await server.send("/hello")).text == "hello"
        writer.close()

    serving(tmp_path, story, request_head_seconds=0.1)


def test_bytes_now_and_then_do_not_prolong_a_head(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect()
        writer.write(b"GET /hello HTTP/1.1\r\nhost: x\r\nx: ")
        async with dripping(writer, b"a", 0.02):
            assert (await whole_reply(reader)).status == 408
        writer.close()

    serving(tmp_path, story, request_head_seconds=0.2)


def test_a_connection_that_says_nothing_is_closed_without_a_word(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect()
        assert await reader.read() == b""
        writer.close()

    serving(tmp_path, story, keep_alive_seconds=0.1, request_head_seconds=0.05)


@pytest.mark.parametrize("target", [b"/take", b"/mounted/x"])
def test_a_body_that_stands_still(tmp_path: Path, target: bytes) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect()
        writer.write(POST.replace(b"/take", target) + b"x" * 300)
        reply = await whole_reply(reader)
        assert (reply.status, reply.json["code"], reply.header("connection")) == (408, "RequestTimeout", "close")
        assert reply.json["message"].startswith("The request body came too slowly: 300 bytes in 0.")
        assert server.completions[-1].status == 408
        assert (await server.send("/hello")).text == "hello"
        writer.close()

    serving(tmp_path, story, request_idle_seconds=0.1, concurrent_actions=1)


def test_a_body_of_the_client_api_that_stands_still(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect(api=True)
        writer.write(POST.replace(b"/take", b"/api/query").replace(b"\r\n\r\n", JSON) + b"{")
        reply = await whole_reply(reader)
        assert (reply.status, reply.json["code"]) == (408, "RequestTimeout")
        writer.close()

    serving(tmp_path, story, request_idle_seconds=0.1)


def test_a_body_that_drips(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect()
        writer.write(POST)
        async with dripping(writer, b"x", 0.02):
            assert (await whole_reply(reader)).status == 408
        writer.close()

    serving(tmp_path, story, request_idle_seconds=0.3, request_rate_bytes=10_000)


def test_a_body_that_is_slow_and_fast_enough(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect()
        writer.write(POST)
        for _ in range(10):
            writer.write(b"x" * 100)
            await asyncio.sleep(0.03)
        assert (await read_reply(reader)).json == 1000
        writer.close()

    serving(tmp_path, story, request_idle_seconds=0.2, request_rate_bytes=1000)


def test_only_waiting_for_a_body_is_counted(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect()
        writer.write(POST.replace(b"/take", b"/later") + b"x" * 500)
        await asyncio.sleep(0.3)
        server.host.registry.modules["http"].goes_on.set()
        writer.write(b"x" * 500)
        assert (await read_reply(reader)).json == 1000
        writer.close()

    serving(tmp_path, story, request_idle_seconds=0.2)


def unread(port: int, path: str, room: int = 4096) -> socket.socket:
    """A client that asks and does not read, and whose system takes in little for it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return client


@pytest.mark.parametrize("path", ["/pour", "/give"])
def test_a_response_that_nobody_reads_is_given_up(tmp_path: Path, path: str) -> None:
    async def story(server: Served) -> None:
        with unread(server.sockets.site_port, path):
            await server.until(lambda: bool(server.completions))
            assert (await server.send("/hello")).text == "hello"
        assert server.completions[0].identifier == f"GET {path}"
        assert "[INFO] Client disconnected" in server.printed or path == "/give"

    serving(tmp_path, story, response_idle_seconds=0.1, concurrent_actions=1)


def bytes_read(client: socket.socket, pause: float = 0) -> int:
    """How many bytes of a body come, 2 KiB at a time."""
    size = 0
    with contextlib.suppress(ConnectionError):
        while part := client.recv(2048):
            size += part.count(b"x")
            if part.endswith(b"\r\n0\r\n\r\n"):
                break
            time.sleep(pause)
    return size


@pytest.mark.parametrize(("rate", "whole"), [(240, True), (10_000_000, False)], ids=["fast enough", "too slow"])
def test_a_response_that_is_read_slowly(tmp_path: Path, rate: int, *, whole: bool) -> None:
    """What the system has taken from us and not yet got rid of is on its way, too: it makes room in large steps."""

    async def story(server: Served) -> None:
        server.sockets.site.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**17)
        with unread(server.sockets.site_port, "/stream") as client:
            size = await asyncio.to_thread(bytes_read, client, 0.012)
            assert (size == STREAM_BYTES) == whole

    serving(tmp_path, story, response_idle_seconds=0.3, response_rate_bytes=rate)


@pytest.mark.parametrize("path", ["/stream", "/give"])
def test_a_response_that_takes_longer_than_an_action_may(tmp_path: Path, path: str) -> None:
    async def story(server: Served) -> None:
        server.sockets.site.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**14)
        with unread(server.sockets.site_port, path) as client:
            await asyncio.sleep(0.3)
            if path == "/stream":
                assert await asyncio.to_thread(bytes_read, client) < STREAM_BYTES
            await server.until(lambda: bool(server.completions))
        assert "[ERROR] Function execution timed out (maximum duration: 0.2s)" in server.printed

    serving(tmp_path, story, action_seconds=0.2)


def test_a_kept_connection_whose_answer_nobody_reads_is_given_up(tmp_path: Path) -> None:
    """The answer is small enough to wait in our memory, so its handler has long ended."""

    async def story(server: Served) -> None:
        server.sockets.site.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with unread(server.sockets.site_port, "/some"):
            await server.until(lambda: connections() == 1)
            await server.until(lambda: connections() == 0)
        assert [entry.error for entry in server.completions] == [None]

    serving(tmp_path, story, response_idle_seconds=0.1, keep_alive_seconds=0.1)


def connections() -> int:
    """How many connections the server has a task for."""
    return sum(getattr(task.get_coro(), "__qualname__", "") == "_Worker.accept" for task in asyncio.all_tasks())
