"""`host/server.py`: Hypercorn on our sockets, and that it ends, whatever its clients do."""

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from pyconvex.host.ports import bind_sockets
from pyconvex.host.server import serve
from pyconvex.http.asgi import Asgi, Exchange, Receive, Scope, Send
from pyconvex.settings import Limits

DEFAULT = Limits()

Handler = Callable[[Exchange], Awaitable[None]]


def application(handle: Handler, tasks: set[asyncio.Task[object]]) -> Asgi:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only HTTP")
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handle(Exchange(scope, receive, send))
        finally:
            tasks.discard(task)

    return app


class Served:
    def __init__(self, port: int, shutdown: asyncio.Event, server: asyncio.Task[None]) -> None:
        self.port = port
        self._shutdown = shutdown
        self._server = server

    async def connect(self, text: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text)
        return reader, writer

    async def stop(self) -> float:
        """Seconds until the server has ended."""
        began = time.perf_counter()
        self._shutdown.set()
        await self._server
        return time.perf_counter() - began


@contextlib.asynccontextmanager
async def served(handle: Handler, limits: Limits = DEFAULT) -> AsyncGenerator[Served, None]:
    tasks: set[asyncio.Task[object]] = set()
    shutdown = asyncio.Event()

    async def close() -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=0.2)

    sockets = bind_sockets(port=0, site_port=0)
    app = application(handle, tasks)
    server = asyncio.ensure_future(serve(app, sockets, shutdown=shutdown, close=close, limits=limits))
    yield Served(sockets.port, shutdown, server)
    shutdown.set()
    await server


async def hello(exchange: Exchange) -> None:
    await exchange.respond(200, [], b"hello")


async def endless(exchange: Exchange) -> None:
    await exchange.start(200, [])
    while True:
        await exchange.write(b"x" * 65536)


async def silent(exchange: Exchange) -> None:
    await asyncio.Event().wait()


GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))


def test_it_serves_both_sockets_and_adds_only_the_date() -> None:
    async def story() -> None:
        async with served(hello) as server:
            reader, writer = await server.connect(GET)
            head = await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(5) == b"hello"
            lines = head.lower().split(b"\r\n")
            assert lines[0] == b"http/1.1 200 ok"
            assert sorted(line.partition(b":")[0] for line in lines[1:-2]) == [b"content-length", b"date"]
            writer.close()

    run(story)


@pytest.mark.parametrize("kind", ["idle", "kept alive", "waiting", "streaming", "not reading", "half a request"])
def test_it_ends_at_once_with_open_connections(kind: str) -> None:
    async def story() -> None:
        handle = {"waiting": silent, "streaming": endless, "not reading": endless}.get(kind, hello)
        async with served(handle) as server:
            opened = [await server.connect() for _ in range(5)]
            for reader, writer in opened:
                if kind == "half a request":
                    writer.write(GET[:-2])
                elif kind != "idle":
                    writer.write(GET)
                if kind == "kept alive":
                    await reader.readuntil(b"hello")
                elif kind == "streaming":
                    await reader.readexactly(100_000)
                elif kind == "not reading":
                    await reader.readuntil(b"\r\n\r\n")
            assert await server.stop() < 0.95
            for _, writer in opened:
                writer.transport.abort()

    run(story)


def test_connections_that_wait_to_be_accepted_are_served_at_the_end() -> None:
    async def story() -> None:
        async with served(hello) as server:
            reader, _ = await server.connect(GET)
            await reader.readuntil(b"hello")
            waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(5)]
            for connection in waiting:
                connection.sendall(GET)
            await server.stop()
            for connection in waiting:
                with connection, connection.makefile("rb") as stream:
                    answer = stream.read()
                    assert answer.endswith(b"hello")
                    assert b"connection: close" in answer

    run(story)


