"""One request on a connection, and the response to it: what the ASGI application receives and sends.

A body is taken from the network only as it is read, and a client that waits for `100 Continue` is told to go on when
somebody wants what it has.

Imported only when something is served, as Hypercorn is.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast
from urllib.parse import unquote

from hypercorn.protocol.events import Body, EndBody, Event, Request, StreamClosed

from pyconvex.http.asgi import Message

from .response_writer import ResponseWriter

QUEUED_BYTES = 256 * 1024
"""How much of a body may wait for the application before no more is taken from the network."""

SMALL_BYTES = 4096
"""Parts below it are put together while they wait: a million chunks of a byte each are not to be a million objects."""

_GONE: Message = {"type": "http.disconnect"}


class OutOfTurn(RuntimeError):
    """An application sent a message of ASGI's at a time when it means nothing."""


class Line(Protocol):
    """What a stream needs of its connection."""

    loop: asyncio.AbstractEventLoop

    def write(self, data: bytes) -> None: ...

    async def send(self, data: bytes) -> None:
        """Write, and wait while the client reads more slowly than is written."""
        ...


class Turns(Protocol):
    """What a stream needs of the protocol, in which one request follows another."""

    client: tuple[str, int] | None
    server: tuple[str, int] | None
    app: Any

    def go_on(self) -> None:
        """The application waits for a part of the body that has not arrived."""
        ...

    def server_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What every response has."""
        ...

    def is_last(self, status: int) -> bool:
        """Whether the connection ends after a response with this status."""
        ...

    async def ended(self, *, is_last: bool) -> None:
        """The response is over; `is_last` when nothing may follow it."""
        ...


class HttpStream:
    """Made by `Http11` for every request but those that upgrade."""

    __slots__ = ("_inbox", "_is_complete", "_line", "_turns", "_writer", "closed", "has_begun", "scope")

    def __init__(self, line: Line, turns: Turns, request: Request) -> None:
        self._line = line
        self._turns = turns
        self._inbox = Inbox(line.loop, turns.go_on)
        self._writer = ResponseWriter(request.method, request.http_version)
        self._is_complete = False
        self.has_begun = False
        """Something of the response was sent."""
        self.closed = False
        """Nothing more comes from the client, who may still read."""
        path, _, query = request.raw_path.partition(b"?")
        self.scope: dict[str, Any] = {
            "type": "http",
            "http_version": request.http_version,
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "method": request.method,
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": request.headers,
            "client": turns.client,
            "server": turns.server,
            "extensions": {},
        }

    async def run(self) -> None:
        """Let the application answer."""
        try:
            await self._turns.app(self.scope, self._inbox.receive, self.send, None, None)
        finally:
            await self._end()

    async def handle(self, event: Event) -> None:
        """Take what came from the client."""
        if self.closed:
            return
        kind = type(event)
        if kind is EndBody:
            self._inbox.end()
        elif kind is Body:
            await self._inbox.put(cast("bytearray", cast("Body", event).data))
        elif kind is StreamClosed:
            self.closed = True
            self._inbox.close()

    async def send(self, message: Message) -> None:
        """ASGI's `send`; waits while the client reads more slowly than the application sends.

        Raises:
            UnsendableHead, WrongLength, OutOfTurn: the application breaks HTTP's rules, or ASGI's.
        """
        kind = message["type"]
        if kind == "http.response.body" and self.has_begun and not self._is_complete:
            await self._send_body(bytes(message.get("body", b"")), is_last=not message.get("more_body", False))
        elif kind == "http.response.start" and not self.has_begun:
            self._begin(int(message["status"]), message.get("headers", ()))
        else:
            raise OutOfTurn(f"{kind} was sent {'late' if self.has_begun else 'early'}")

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        whole = (*headers, *self._turns.server_headers())
        self._line.write(self._writer.head(status, whole, ends_connection=self._turns.is_last(status)))
        self.has_begun = True

    async def _send_body(self, data: bytes, *, is_last: bool) -> None:
        writer, line = self._writer, self._line
        if part := writer.part(data):
            await line.send(part)
        if is_last:
            self._is_complete = True
            line.write(writer.end())
        if is_last and not self.closed:
            await self._turns.ended(is_last=writer.ends_connection)

    async def _end(self) -> None:
        """The application is done, or has failed; what it has answered to the end is over by now."""
        if self.closed:
            return
        if not self.has_begun:
            headers = ((b"content-length", b"0"), *self._turns.server_headers())
            self._line.write(self._writer.head(500, headers, ends_connection=True))
        await self._turns.ended(is_last=True)


class Inbox:
    """The parts of a body that have arrived and were not received by the application."""

    __slots__ = ("_bytes", "_is_closed", "_is_ended", "_is_told", "_loop", "_parts", "_room", "_waiting", "_wanted")

    def __init__(self, loop: asyncio.AbstractEventLoop, wanted: Callable[[], None]) -> None:
        self._loop = loop
        self._wanted = wanted
        self._parts: deque[bytearray] = deque()
        self._bytes = 0
        self._is_ended = False
        self._is_told = False
        self._is_closed = False
        self._room: asyncio.Future[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def put(self, part: bytearray) -> None:
        """Waits while more than `QUEUED_BYTES` have not been received."""
        if self._parts and len(part) < SMALL_BYTES > len(self._parts[-1]):
            self._parts[-1] += part
        else:
            self._parts.append(part)
        self._bytes += len(part)
        self._wake()
        while self._bytes > QUEUED_BYTES and not self._is_closed:
            self._room = self._loop.create_future()
            await self._room

    def end(self) -> None:
        """All of it has arrived."""
        self._is_ended = True
        self._wake()

    def close(self) -> None:
        """Nothing more will come: the response is complete, or the client has left."""
        self._is_closed = True
        self._wake()
        self._make_room()

    async def receive(self) -> Message:
        """ASGI's `receive`."""
        while True:
            if self._parts:
                return self._next()
            if self._is_ended and not self._is_told:
                self._is_told = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self._is_closed:
                return _GONE
            await self._news()

    def _next(self) -> Message:
        part = self._parts.popleft()
        self._bytes -= len(part)
        if self._bytes <= QUEUED_BYTES:
            self._make_room()
        self._is_told = self._is_ended and not self._parts
        return {"type": "http.request", "body": bytes(part), "more_body": not self._is_told}

    async def _news(self) -> None:
        self._wanted()
        news: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(news)
        try:
            await news
        finally:
            self._waiting.remove(news)

    def _wake(self) -> None:
        for news in self._waiting:
            if not news.done():
                news.set_result(None)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
