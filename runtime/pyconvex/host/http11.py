"""HTTP/1.1 on one connection of Hypercorn's: strict about what comes, quick about what goes.

h11 reads the requests. What is here refuses requests that two servers could understand differently
(RFC 9112, section 11.2), says why, and closes the connection: nothing that follows such a request is believed.
HTTP/2 is left to the proxy in front, which has TLS, where browsers speak it.

Imported only when something is served, as Hypercorn is.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, cast

import h11
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection

from pyconvex.settings import Limits

from .http_stream import HttpStream
from .idle_timer import IdleTimer
from .response_writer import ResponseWriter
from .strict_buffer import StrictBuffer
from .websocket_stream import WebSocketStream, Wire

VERSIONS = (b"1.1", b"1.0")
PARTS_IN_A_TURN = 256
"""How many chunks of one body are taken before others have their turn."""

_PLAIN = (b"content-type", b"text/plain; charset=utf-8")
_MID_REQUEST = (h11.SEND_BODY, h11.ERROR)
"""Where a client is of whose request something is missing."""

_UNREAD = (408, 413)
"""What is answered to a request whose body nobody is going to read."""


class Line(Wire, Protocol):
    """What the protocol needs of its connection, beside what a WebSocket does."""

    idle_timer: IdleTimer

    async def send(self, data: bytes) -> None: ...


class Http11(H11Protocol):
    """Made by `Connection` in the place of Hypercorn's own."""

    def __init__(self, line: Line, limits: Limits, *parts: Any) -> None:
        super().__init__(*parts)
        self._line = line
        self._limits = limits
        self._late: asyncio.TimerHandle | None = None
        self._answering: HttpStream | None = None
        """What is answered now, unless it is a WebSocket."""
        self._keeps = True
        """The client lets another request follow the one that is answered."""
        self._is_ended = False
        """The client sends nothing more."""
        self._is_over = False
        """The last response was sent."""
        self._incoming = StrictBuffer(limits.request_head_bytes, limits.request_head_fields)
        self._await_request()

    async def handle(self, event: Event) -> None:
        if type(event) is not RawData:
            self._cancel_late()
            await super().handle(event)
        elif self._listens:
            self._is_ended = not event.data
            self.connection.receive_data(event.data)
            await self._handle_events()

    async def _handle_events(self) -> None:
        parts = 0
        while self._listens:
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint, str(error))
                return
            kind = type(event)
            if kind is h11.Request:
                await self._begin(cast("h11.Request", event))
            elif event is h11.PAUSED:
                await self.can_read.clear()
                await self.can_read.wait()
            elif self.stream is None:
                self._await_head()
                return
            elif kind is h11.Data:
                await self.stream.handle(Body(stream_id=STREAM_ID, data=cast("h11.Data", event).data))
                parts += 1
                if parts % PARTS_IN_A_TURN == 0:
                    await asyncio.sleep(0)
            elif kind is h11.EndOfMessage:
                await self.stream.handle(EndBody(stream_id=STREAM_ID))
                if not self._incoming:
                    return
            elif event is h11.NEED_DATA or kind is h11.ConnectionClosed:
                return
            else:
                await self.stream.handle(cast("StreamEvent", event))  # what a WebSocket receives

    async def _begin(self, request: h11.Request) -> None:
        self._cancel_late()
        await self.send(Updated(idle=False))
        headers = list(request.headers)
        fields = dict(headers)
        wrong = _fault(request, fields)
        if wrong is not None:
            await self._refuse(*wrong)
            return
        begun = Request(
            stream_id=STREAM_ID,
            headers=headers,
            http_version=request.http_version.decode(),
            method=request.method.decode("ascii").upper(),
            raw_path=request.target,
            state=self.connection_state,
        )
        if b"upgrade" in fields and _asks_for_websocket(request.method, fields):
            await self._upgrade(begun)
        else:
            self._keeps = _keeps(request)
            self._answering = stream = HttpStream(self._line, self, begun)
            self.stream = cast("Any", stream)
            cast("Any", self.task_group).spawn(stream.run)

    async def _upgrade(self, begun: Request) -> None:
        parts = self.app, self.config, self.context, self.task_group, self.ssl, self.client, self.server
        stream = WebSocketStream(self._line, *parts, self.stream_send, STREAM_ID)
        self.connection = H11WSConnection(cast("h11.Connection", self.connection))
        self.stream = stream
        await stream.handle(begun)

    async def stream_send(self, event: StreamEvent) -> None:
        """What a WebSocket sends, its handshake included."""
        if type(event) is StreamClosed:
            await self.ended(is_last=True)
        else:
            await super().stream_send(event)

    def server_headers(self) -> Sequence[tuple[bytes, bytes]]:
        return self.config.response_headers("h11")

    async def ended(self, *, is_last: bool) -> None:
        await self._close_stream()
        self._answering = None
        is_last = is_last or self.connection.their_state in _MID_REQUEST or self.context.terminated.is_set()
        if is_last:
            self._is_over = True
        else:
            self._await_request()
        await self.can_read.set()
        await self.send(Closed() if is_last else Updated(idle=True))

    def _await_request(self) -> None:
        """h11 reads one request with each of its connections; the bytes that it has not read stay in the buffer."""
        connection = h11.Connection(h11.SERVER, self._limits.request_head_bytes)
        cast("Any", connection)._receive_buffer = self._incoming
        if self._is_ended:
            connection.receive_data(b"")
        self.connection = connection

    def is_last(self, status: int) -> bool:
        connection = self.connection
        if not self._keeps or self.context.terminated.is_set():
            return True
        unread = connection.their_state is h11.SEND_BODY
        return unread and (status in _UNREAD or connection.they_are_waiting_for_100_continue)

    def go_on(self) -> None:
        """Tell a client to go on that asked whether it should (RFC 9110, section 10.1.1)."""
        if self.connection.they_are_waiting_for_100_continue and not self._has_answered:
            said = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._line.write(self.connection.send(said))

    @property
    def _listens(self) -> bool:
        """Whether what comes can be a request, or part of one: what follows the last is nobody's."""
        return not self._is_over and self.connection.their_state is not h11.MUST_CLOSE

    @property
    def _has_answered(self) -> bool:
        """Something of the response to the present request was sent."""
        return self._answering is not None and self._answering.has_begun

    def _await_head(self) -> None:
        if self._incoming and self._late is None:
            self._line.idle_timer.pause()
            self._late = self._line.loop.call_later(self._limits.request_head_seconds, self._give_up)

    def _give_up(self) -> None:
        seconds = f"{self._limits.request_head_seconds:g}"
        self._say(408, f"the headers of the request were not complete after {seconds} s")
        self._line.hang_up()

    def _cancel_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    async def _refuse(self, status: int, why: str) -> None:
        """Say what is wrong, take nothing more, and hang up."""
        self._say(status, why)
        self._line.hang_up()
        await self._close_stream()

    def _say(self, status: int, why: str) -> None:
        if self._has_answered:
            return
        text = f"{why[:1].upper()}{why[1:200]}\n".encode("ascii", "replace")
        writer = ResponseWriter("GET", "1.1")
        headers = (_PLAIN, (b"content-length", b"%d" % len(text)), *self.server_headers())
        self._line.write(writer.head(status, headers, ends_connection=True) + writer.part(text))


