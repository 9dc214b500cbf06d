"""HTTP/1.1 on one connection of Hypercorn's: strict about what comes, quick about what goes.

h11 reads and writes the messages. What is here refuses requests that two servers could understand differently
(RFC 9112, section 11.2), says why, and closes the connection: nothing that follows such a request is believed.
HTTP/2 is left to the proxy in front, which has TLS, where browsers speak it.

Imported only when something is served, as Hypercorn is.
"""

import asyncio
from functools import lru_cache
from typing import Any, Protocol, cast

import h11
from hypercorn.events import Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection

from pyconvex.settings import Limits

from .http_stream import HttpStream
from .idle_timer import IdleTimer
from .strict_buffer import StrictBuffer
from .websocket_stream import WebSocketStream, Wire

HEADS_KEPT = 512
VERSIONS = (b"1.1", b"1.0")
PARTS_IN_A_TURN = 256
"""How many chunks of one body are taken before others have their turn."""

_END = h11.EndOfMessage()
_LAST = (b"connection", b"close")
_PLAIN = (b"content-type", b"text/plain; charset=utf-8")
_UNREAD = (408, 413)
"""What is answered to a request whose body nobody is going to read."""


class Line(Wire, Protocol):
    """What the protocol needs of its connection, beside what a WebSocket does."""

    idle_timer: IdleTimer


class Http11(H11Protocol):
    """Made by `Connection` in the place of Hypercorn's own."""

    def __init__(self, line: Line, limits: Limits, *parts: Any) -> None:
        super().__init__(*parts)
        self._line = line
        self._limits = limits
        self._late: asyncio.TimerHandle | None = None
        self._is_tunnel = False
        self._incoming = StrictBuffer(limits.request_head_bytes, limits.request_head_fields)
        cast("Any", self.connection)._receive_buffer = self._incoming

    async def handle(self, event: Event) -> None:
        if type(event) is not RawData:
            self._cancel_late()
            await super().handle(event)
        elif self.connection.their_state is not h11.MUST_CLOSE:
            self.connection.receive_data(event.data)
            await self._handle_events()

    async def _handle_events(self) -> None:
        parts = 0
        while self.connection.their_state is not h11.MUST_CLOSE:  # what follows the last request is nobody's
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
        self._is_tunnel = request.method == b"CONNECT"
        parts = self.app, self.config, self.context, self.task_group, self.ssl, self.client, self.server
        if b"upgrade" in fields and _asks_for_websocket(request.method, fields):
            stream = WebSocketStream(self._line, *parts, self.stream_send, STREAM_ID)
            self.connection = H11WSConnection(cast("h11.Connection", self.connection))
        else:
            stream = HttpStream(self._line.loop, self._continue, *parts, self.stream_send, STREAM_ID)
        self.stream = stream
        await stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    async def stream_send(self, event: StreamEvent) -> None:
        kind = type(event)
        if kind is Body:
            await self._send_h11_event(h11.Data(data=cast("Body", event).data))
        elif kind is EndBody:
            await self._send_h11_event(_END)
        elif kind is StreamClosed:
            await self._maybe_recycle()
        elif isinstance(event, Response) and event.status_code >= 200:
            headers = (*event.headers, *self.config.response_headers("h11"))
            if self.context.terminated.is_set() or self._is_last(event.status_code):
                headers = (*headers, _LAST)
            await self._send_h11_event(_head(event.status_code, *headers))
        else:
            await super().stream_send(event)

    def _is_last(self, status: int) -> bool:
        """Whether the connection ends after the response, because what is on its way is no request."""
        if self._is_tunnel:
            return True
        connection = self.connection
        unread = connection.their_state is h11.SEND_BODY
        return unread and (status in _UNREAD or connection.they_are_waiting_for_100_continue)

    def _continue(self) -> None:
        """Tell a client to go on that asked whether it should (RFC 9110, section 10.1.1)."""
        if self.connection.they_are_waiting_for_100_continue:
            self._line.write(self.connection.send(h11.InformationalResponse(status_code=100, headers=[])))

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
        if self.connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        text = f"{why[:1].upper()}{why[1:200]}\n".encode("ascii", "replace")
        head = (_PLAIN, (b"content-length", b"%d" % len(text)), _LAST, *self.config.response_headers("h11"))
        for event in (h11.Response(status_code=status, headers=list(head)), h11.Data(data=text), _END):
            self._line.write(cast("h11.Connection", self.connection).send(event) or b"")


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


@lru_cache(HEADS_KEPT)
def _head(status: int, *headers: tuple[bytes, bytes]) -> h11.Response:
    return h11.Response(status_code=status, headers=list(headers))