def test_idle_connections_are_closed_in_time() -> None:
    async def story() -> None:
        async with served(hello, Limits(keep_alive_seconds=0.2)) as server:
            reader, writer = await server.connect()
            for _ in range(4):  # longer than the limit together, but never idle for that long
                writer.write(GET)
                await reader.readuntil(b"hello")
                await asyncio.sleep(0.1)
            began = time.perf_counter()
            assert await reader.read() == b""
            assert time.perf_counter() - began < 1
            writer.close()

    run(story)


def test_garbage_ends_a_connection_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with served(hello) as server:
            for garbage in (
                b"\x00\x01\x02\r\n\r\n",
                b"GET / HTTP/9.9\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
                b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\nhttp2-settings: !!\r\n\r\n",
                b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
                b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: nonsense\r\n\r\n",
                b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            ):
                reader, writer = await server.connect(garbage)
                with contextlib.suppress(ConnectionError):
                    writer.write_eof()
                    answer = await reader.read()
                    assert b" 500" not in answer.partition(b"\r\n")[0]
                writer.close()
            reader, writer = await server.connect(GET)
            assert await reader.readuntil(b"hello")
            writer.close()

    run(story)
    assert not caplog.records


def test_huge_headers_are_refused() -> None:
    async def story() -> None:
        async with served(hello) as server:
            reader, writer = await server.connect(b"GET / HTTP/1.1\r\nhost: x\r\nx-big: " + b"a" * 200_000)
            status = await reader.readline()
            assert status.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
            writer.close()

    run(story)


def test_a_listening_socket_is_left_by_the_end() -> None:
    async def story() -> None:
        async with served(hello) as server:
            await server.stop()
            with socket.socket() as again:
                again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                again.bind(("127.0.0.1", server.port))
                again.listen()

    run(story)


def test_heads_are_those_of_their_own_request() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.respond(200, [(b"x-echo", exchange.path.encode())], exchange.path.encode())

    async def story() -> None:
        async with served(answer) as server:
            reader, writer = await server.connect()
            for path, close in ((b"/a", b""), (b"/b", b""), (b"/a", b""), (b"/a", b"connection: close\r\n")):
                writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\n%b\r\n" % (path, close))
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert b"x-echo: %b\r\n" % path in head
                assert (b"connection: close" in head) is bool(close)
                assert await reader.readexactly(2) == path
            assert await reader.read() == b""
            writer.close()

    run(story)


def test_what_a_response_has_so_far_is_sent_while_the_rest_is_awaited() -> None:
    async def begin(exchange: Exchange) -> None:
        await exchange.start(200, [])
        await exchange.write(b"begun")
        await asyncio.Event().wait()

    async def story() -> None:
        async with served(begin) as server:
            reader, writer = await server.connect(GET)
            assert await reader.readuntil(b"begun")
            writer.transport.abort()

    run(story)


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH])
def test_a_network_that_fails_ends_the_response(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The network's own TimeoutError is none of ours: to wait again would be to wait for nothing, and for ever."""
    ended = asyncio.Event()
    asked = 0

    async def drain(writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        raise OSError(number if asked < 10 else errno.ECONNRESET, "the network is gone")

    async def answer(exchange: Exchange) -> None:
        await exchange.start(200, [])
        await exchange.write(b"x" * 2**20)
        ended.set()

    async def story() -> None:
        monkeypatch.setattr(asyncio.StreamWriter, "drain", drain)
        async with served(answer) as server:
            _, writer = await server.connect(GET)
            await ended.wait()
            assert asked == 1
            writer.close()

    run(story)


@pytest.mark.parametrize(
    "text",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
    ],
    ids=["HTTP/2", "HTTP/9.9"],
)
def test_other_versions_of_http_are_refused(text: bytes) -> None:
    async def story() -> None:
        async with served(hello) as server:
            reader, writer = await server.connect(text)
            assert (await reader.read()).startswith(b"HTTP/1.1 505 ")
            writer.close()

    run(story)


def test_an_upgrade_to_http2_is_not_made() -> None:
    async def story() -> None:
        async with served(hello) as server:
            upgrade = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
            reader, writer = await server.connect(GET[:-2] + upgrade + b"\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
            writer.close()

    run(story)
