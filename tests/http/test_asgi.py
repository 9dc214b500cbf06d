"""`http/asgi.py`: bodies, limits and leaving clients, against a scripted ASGI server."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pyconvex.http.asgi import BodyTooLarge, ClientGone, Exchange, Message


class Server:
    """The server's side of one request: what it hands over, and what it is sent."""

    def __init__(self, *messages: Message, method: str = "POST", path: str = "/x", raw: bool = True) -> None:
        self.waiting: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.waiting.put_nowait(message)
        self.sent: list[Message] = []
        scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
        if raw:
            scope["raw_path"] = path.encode()
        self.exchange = Exchange(scope, self.waiting.get, self.send)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def head(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


def part(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 10))


def test_a_body_is_read_in_order_and_once() -> None:
    async def story() -> None:
        server = Server(part(b"a"), part(b"b"), part(b"c", more=False))
        assert await server.exchange.body.read(3) == b"abc"
        assert await server.exchange.body.read(3) == b""

    run(story)


def test_a_body_over_its_limit_is_refused() -> None:
    async def story() -> None:
        server = Server(part(b"aa"), part(b"bb"), part(b"", more=False))
        with pytest.raises(BodyTooLarge) as caught:
            await server.exchange.body.read(3)
        assert (caught.value.status, caught.value.code) == (413, "RequestTooLarge")

    run(story)


def test_half_a_body_is_never_taken_for_a_whole_one() -> None:
    async def story() -> None:
        server = Server(part(b"aa"), GONE)
        with pytest.raises(ClientGone):
            await server.exchange.body.read(100)

    run(story)


def test_polling_takes_what_is_there_and_does_not_wait() -> None:
    async def story() -> None:
        server = Server(part(b"a"))
        body = server.exchange.body
        body.poll()
        body.poll()
        assert not body.complete
        assert body.arrived() == b"a"
        server.waiting.put_nowait(part(b"b", more=False))
        body.poll()
        assert body.complete
        assert not body.look()
        server.waiting.put_nowait(GONE)
        assert body.look()

    run(story)


def test_a_body_that_nobody_reads_is_not_taken_in_without_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyconvex.http.request_body.EARLY_BYTES_MAX", 250)

    async def story() -> None:
        server = Server(*[part(b"x" * 100)] * 10, part(b"", more=False))
        assert not server.exchange.body.look()
        assert server.waiting.qsize() == 8
        assert len(await server.exchange.body.read(2000)) == 1000

    run(story)


def test_polling_leaves_a_reader_that_waits_alone() -> None:
    async def story() -> None:
        server = Server()
        reading = asyncio.ensure_future(server.exchange.body.read(100))
        await asyncio.sleep(0)
        server.exchange.body.poll()
        server.waiting.put_nowait(part(b"late", more=False))
        assert await reading == b"late"

    run(story)


def test_the_rest_of_a_request_is_taken_in_before_the_response_ends() -> None:
    async def story() -> None:
        server = Server(part(b"a"))
        answering = asyncio.ensure_future(server.exchange.respond(200, [], b"done"))
        while server.body != b"done":
            await asyncio.sleep(0)
        assert server.sent[-1]["more_body"], "the answer is complete for the client, the exchange is not"
        server.waiting.put_nowait(part(b"z", more=False))
        await answering
        assert server.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}

    run(story)


def test_a_client_that_sends_for_ever_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyconvex.http.request_body.LINGER_BYTES", 1000)

    async def story() -> None:
        server = Server(*[part(b"x" * 100)] * 20)
        await server.exchange.respond(200, [], b"done")
        assert server.body == b"done"
        # a server such as Hypercorn hangs up only when somebody takes in what is queued
        for _ in range(50):
            server.waiting.put_nowait(part(b"x"))
        server.waiting.put_nowait(GONE)
        while not server.waiting.empty():
            await asyncio.sleep(0)

    run(story)


@pytest.mark.parametrize(
    ("method", "status", "length", "body"),
    [
        ("GET", 200, b"4", b"body"),
        ("HEAD", 200, b"4", b""),
        ("GET", 204, None, b""),
        ("GET", 205, b"0", b""),
        ("GET", 304, None, b""),
    ],
)
def test_framing(method: str, status: int, length: bytes | None, body: bytes) -> None:
    async def story() -> None:
        server = Server(part(b"", more=False), method=method)
        await server.exchange.respond(status, [], b"body")
        assert server.head.get(b"content-length") == length
        assert server.body == body

    run(story)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a%20b", "/a%20b"),
        ("http://host:80/a", "/a"),
        ("http://host", "/"),
        ("*", "*"),
        ("/a?b", "/a"),
        ("/to/http://elsewhere", "/to/http://elsewhere"),
    ],
)
def test_request_targets(target: str, path: str) -> None:
    async def story() -> None:
        assert Server(path=target).exchange.path == path

    run(story)


def test_an_application_below_reads_the_body_itself() -> None:
    async def story() -> None:
        server = Server(part(b"a"), part(b"b"))
        body = server.exchange.body
        body.poll()
        assert await body.receive() == part(b"ab")
        server.waiting.put_nowait(part(b"c", more=False))
        assert await body.receive() == part(b"c", more=False)
        waiting = asyncio.ensure_future(body.receive())
        await asyncio.sleep(0)
        assert not waiting.done(), "after the last part only leaving is news"
        server.waiting.put_nowait(GONE)
        assert await waiting == GONE

    run(story)
