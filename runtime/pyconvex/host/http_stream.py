"""One request on a connection of Hypercorn's, and the body that arrives for it.

Hypercorn sends what the application answers; the way in is ours, so that a body is taken from the network only as it
is read, and a client that waits for `100 Continue` is told to go on when somebody wants what it has.

Imported only when something is served, as Hypercorn is.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote

from hypercorn.protocol.events import Body, EndBody, Event, Request, StreamClosed
from hypercorn.protocol.http_stream import HTTPStream

from pyconvex.http.asgi import Message

QUEUED_BYTES = 256 * 1024
"""How much of a body may wait for the application before no more is taken from the network."""

SMALL_BYTES = 4096
"""Parts below it are put together while they wait: a million chunks of a byte each are not to be a million objects."""

_GONE: Message = {"type": "http.disconnect"}


class HttpStream(HTTPStream):
    """Made by `Http11` for every request but those that upgrade.

    Arguments:
        wanted: called when the application waits for a part of the body that has not arrived.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, wanted: Callable[[], None], *parts: Any) -> None:
        super().__init__(*parts)
        self._inbox = Inbox(loop, wanted)

    async def handle(self, event: Event) -> None:
        if self.closed:
            return
        kind = type(event)
        if kind is Request:
            self._begin(cast("Request", event))
        elif kind is Body:
            await self._inbox.put(cast("bytearray", cast("Body", event).data))
        elif kind is EndBody:
            self._inbox.end()
        elif kind is StreamClosed:
            self.closed = True
            self._inbox.close()

    def _begin(self, request: Request) -> None:
        self.start_time = 0.0  # for Hypercorn's access log, which is off
        path, _, query = request.raw_path.partition(b"?")
        scope = {
            "type": "http",
            "http_version": request.http_version,
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "method": request.method,
            "scheme": self.scheme,
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": request.headers,
            "client": self.client,
            "server": self.server,
            "extensions": {},
        }
        self.scope = cast("Any", scope)
        cast("Any", self.task_group).spawn(self._run)

    async def _run(self) -> None:
        app = cast("Any", self.app)
        try:
            await app(self.scope, self._inbox.receive, self.app_send, None, None)
        finally:
            await self.app_send(None)


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
