"""The edge towards ASGI: one request and its response, bodies under limits, clients that leave.

Nothing else in pyconvex speaks ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html). What is written here
holds for every server: a response is never left half framed by accident, and a request's body is taken in before the
response ends, because servers that queue what they receive (Hypercorn) would otherwise wait for a reader for ever.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import monotonic
from typing import Any, cast

from pyconvex.engine.requests.request_journal import Recording

from .request_body import DEFAULT_PACE
from .request_body import Body as Body
from .request_body import BodyTooLarge as BodyTooLarge
from .request_body import BodyTooSlow as BodyTooSlow
from .request_body import ClientGone as ClientGone
from .request_body import Message as Message
from .request_body import Pace as Pace
from .request_body import Receive as Receive

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

PATIENCE_SECONDS = 0.002
"""A client that leaves sooner after its request is not noticed before its answer begins."""


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
        "recording",
        "routed_path",
        "scope",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, pace: Pace = DEFAULT_PACE) -> None:
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
        self.body = Body(receive, empty=self._announces_no_body(), pace=pace)
        self.extra_headers: RawHeaders = []
        """Sent with whatever is answered (CORS)."""
        self.started = False
        self.left_before_answer = False
        """The client was gone when the answer began."""
        self.status = 0
        self.recording: Recording | None = None
        """What the journal of requests keeps of it."""
        self._send = send

    def record(self, recording: Recording) -> None:
        """Let `recording` hear of the body as it arrives, and of the end."""
        if self.recording is not None:
            self.recording.drop()
        self.recording = recording
        self.body.tap = recording.take

    def end(self) -> None:
        """Nothing more is going to be done with the request: to be called once."""
        self.body.abandon()
        if self.recording is not None:
            took_ms = (monotonic() - self._began) * 1000
            self.recording.finish(self.status, took_ms, complete=self.body.complete)

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
    def client(self) -> tuple[str, int] | None:
        """Address and port of who sent it, as far as trusted proxies know; None when nobody does."""
        return self.scope.get("client")

    @property
    def client_ip(self) -> str | None:
        client = self.client
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
            waits = self.header(b"expect") is not None and not self.body.asked
            self.body.poll()
            if not (self.body.complete or self.body.disconnected):
                await self.write(last)
                # a client that asked whether it should go on has sent nothing, and one that was too slow is not awaited
                if not waits and self.status != BodyTooSlow.STATUS:
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