def _fault(request: h11.Request, fields: dict[bytes, bytes]) -> tuple[int, str] | None:
    """The status and the reason with which a request is refused, which by itself has the right form."""
    if request.http_version not in VERSIONS:
        return 505, "HTTP/1.1 and HTTP/1.0 are spoken here"
    if b"transfer-encoding" in fields:
        if b"content-length" in fields:
            return 400, "Content-Length and Transfer-Encoding exclude each other"
        if request.http_version == b"1.0":
            return 400, "HTTP/1.0 has no Transfer-Encoding"
    return None


def _asks_for_websocket(method: bytes, fields: dict[bytes, bytes]) -> bool:
    """RFC 6455, section 4.2.1; what is wrong with such a request is for the stream to find."""
    tokens = fields.get(b"connection", b"").lower().split(b",")
    return method == b"GET" and fields[b"upgrade"].lower() == b"websocket" and b"upgrade" in map(bytes.strip, tokens)


def _keeps(request: h11.Request) -> bool:
    """Whether the connection outlives the response (RFC 9112, section 9.3); that of a tunnel never does."""
    if request.http_version != b"1.1" or request.method == b"CONNECT":
        return False
    asked = [value for name, value in request.headers if name == b"connection"]
    return not any(token.strip() == b"close" for value in asked for token in value.lower().split(b","))
