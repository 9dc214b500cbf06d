"""The edge towards ASGI: one request and its response, bodies under limits, clients that leave.

Nothing else in pyconvex speaks ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html). What is written here
holds for every server: a response is never left half framed by accident, and a request's body is taken in before the
response ends, because servers that queue what they receive (Hypercorn) would otherwise wait for a reader for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, MutableMapping
from time import monotonic
from typing import Any, cast

from pyconvex.errors import PyconvexError, RequestRefused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

PATIENCE_SECONDS = 0.002
"""A client that leaves sooner after its request is not noticed before its answer begins."""

EARLY_BYTES_MAX = 2**20
"""How much of a body is taken in before somebody reads it; the rest waits with the server and the client."""

LINGER_SECONDS = 2.0
LINGER_BYTES = 64 * 2**20
"""How long and how much of an unread request body is taken in after its response was sent, so that a client that
is still sending reads the response instead of a reset connection."""


class ClientGone(PyconvexError):
    """The client closed its connection before the request was complete."""

    def __init__(self) -> None:
        super().__init__("ClientDisconnected", "Client disconnected")


class BodyTooLarge(RequestRefused):
    """A request's body is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, "RequestTooLarge", f"The request body is too large (limit: {limit} bytes)")


class Body:
    """The body of one request, as an async iterator of bytes."""

    __slots__ = ("_early", "_early_bytes", "_ended", "_receive", "complete", "disconnected")

    def __init__(self, receive: Receive, *, empty: bool = False) -> None:
        self._receive = receive
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._ended = False
        self.complete = empty
        """All of it has arrived (though some may not have been read yet)."""
        self.disconnected = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._early:
            if self.complete:
                raise StopAsyncIteration
            if self.disconnected:
                raise ClientGone
            self._take(await self._receive())
        chunk = self._early.pop(0)
        self._early_bytes -= len(chunk)
        return chunk

    async def read(self, limit: int) -> bytes:
        """All of it.

        Raises `BodyTooLarge` beyond `limit` bytes, `ClientGone` when the client leaves before the end.
        """
        chunks: list[bytes] = []
        size = 0
        async for chunk in self:
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(limit)
            chunks.append(chunk)
        return b"".join(chunks)

    def arrived(self) -> bytes:
        """What has arrived and was not read yet."""
        chunks, self._early, self._early_bytes = self._early, [], 0
        return b"".join(chunks)

    async def receive(self) -> Message:
        """ASGI's `receive`, for an application that reads the body itself."""
        while not self.disconnected:
            if self._early or (self.complete and not self._ended):
                self._ended = self.complete
                return {"type": "http.request", "body": self.arrived(), "more_body": not self.complete}
            self._take(await self._receive())
        return {"type": "http.disconnect"}

    def poll(self) -> None:
        """Take in what has arrived of the body, without waiting for more; not without bounds, if nobody reads it."""
        while not (self.complete or self.disconnected or self._early_bytes >= EARLY_BYTES_MAX):
            message = _at_once(self._receive)
            if message is None:
                return
            self._take(message)

    def look(self) -> bool:
        """Whether the client has left, as far as that is known without waiting."""
        self.poll()
        while self.complete and not self.disconnected and (message := _at_once(self._receive)) is not None:
            self._take(message)
        return self.disconnected

    async def discard(self) -> None:
        """Take in and forget the rest, within `LINGER_SECONDS` and `LINGER_BYTES`."""
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not (self.complete or self.disconnected):
                    left -= len(self.arrived())
                    if left <= 0:
                        return
                    self._take(await self._receive())
        except TimeoutError:
            return

    def abandon(self) -> None:
        """Let go of a client that sends on and on: what still comes is thrown away until the server hangs up.

        Hypercorn cannot close a connection while nobody takes in what it has queued.
        """
        if not (self.complete or self.disconnected):
            task = asyncio.ensure_future(self._forget())
            _abandoned.add(task)
            task.add_done_callback(_abandoned.discard)

    async def _forget(self) -> None:
        while not (self.complete or self.disconnected):
            self._take(await self._receive())
            self.arrived()

    def _take(self, message: Message) -> None:
        if message["type"] != "http.request":
            self.disconnected = True
            return
        if chunk := message.get("body"):
            self._early.append(chunk)
            self._early_bytes += len(chunk)
        if not message.get("more_body", False):
            self.complete = True


_abandoned: set[asyncio.Task[None]] = set()


