"""WebSockets from the wire to `http/websocket.py`: framing, limits, back-pressure, closing, pings."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

import pytest
from wsproto.events import CloseConnection, Ping, TextMessage

from pyconvex.host import heartbeat
from pyconvex.host.ports import bind_sockets
from pyconvex.host.server import serve
from pyconvex.http.asgi import Receive, Scope, Send
from pyconvex.http.websocket import GOING_AWAY, NO_STATUS, UNSUPPORTED_DATA, NotText, WebSocket
from pyconvex.settings import Limits
from support.web_sockets import Refused, Socket, web_socket

DEFAULT = Limits()

Endpoint = Callable[[WebSocket], Awaitable[None]]


class Served:
    def __init__(self, port: int) -> None:
        self.port = port
        self.sockets: list[WebSocket] = []
        self.ended = 0
        """How many endpoints have returned."""

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def served(endpoint: Endpoint, limits: Limits = DEFAULT) -> AsyncGenerator[Served, None]:
    """`endpoint` for every WebSocket; on shutdown each is told that the server goes away."""
    sockets = bind_sockets(port=0, site_port=0)
    served = Served(sockets.port)
    shutdown = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        socket = WebSocket(scope, receive, send)
        served.sockets.append(socket)
        try:
            await endpoint(socket)
        finally:
            served.ended += 1

    async def close() -> None:
        for socket in served.sockets:
            await socket.close(GOING_AWAY)

    server = asyncio.ensure_future(serve(app, sockets, shutdown=shutdown, close=close, limits=limits))
    try:
        yield served
    finally:
        shutdown.set()
        await server


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    while (text := await socket.receive()) is not None:
        await socket.send(text.encode())


async def idle(socket: WebSocket) -> None:
    await socket.accept()
    while await socket.receive() is not None:
        pass


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 3_000_000])
def test_messages_of_every_size(size: int) -> None:
    async def story() -> None:
        async with served(echo) as server, web_socket(server.port, "/api/1.48.0/sync?x=1") as client:
            assert (server.sockets[0].path, server.sockets[0].query) == ("/api/1.48.0/sync", "x=1")
            text = "ä" * (size // 2) + "x" * (size % 2)
            client.say(text)
            assert await client.text() == text

    run(story)


def test_a_message_in_fragments() -> None:
    async def story() -> None:
        async with served(echo) as server, web_socket(server.port) as client:
            for part in ("one ", "", "two "):
                client.send(TextMessage(part, message_finished=False))
            client.send(Ping(b"between"))
            client.send(TextMessage("three"))
            assert await client.text() == "one two three"
            client.say("next")
            assert await client.text() == "next"

    run(story)


def test_no_compression_and_no_subprotocol_is_agreed_to() -> None:
    offered = {
        "sec-websocket-extensions": "permessage-deflate; client_max_window_bits",
        "sec-websocket-protocol": "chat",
    }

    async def story() -> None:
        async with served(echo) as server, web_socket(server.port, headers=offered) as client:
            assert "sec-websocket-extensions" not in client.head.lower()
            assert "sec-websocket-protocol" not in client.head.lower()
            client.say("plain")
            assert await client.text() == "plain"

    run(story)


@pytest.mark.parametrize("status", [404, 503])
def test_refused_before_it_is_accepted(status: int) -> None:
    async def story() -> None:
        async with served(lambda socket: socket.refuse(status)) as server:
            with pytest.raises(Refused) as refused:
                async with web_socket(server.port):
                    pass
            assert refused.value.status == status
            await server.until(lambda: server.ended == 1)

    run(story)


@pytest.mark.parametrize(
    "headers",
    [{"sec-websocket-version": "12"}, {"connection": "keep-alive"}, {"upgrade": "h3"}],
)
def test_handshakes_that_are_none(headers: dict[str, str]) -> None:
    async def story() -> None:
        async with served(echo) as server:
            with pytest.raises(Refused) as refused:
                async with web_socket(server.port, headers=headers):
                    pass
            assert refused.value.status in (200, 400), "an ordinary request, or a bad one"
            assert not server.ended

    run(story)


@pytest.mark.parametrize(
    ("code", "reason", "sent"),
    [
        (1013, "TooManyConcurrentMutations", (1013, "TooManyConcurrentMutations")),
        (1011, "ä" * 100, (1011, "ä" * 61)),
        (NO_STATUS, "", (1005, "")),
        (1000, "", (1000, None)),
    ],
)
def test_closed_by_the_server_after_a_last_message(code: int, reason: str, sent: tuple[int, str | None]) -> None:
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()
        assert socket.push(b"last")
        await socket.close(code, reason)
        assert await socket.receive() is None
        assert socket.push(b"too late"), "what goes to a closed socket is not waited for"

    async def story() -> None:
        async with served(endpoint) as server, web_socket(server.port) as client:
            client.say("go")
            assert await client.text() == "last"
            close = await client.closed()
            assert close is not None
            assert (close.code, close.reason or None) == (sent[0], sent[1] or None)
            await server.until(lambda: server.ended == 1)

    run(story)


def test_a_client_that_sends_on_still_reads_why_it_was_closed() -> None:
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()
        await socket.send(b"FatalError")
        await socket.close()

    async def story() -> None:
        async with served(endpoint) as server, web_socket(server.port) as client:
            for _ in range(200):
                client.say("x" * 10_000)
            assert await client.text() == "FatalError"
            assert await client.closed() is not None

    run(story)


def test_a_client_that_closes_is_answered_and_noticed() -> None:
    async def story() -> None:
        async with served(idle) as server, web_socket(server.port) as client:
            client.send(CloseConnection(4040, "bye"))
            close = await client.closed()
            assert close is not None
            assert close.code == 4040
            await server.until(lambda: server.ended == 1)

    run(story)


@pytest.mark.parametrize("abrupt", [False, True])
def test_a_client_that_is_gone_ends_the_endpoint(abrupt: bool) -> None:
    async def story() -> None:
        async with served(idle) as server, web_socket(server.port) as client:
            if abrupt:
                client.abort()
            else:
                client.writer.write_eof()
            await server.until(lambda: server.ended == 1)
            await server.sockets[0].send(b"to nobody")
            assert server.sockets[0].push(b"to nobody")

    run(story)


@pytest.mark.parametrize("end", ["returns", "raises"])
def test_an_endpoint_that_ends_without_a_word(end: str) -> None:
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        if end == "raises":
            raise RuntimeError("a bug")

    async def story() -> None:
        async with served(endpoint) as server, web_socket(server.port) as client:
            close = await client.closed()
            assert close is not None
            assert close.code == 1011

    run(story)


def test_binary_messages_are_told_from_text() -> None:
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await socket.receive()
        except NotText as error:
            await socket.close(UNSUPPORTED_DATA, error.message)

    async def story() -> None:
        async with served(endpoint) as server, web_socket(server.port) as client:
            client.say_bytes(b"\xff")
            close = await client.closed()
            assert close is not None
            assert (close.code, close.reason) == (1003, "Binary messages are not supported")

    run(story)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode that there is not
        (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit
        (b"\x81\x81\0\0\0\0\xff", 1007),  # no UTF-8
        (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
        (b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126, 1002),  # a ping that is too long
        (b"\x88\x81\0\0\0\0x", 1002),  # half a close code
    ],
)
def test_frames_that_are_none(frame: bytes, code: int) -> None:
    async def story() -> None:
        async with served(echo) as server, web_socket(server.port) as client:
            client.writer.write(frame)
            close = await client.closed()
            assert close is not None
            assert close.code == code
            await server.until(lambda: server.ended == 1)

    run(story)


def test_messages_beyond_the_limit_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyconvex.host.server._HostedConfig.websocket_max_message_size", 200_000)

    async def story() -> None:
        async with served(echo) as server:
            async with web_socket(server.port) as client:
                client.say("x" * 200_000)
                assert await client.text() == "x" * 200_000
                client.say("ä" * 100_001)
                close = await client.closed()
                assert close is not None
                assert close.code == 1009
            async with web_socket(server.port) as client:
                for _ in range(300):
                    client.send(TextMessage("x" * 1000, message_finished=False))
                close = await client.closed()
                assert close is not None
                assert close.code == 1009
            await server.until(lambda: server.ended == 2)

    run(story)


def test_a_client_that_does_not_read_is_waited_for() -> None:
    sent: list[int] = []
    message = b"x" * 50_000

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()
        for number in range(1000):
            await socket.send(message)
            sent.append(number)
        await socket.close(1000)

    async def story() -> None:
        async with served(endpoint) as server, web_socket(server.port, unread_bytes=65_536) as client:
            client.say("go")
            before = -1
            while len(sent) != before:  # until nothing more fits into the buffers of both systems
                before = len(sent)
                await asyncio.sleep(0.1)
            assert len(sent) < 500
            assert not server.sockets[0].push(message)
            assert all([await client.text() == message.decode() for _ in range(1000)])
            assert await client.closed() is not None

    run(story)


def test_pings_that_nobody_reads_the_answers_of_are_not_gathered() -> None:
    flood = b"\x89\xfd\0\0\0\0" + b"x" * 125

    async def story() -> None:
        async with served(idle) as server, web_socket(server.port, unread_bytes=16_384) as client:
            with pytest.raises(TimeoutError):  # the server reads no more of them
                while True:
                    client.writer.write(flood * 500)
                    await asyncio.wait_for(client.writer.drain(), 1)
            assert not server.ended

    run(story)


def test_messages_of_one_turn_are_one_write() -> None:
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()
        for number in range(50):
            assert socket.push(b"%d" % number)
        await socket.receive()

    async def story() -> None:
        async with served(endpoint) as server, web_socket(server.port) as client:
            client.say("go")
            data = await client.reader.read(65536)
            assert len(data) == sum(2 + len(str(number)) for number in range(50))

    run(story)


def test_pings_keep_a_socket_and_silence_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "PING_SECONDS", 0.02)
    monkeypatch.setattr(heartbeat, "SILENCE_SECONDS", 0.8)

    async def story() -> None:
        async with served(idle) as server, web_socket(server.port) as alive, web_socket(server.port) as dead:
            dead.mute = True
            reading = [asyncio.ensure_future(each.closed()) for each in (alive, dead)]
            assert await reading[1] is None, "dropped without a word"
            assert dead.pings > 1
            seen = alive.pings
            await server.until(lambda: alive.pings > seen + 3)
            assert not reading[0].done()
            assert server.ended == 1
            reading[0].cancel()

    run(story)


def test_keep_alive_does_not_close_an_idle_socket() -> None:
    async def story() -> None:
        async with served(echo, Limits(keep_alive_seconds=0.05)) as server, web_socket(server.port) as client:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            reader, _ = await asyncio.open_connection("127.0.0.1", server.port)
            assert await reader.read() == b"", "an idle connection was closed meanwhile"
            writer.transport.abort()
            client.say("still here")
            assert await client.text() == "still here"

    run(story)


@pytest.mark.parametrize("kind", ["reading", "deaf", "not reading", "half a message"])
def test_it_ends_at_once_with_a_hundred_open_sockets(kind: str) -> None:
    async def push_all(socket: WebSocket) -> None:
        await socket.accept()
        while socket.push(b"x" * 60_000):
            await asyncio.sleep(0)
        await socket.receive()

    async def story() -> None:
        async with contextlib.AsyncExitStack() as clients:
            async with served(push_all if kind == "not reading" else idle) as server:
                opened = [await clients.enter_async_context(web_socket(server.port)) for _ in range(100)]
                if kind == "half a message":
                    for client in opened:
                        client.writer.write(b"\x81\xff\0\0\0\0\0\0\0\x10")
                closing = [asyncio.ensure_future(each.closed()) for each in opened if kind == "reading"]
                await server.until(lambda: len(server.sockets) == 100)
                began = time.perf_counter()
            assert time.perf_counter() - began < 3  # half a second where the machine has nothing else to do
            for close in [await each for each in closing]:
                assert close is not None
                assert close.code == GOING_AWAY
            assert server.ended == 100

    run(story)


def test_a_socket_that_has_ended_is_freed() -> None:
    async def story() -> None:
        async with served(echo) as server:
            clients: list[Socket] = []
            for _ in range(5):
                async with web_socket(server.port) as client:
                    client.say("x")
                    await client.text()
                    clients.append(client)
            await server.until(lambda: server.ended == 5)
            server.sockets.clear()
            await asyncio.sleep(0)
            gc.collect()
            assert not [each for each in gc.get_objects() if type(each).__name__ == "WebSocketStream"]

    run(story)
