"""Hypercorn, hosted on sockets that are bound already (https://hypercorn.readthedocs.io/en/latest/).

Hypercorn's protocols and connections are used as they are; the few lines that accept connections and end them are ours,
so that ending takes well under a second whatever clients do: `hypercorn.asyncio.serve` waits for open connections from
Python 3.12 on, and keeps connections that clients have closed until they count as idle.

Imported only when something is served: it costs 140 ms.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.logging import Logger
from hypercorn.typing import ASGIFramework, LifespanState, ResponseSummary, WWWScope

from pyconvex.http.asgi import Asgi

from .ports import BACKLOG, Sockets

WRITE_AHEAD_BYTES = 64 * 1024
"""How much of a response may wait for a slow reader before its producer has to wait too."""

GOODBYE_SECONDS = 0.3
"""How long connections may take to send what is left after they were told to end; then they are dropped."""


async def serve(app: Asgi, sockets: Sockets, *, shutdown: asyncio.Event, close: Callable[[], Awaitable[None]]) -> None:
    """Serve `app` until `shutdown` is set.

    Arguments:
        close: ends the requests and streams in progress; no new connections are accepted by then.
    """
    worker = _Worker(app)
    with _quiet_connections():
        servers = [
            await asyncio.start_server(worker.accept, sock=each, backlog=BACKLOG)
            for each in (sockets.api, sockets.site)
        ]
        try:
            await shutdown.wait()
        finally:
            for server in servers:
                server.close()
            await close()
            await worker.end()


class _Worker:
    """All connections of one server."""

    def __init__(self, app: Asgi) -> None:
        self._app = ASGIWrapper(cast("ASGIFramework", app))
        self._config = _HostedConfig()
        self._context = WorkerContext(max_requests=None)
        self._connections: dict[asyncio.Task[Any], _Connection] = {}

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        task = asyncio.current_task()
        assert task is not None, "asyncio runs each connection in a task"
        loop = asyncio.get_running_loop()
        connection = _Connection(self._app, loop, self._config, self._context, LifespanState(), reader, writer)
        self._connections[task] = connection
        try:
            await connection
        finally:
            connection.idle_timer.cancel()
            del self._connections[task]

    async def end(self) -> None:
        """Close idle connections, let busy ones send what is left, drop those that do not get rid of it."""
        await self._context.terminated.set()
        for connection in self._connections.values():
            connection.idle_timer.expire()
        if self._connections:
            await asyncio.wait(list(self._connections), timeout=GOODBYE_SECONDS)
        left = list(self._connections.items())
        for task, connection in left:
            connection.writer.transport.abort()
            task.cancel()
        if left:
            await asyncio.wait([task for task, _ in left], timeout=GOODBYE_SECONDS)


class _Connection(TCPServer):
    """A connection of Hypercorn's, with two shortcuts that make a request a third cheaper.

    What is written in one turn of the event loop goes out in one piece (the head and the body of a response, as a
    rule), and idle time is measured with a timer in place of a task for each pause.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.idle_timer = _IdleTimer(self.loop, self.config.keep_alive_timeout, self._initiate_server_close)
        self.idle_task = cast("Any", self.idle_timer)  # Hypercorn names its own class there
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            self._flush()
            await super().protocol_send(event)
            return
        if not event.data:
            return  # the end of a body of known length has no bytes of its own
        if not self._unsent:
            self.loop.call_soon(self._flush)
        self._unsent.append(event.data)
        self._unsent_bytes += len(event.data)
        if self._unsent_bytes + self.writer.transport.get_write_buffer_size() > WRITE_AHEAD_BYTES:
            self._flush()
            try:
                await self.writer.drain()
            except (ConnectionError, RuntimeError):
                await self.protocol.handle(Closed())

    async def _close(self) -> None:
        self._flush()
        await super()._close()

    def _flush(self) -> None:
        if self._unsent_bytes:
            with suppress(ConnectionError, RuntimeError):  # the peer is gone: the reading side hears of it too
                self.writer.write(b"".join(self._unsent))
        self._unsent.clear()
        self._unsent_bytes = 0


class _IdleTimer:
    """Closes a connection that waits too long for its next request. Stands in for `AsyncioSingleTask`.

    Pauses come and go thousands of times a second, so only their beginning is noted; the one timer looks at that.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], Awaitable[None]]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._close = close
        self._idle_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Future[None] | None = None

    async def restart(self, task_group: object, action: object) -> None:
        self._idle_since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    async def stop(self) -> None:
        self._idle_since = None

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


class _HostedConfig(Config):
    """Hypercorn's settings, raised to what a backend needs (its defaults suit a small site)."""

    accesslog = None
    errorlog = None
    h11_max_incomplete_size = 64 * 1024
    include_server_header = False
    keep_alive_max_requests = 2**40
    keep_alive_timeout = 75.0
    websocket_max_message_size = 64 * 2**20
    websocket_ping_interval = 10.0

    def __init__(self) -> None:
        self.logger_class = _Silent
        self._second = -1
        self._dated: list[tuple[bytes, bytes]] = []

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        second = int(time.time())
        if second != self._second:
            self._second, self._dated = second, super().response_headers(protocol)
        return self._dated


class _Silent(Logger):
    """Requests are logged by the deployment, not by the server."""

    async def access(self, request: WWWScope, response: ResponseSummary, request_time: float) -> None:
        return None


@contextmanager
def _quiet_connections() -> Generator[None, None, None]:
    """Keep asyncio from printing a traceback when a peer breaks the protocol so badly that its connection dies."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") == "Unhandled exception in client_connected_cb":
            return
        if before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)
