"""One connection of Hypercorn's, with shortcuts that make a request cost a third less.

Hypercorn's classes do the work; what is here takes the short way where they take a long one: no task for each pause
between requests, no second check of a head that was sent before, one write for all that one turn of the event loop
produced (the head and the body of a response, as a rule).

Imported only when something is served, as Hypercorn is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, cast

import h11
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol

WRITE_AHEAD_BYTES = 64 * 1024
"""How much of a response may wait for a slow reader before its producer has to wait too."""

HEADS_KEPT = 512

_END = h11.EndOfMessage()
_LAST = (b"connection", b"close")


class Connection(TCPServer):
    """Made and awaited by `_Worker.accept`."""

    def __init__(self, outbox: "Outbox", *parts: Any) -> None:
        super().__init__(*parts)
        self.idle_timer = IdleTimer(self.loop, self.config.keep_alive_timeout, self._initiate_server_close)
        self.idle_task = cast("Any", self.idle_timer)  # Hypercorn names its own class there
        self._outbox = outbox
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._behind_bytes = 0

    async def _read_data(self) -> None:
        _use_http11(self.protocol)
        handle, read = self.protocol.handle, self.reader.read
        while not self.reader.at_eof():
            try:
                data = await read(MAX_RECV)
            except OSError:
                break
            await handle(RawData(data))
        await handle(Closed())

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
        if not self._unsent:
            self._outbox.add(self)
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes + self._behind_bytes > WRITE_AHEAD_BYTES:
            self.flush()
            try:
                await self.writer.drain()
            except (ConnectionError, RuntimeError):
                await self.protocol.handle(Closed())

    async def _close(self) -> None:
        self.flush()
        await super()._close()

    def flush(self) -> None:
        """Write what has gathered."""
        if not self._unsent:
            return
        transport = self.writer.transport
        with suppress(ConnectionError, RuntimeError):  # the peer is gone: the reading side hears of it too
            transport.write(b"".join(self._unsent))
        self._behind_bytes = transport.get_write_buffer_size()
        self._unsent.clear()
        self._unsent_bytes = 0


class Outbox:
    """The connections that have something to write at the end of this turn of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Connection] = []

    def add(self, connection: Connection) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(connection)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.flush()


class _Http11(H11Protocol):
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


def _use_http11(wrapper: Any) -> None:
    """Put ours in the place of Hypercorn's, whose class the wrapper of a connection names itself."""
    if type(wrapper.protocol) is H11Protocol:
        wrapper.protocol = _Http11(
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


@lru_cache(HEADS_KEPT)
def _head(status: int, *headers: tuple[bytes, bytes]) -> h11.Response:
    return h11.Response(status_code=status, headers=list(headers))


class IdleTimer:
    """Closes a connection that waits too long for its next request. Stands in for `AsyncioSingleTask`.

    Pauses come and go thousands of times a second, so only their beginning is noted; the one timer looks at that.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], Awaitable[None]]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._close = close
        self.used = False
        """Whether a request has come."""
        self._idle_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Future[None] | None = None

    def set(self, *, idle: bool) -> None:
        """A pause begins or ends."""
        self._idle_since = self._loop.time() if idle else None
        self.used = self.used or not idle
        if idle and self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    async def restart(self, task_group: object, action: object) -> None:
        self.set(idle=True)

    async def stop(self) -> None:
        self.set(idle=False)

    def expire(self) -> None:
        """Close the connection now, if it is idle."""
        if self._idle_since is not None:
            self._idle_since = None
            self._closing = asyncio.ensure_future(self._close())

    def cancel(self) -> None:
        """The connection has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._idle_since is None:
            return  # the next pause starts a timer again
        left = self._idle_since + self._seconds - self._loop.time()
        if left <= 0:
            self.expire()
        else:
            self._timer = self._loop.call_later(left, self._look)