def _at_once(receive: Receive) -> Message | None:
    """What `receive` answers without waiting, or None; the waiting it began is taken back."""
    waiting = cast("Coroutine[Any, Any, Message]", receive())
    try:
        waiting.send(None)
    except StopIteration as done:
        return done.value
    waiting.close()
    return None


class Exchange:
    """One HTTP request and the response to it."""

    __slots__ = (
        "_began",
        "_send",
        "body",
        "extra_headers",
        "header",
        "headers",
        "left_before_answer",
        "method",
        "path",
        "query",
        "routed_path",
        "scope",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._began = monotonic()
        self.scope = scope
        self.method: str = scope["method"]
        self.path = raw_path(scope)
        """As it was sent: percent-encoding kept, without the query."""
        self.routed_path = self.path
        """What routes are compared with: below the alias `/http`, the rest."""
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: RawHeaders = scope["headers"]
        """Names in lower case, as every ASGI server gives them."""
        self.header = dict(reversed(self.headers)).get
        """The first header of a name: `header(b"host")`, None without one."""
        self.body = Body(receive, empty=self._announces_no_body())
        self.extra_headers: RawHeaders = []
        """Sent with whatever is answered (CORS)."""
        self.started = False
        self.left_before_answer = False
        """The client was gone when the answer began."""
        self.status = 0
        self._send = send

    def text_header(self, name: bytes) -> str | None:
        """The first header of that (lower-case) name, decoded as Latin-1."""
        value = self.header(name)
        return None if value is None else value.decode("latin-1")

    @property
    def port(self) -> int | None:
        """The port of this machine that the request came in on."""
        server: tuple[str, int] | None = self.scope.get("server")
        return None if server is None else server[1]

    @property
    def client_ip(self) -> str | None:
        client: tuple[str, int] | None = self.scope.get("client")
        return None if client is None else client[0]

    def content_length(self) -> int | None:
        """What the client announced; None for a stream of unknown size or an announcement that is no number."""
        value = self.header(b"content-length")
        return int(value) if value is not None and value.isdigit() else None

    def _announces_no_body(self) -> bool:
        """Whether nothing need be received to know the body (RFC 9112, section 6.3); HTTP/2 announces nothing."""
        return (
            self.method in ("GET", "HEAD")
            and self.header(b"content-length") is None
            and self.header(b"transfer-encoding") is None
            and self.scope.get("http_version") in ("1.1", "1.0")
        )

    async def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b"") -> None:
        """Send a whole response. A content-length is added; a HEAD request and 204, 205, 304 get no body."""
        head = [*headers, *self.extra_headers]
        if status not in (204, 304):
            head.append((b"content-length", b"%d" % (0 if status == 205 else len(body))))
        self._begin(status)
        await self._send({"type": "http.response.start", "status": status, "headers": head})
        last = b"" if self.bodiless else body
        if self.body.complete:
            await self._send({"type": "http.response.body", "body": last, "more_body": False})
        else:
            await self.finish(last)

    async def start(self, status: int, headers: RawHeaders) -> None:
        """Send the head of a response whose body follows through `write` and `finish`."""
        self._begin(status)
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self.extra_headers]})

    def _begin(self, status: int) -> None:
        # to look costs 5 µs, and a client that is gone this early would have had no use for an answer anyway
        if monotonic() - self._began > PATIENCE_SECONDS:
            self.body.look()
        self.left_before_answer = self.body.disconnected
        self.started = True
        self.status = status

    async def write(self, chunk: bytes) -> None:
        """Send a part of the body; waits while the client reads more slowly than it is produced."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def finish(self, last: bytes = b"") -> None:
        """End the response, after taking in what the client may still be sending."""
        if not self.body.complete:
            self.body.poll()
            if not (self.body.complete or self.body.disconnected):
                await self.write(last)
                await self.body.discard()
                self.body.abandon()
                last = b""
        await self._send({"type": "http.response.body", "body": last, "more_body": False})

    @property
    def bodiless(self) -> bool:
        """Whether the response may not have a body (RFC 9110, sections 9.3.2 and 15)."""
        return self.method == "HEAD" or self.status in (204, 205, 304)


def raw_path(scope: Scope) -> str:
    """The path of the request line; `http://host/path` (RFC 9112, section 3.2.2) counts as `/path`."""
    raw: bytes | None = scope.get("raw_path")
    path = raw.decode("latin-1") if raw is not None else cast("str", scope["path"])
    path = path.partition("?")[0]
    if path.startswith("/") or "://" not in path:
        return path
    _, slash, rest = path.partition("://")[2].partition("/")
    return slash + rest if slash else "/"
