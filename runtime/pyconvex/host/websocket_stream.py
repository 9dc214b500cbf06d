"""A WebSocket of Hypercorn's, with shortcuts that make a message cost a third, and bounds that hold.

Hypercorn and wsproto do the handshake and read what clients send. What is sent is framed here: a message to a thousand
clients is a thousand frames, and without extensions a frame is its text after two to ten bytes (RFC 6455, section 5).
Compression is never agreed to, for every client would need a compressor of its own.

Imported only when something is served, as Hypercorn is.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from struct import Struct
from typing import Any, Protocol, cast

from hypercorn.protocol.events import Event, Request, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError

from pyconvex.http.websocket import NO_STATUS, PUSH

from .heartbeat import Heartbeat

LINGER_SECONDS = 1.0
"""How long a client may take to answer that its WebSocket was closed; what it still sends is thrown away."""

_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A
_LONG, _LONGER = Struct("!BBH"), Struct("!BBQ")

_CONNECTED, _CLOSED = ASGIWebsocketState.CONNECTED, ASGIWebsocketState.CLOSED


class Wire(Protocol):
    """What a stream needs of its connection."""

    loop: asyncio.AbstractEventLoop
    heartbeat: Heartbeat

    @property
    def behind(self) -> bool:
        """Whether the client has so much to read that nothing more should be written without waiting."""
        ...

    def offer(self, data: bytes) -> bool:
        """Write it, unless the client is behind; whether it was written."""
        ...

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def abort(self) -> None: ...
    def hang_up(self) -> None: ...


class WebSocketStream(WSStream):
    """Made by `Http11` for a request to upgrade."""

    def __init__(self, wire: Wire, *parts: Any) -> None:
        super().__init__(*parts)
        self._wire = wire
        self._inbox = _Inbox(self.config.websocket_max_message_size)
        self._code: int = CloseReason.ABNORMAL_CLOSURE
        self._told = False
        self._linger: asyncio.TimerHandle | None = None
        self.heard_at = wire.loop.time()
        """When something came from the client, on the clock of the event loop."""

    async def handle(self, event: Event) -> None:
        self.heard_at = self._wire.loop.time()
        if isinstance(event, StreamClosed):
            await self._end()
        elif not self.closed:
            await super().handle(event)
            if self.closed:
                await self._refused()
        if isinstance(event, Request) and not self.closed:
            # The application begins in the next turn of the event loop.
            self.handshake.extensions = None
            cast("dict[str, Any]", self.scope)["extensions"][PUSH] = self.push

    async def _refused(self) -> None:
        """The handshake was none, or something came before its answer: what follows is neither message nor request."""
        self._wire.hang_up()
        await self.send(StreamClosed(stream_id=self.stream_id))

    def push(self, text: bytes) -> bool:
        """See `pyconvex.http.websocket.Push`. What is sent to a client that is gone counts as sent."""
        if self.state is _CONNECTED and not self.closed:
            return self._wire.offer(_framed(_TEXT, text))
        return True

    def ping(self) -> None:
        """Ask the client for a sign of life, unless it has something to read anyway."""
        self._wire.offer(_framed(_PING, b""))

    def drop(self) -> None:
        """End the connection without a word."""
        self._wire.abort()

    async def app_send(self, message: Any) -> None:
        if self.closed:
            return
        if self.state is _CONNECTED:
            await self._app_send(message)
        elif self.state is not _CLOSED:
            await super().app_send(message)

    async def _app_send(self, message: Mapping[str, Any] | None) -> None:
        if message is None:
            await self._close(CloseReason.INTERNAL_ERROR, None)  # the application ended without a word
        elif message["type"] == "websocket.send" and (text := message.get("text")) is not None:
            await self._send(_framed(_TEXT, text.encode()))
        elif message["type"] == "websocket.close":
            await self._close(message.get("code", CloseReason.NORMAL_CLOSURE), message.get("reason") or None)
        else:
            await super().app_send(cast("Any", message))

    async def _send_pings(self) -> None:
        """Where Hypercorn starts a task for each WebSocket."""
        self._wire.heartbeat.add(self)

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, CloseConnection):
                await self._peer_closed(event)
                return
            if self.state is not _CONNECTED:
                continue  # it was closed here, and the client goes on for a while
            if isinstance(event, (TextMessage, BytesMessage)):
                await self._take(event)
            elif isinstance(event, Ping):
                await self._send(_framed(_PONG, bytes(event.payload)))

    async def _take(self, event: TextMessage | BytesMessage) -> None:
        if not self._inbox.take(event):
            await self._close(CloseReason.MESSAGE_TOO_BIG, None)
        elif event.message_finished:
            await self._put(self._inbox.message())

    async def _send(self, data: bytes) -> None:
        self._wire.write(data)
        if self._wire.behind:
            await self._wire.drain()

    async def _close(self, code: int, reason: str | None) -> None:
        """Begin the closing handshake; the client has `LINGER_SECONDS` to end it.

        To hang up at once could cost it the last messages: what it sends then meets a closed socket, whose answer makes
        its system forget what was not read yet.
        """
        self.state = _CLOSED
        self._code = code
        self._inbox.clear()
        known = CloseReason.NO_STATUS_RCVD if code == NO_STATUS else code
        with suppress(LocalProtocolError):
            self._wire.write(bytes(self.connection.send(CloseConnection(known, reason))))
        self._linger = self._wire.loop.call_later(LINGER_SECONDS, self._wire.abort)
        self._wire.heartbeat.remove(self)
        cast("Any", self.task_group).spawn(self._tell)

    async def _peer_closed(self, event: CloseConnection) -> None:
        """The client closed, or answered that we did, or broke the protocol."""
        with suppress(LocalProtocolError):
            self._wire.write(bytes(self.connection.send(event.response())))
        if self.state is _CONNECTED:
            self._code = event.code
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _end(self) -> None:
        """The connection is over, or about to be."""
        self.closed = True
        self._inbox.clear()
        self._wire.heartbeat.remove(self)
        if self._linger is not None:
            self._linger.cancel()
        await self._tell()

    async def _tell(self) -> None:
        """Tell the application that nothing more will come."""
        if not self._told:
            self._told = True
            await self._put({"type": "websocket.disconnect", "code": self._code})

    async def _put(self, message: dict[str, Any]) -> None:
        """Waits while the application has not received what came before."""
        put = cast("Any", self).app_put
        if put is not None:
            await put(message)


class _Inbox:
    """The message that is arriving, in one frame or in many, up to so many bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: BytesIO | None = None
        self._data: str | bytes = ""
        self._is_text = True

    def take(self, event: TextMessage | BytesMessage) -> bool:
        """Whether the message fits with this part of it."""
        data = event.data
        self._is_text = isinstance(data, str)
        if self._parts is None and event.message_finished:
            self._data = data if isinstance(data, str) else bytes(data)  # most messages come whole
            return len(data) * 4 <= self._limit or len(_utf8(self._data)) <= self._limit
        if self._parts is None:
            self._parts = BytesIO()
        self._parts.write(_utf8(data))
        return self._parts.tell() <= self._limit

    def message(self) -> dict[str, Any]:
        """What the application is told, when the last part has come."""
        data = self._data
        if self._parts is not None:
            data = self._parts.getvalue().decode() if self._is_text else self._parts.getvalue()
        self.clear()
        return {"type": "websocket.receive", "text" if self._is_text else "bytes": data}

    def clear(self) -> None:
        self._parts, self._data = None, ""


def _utf8(data: str | bytes | bytearray) -> bytes | bytearray:
    return data.encode() if isinstance(data, str) else data


def _framed(first: int, payload: bytes) -> bytes:
    """A whole, unfragmented frame of a server, which masks nothing."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 2**16:
        return _LONG.pack(first, 126, size) + payload
    return _LONGER.pack(first, 127, size) + payload
