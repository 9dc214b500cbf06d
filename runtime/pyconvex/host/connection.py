"""One connection of Hypercorn's, with shortcuts that make a request cost a third less.

Hypercorn's classes do the work; what is here takes the short way where they take a long one: no task for each pause
between requests, no second check of a head that was sent before, one write for all that one turn of the event loop
produced (the head and the body of a response, as a rule).

Imported only when something is served, as Hypercorn is.
"""

import asyncio
from functools import lru_cache
from typing import Any, cast

import h11
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection

from .heartbeat import Heartbeat
from .idle_timer import IdleTimer
from .websocket_stream import WebSocketStream

WRITE_AHEAD_BYTES = 64 * 1024
"""How much of a response may wait for a slow reader before its producer has to wait too."""

WAITING_MAX = 16
"""How many connections may wait for the end of a turn of the event loop."""

HEADS_KEPT = 512

_END = h11.EndOfMessage()
_LAST = (b"connection", b"close")


class Connection(TCPServer):
    """Made and awaited by `_Worker.accept`."""

    def __init__(self, outbox: "Outbox", heartbeat: Heartbeat, *parts: Any) -> None:
        super().__init__(*parts)
        self.heartbeat = heartbeat
        self.idle_timer = IdleTimer(self.loop, self.config.keep_alive_timeout, self._initiate_server_close)
        self.idle_task = cast("Any", self.idle_timer)  # Hypercorn names its own class there
        self._outbox = outbox
        self._transport = self.writer.transport
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._behind_bytes = 0

    async def _read_data(self) -> None:
        self._use_http11(self.protocol)
        handle, read = self.protocol.handle, self.reader.read
        while not self.reader.at_eof():
            try:
                data = await read(MAX_RECV)
            except OSError:
                break
            await handle(RawData(data))
        await handle(Closed())

    def _use_http11(self, wrapper: Any) -> None:
        """Put ours in the place of Hypercorn's, whose class the wrapper of a connection names itself."""
        if type(wrapper.protocol) is H11Protocol:
            wrapper.protocol = _Http11(
                self,
                wrapper.app,
                wrapper.config,
                wrapper.context,
                wrapper.task_group,
                wrapper.state,
                wrapper.ssl,
                wrapper.client,
                wrapper.server,
                wrapper.send,
            )

    async def protocol_send(self, event: Event) -> None:
        # The commonest first, and by identity: the events of Hypercorn are abstract classes, which are slow to ask.
        kind = type(event)
        if kind is RawData:
            await self._send(cast("RawData", event).data)
        elif kind is Updated:
            self.flush()
            self.idle_timer.set(idle=cast("Updated", event).idle)
        else:
            self.flush()
            await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        if not data:
            return  # the end of a body of known length has no bytes of its own
        self.write(data)
        if self._unsent_bytes + self._behind_bytes > WRITE_AHEAD_BYTES:
            await self.drain()

    def write(self, data: bytes) -> None:
        """Have `data` written at the end of this turn of the event loop, or sooner."""
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if len(self._unsent) == 1:
            self._outbox.add(self)

    def offer(self, data: bytes) -> bool:
        """As `write`, but only if not too much waits for the reader already; whether it was."""
        if self._unsent_bytes + self._behind_bytes > WRITE_AHEAD_BYTES and self.behind:
            return False
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if len(self._unsent) == 1:
            self._outbox.add(self)
        return True

    @property
    def behind(self) -> bool:
        """Whether more than `WRITE_AHEAD_BYTES` wait for the reader."""
        if self._unsent_bytes + self._behind_bytes <= WRITE_AHEAD_BYTES:
            return False
        self.flush()
        self._behind_bytes = self._transport.get_write_buffer_size()
        return self._behind_bytes > WRITE_AHEAD_BYTES

    async def drain(self) -> None:
        """Wait until the reader has caught up."""
        self.flush()
        try:
            await self.writer.drain()
        except (ConnectionError, RuntimeError):
            await self.protocol.handle(Closed())

    def abort(self) -> None:
        """End it at once; what was not sent is lost."""
        self._transport.abort()

    async def _close(self) -> None:
        self.flush()
        await super()._close()

    def flush(self) -> None:
        """Write what has gathered."""
        unsent = self._unsent
        if not unsent:
            return
        transport = self._transport
        self._unsent, self._unsent_bytes = [], 0
        try:
            transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))
        except (ConnectionError, RuntimeError):
            return  # the peer is gone: the reading side hears of it too
        self._behind_bytes = transport.get_write_buffer_size()


class Outbox:
    """The connections that have something to write at the end of this turn of the event loop.

    When there are many, the first ones need not wait for the last: clients read while the rest is made.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Connection] = []

    def add(self, connection: Connection) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._flush()
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(connection)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.flush()


class _Http11(H11Protocol):
    def __init__(self, connection: Connection, *parts: Any) -> None:
        super().__init__(*parts)
        self._wire = connection

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
            if self.context.terminated.is_set():
                headers = (*headers, _LAST)
            await self._send_h11_event(_head(event.status_code, *headers))
        else:
            await super().stream_send(event)

    async def _create_stream(self, request: h11.Request) -> None:
        if not _asks_for_websocket(request):
            await super()._create_stream(request)
            return
        parts = self.app, self.config, self.context, self.task_group, self.ssl, self.client, self.server
        self.stream = WebSocketStream(self._wire, *parts, self.stream_send, STREAM_ID)
        self.connection = H11WSConnection(cast("h11.Connection", self.connection))
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method="GET",
                raw_path=request.target,
                state=self.connection_state,
            )
        )


def _asks_for_websocket(request: h11.Request) -> bool:
    """RFC 6455, section 4.2.1; what is wrong with such a request is for the stream to find."""
    if request.method != b"GET":
        return False
    headers = dict(request.headers)
    tokens = headers.get(b"connection", b"").lower().split(b",")
    return headers.get(b"upgrade", b"").lower() == b"websocket" and b"upgrade" in map(bytes.strip, tokens)


@lru_cache(HEADS_KEPT)
def _head(status: int, *headers: tuple[bytes, bytes]) -> h11.Response:
    return h11.Response(status_code=status, headers=list(headers))
