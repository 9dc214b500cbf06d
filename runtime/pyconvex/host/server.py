"""Hypercorn, hosted on sockets that are bound already (https://hypercorn.readthedocs.io/en/latest/).

Hypercorn's protocols and connections are used as they are; the few lines that accept connections and end them are ours,
so that ending takes well under a second whatever clients do: `hypercorn.asyncio.serve` waits for open connections from
Python 3.12 on, and keeps connections that clients have closed until they count as idle.

Imported only when something is served: it costs 140 ms.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.typing import ASGIFramework, LifespanState, ResponseSummary, WWWScope

from pyconvex.http.asgi import Asgi
from pyconvex.settings import Limits

from .connection import Connection, Outbox
from .heartbeat import Heartbeat
from .ports import BACKLOG, Sockets

FIRST_REQUEST_SECONDS = 0.05
GOODBYE_SECONDS = 0.15
"""How long connections may take to send what is left after they were told to end; then they are dropped."""

_DEFAULT_LIMITS = Limits()


async def serve(
    app: Asgi,
    sockets: Sockets,
    *,
    shutdown: asyncio.Event,
    close: Callable[[], Awaitable[None]],
    shared: bool = False,
    limits: Limits = _DEFAULT_LIMITS,
) -> None:
    """Serve `app` until `shutdown` is set.

    Arguments:
        close: ends the requests and streams in progress; no new connections are accepted by then.
        shared: other processes accept connections from the same sockets.
        limits: of them, how large heads may be, and how long clients are waited for.
    """
    worker = _Worker(app, limits)
    with _quiet_connections():
        servers = [await _listen(worker, each, shared=shared) for each in (sockets.api, sockets.site)]
        try:
            await shutdown.wait()
        finally:
            waiting = [connection for each in (sockets.api, sockets.site) for connection in _waiting(each)]
            for server in servers:
                server.close()
            await worker.let_go(waiting)
            await close()
            await worker.end()


async def _listen(worker: "_Worker", sock: socket.socket, *, shared: bool) -> asyncio.Server:
    if not shared:
        return await asyncio.start_server(worker.accept, sock=sock, backlog=BACKLOG)
    # asyncio accepts as many connections at once as the backlog is long: a whole burst would be this process's.
    server = await asyncio.start_server(worker.accept, sock=sock, backlog=1)
    sock.listen(BACKLOG)
    return server


def _waiting(listening: socket.socket) -> Generator[socket.socket, None, None]:
    """Connections that nobody has accepted yet: closing the socket would reset them."""
    with suppress(OSError):
        for _ in range(BACKLOG):
            connection, _address = listening.accept()
            connection.setblocking(False)
            yield connection


class _Worker:
    """All connections of one server."""

    def __init__(self, app: Asgi, limits: Limits) -> None:
        self._app = ASGIWrapper(cast("ASGIFramework", app))
        self._limits = limits
        self._config = _HostedConfig(limits)
        self._context = WorkerContext(max_requests=None)
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(self._loop)
        self._heartbeat = Heartbeat(self._loop)
        self._connections: dict[asyncio.Task[Any], Connection] = {}

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        task = asyncio.current_task()
        assert task is not None, "asyncio runs each connection in a task"
        parts = self._app, self._loop, self._config, self._context, LifespanState(), reader, writer
        connection = Connection(self._outbox, self._heartbeat, self._limits, *parts)
        self._connections[task] = connection
        try:
            await connection
        except asyncio.CancelledError:
            pass  # `end` drops it; Python 3.11 would print a traceback for each
        finally:
            connection.idle_timer.cancel()
            del self._connections[task]

    async def _take(self, connection: socket.socket) -> None:
        """Serve a connection that was accepted elsewhere."""
        reader = asyncio.StreamReader()
        with suppress(OSError):
            await self._loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader, self.accept), connection
            )
        await asyncio.sleep(0)  # so that its task is among those that are waited for

    async def let_go(self, waiting: Sequence[socket.socket]) -> None:
        """Close idle connections now, and busy ones after their response.

        The first request of a new connection may be on its way: it is waited for, but not for long.

        Arguments:
            waiting: the newest connections, which were not served yet.
        """
        await self._context.terminated.set()
        for connection in waiting:
            await self._take(connection)
        for connection in self._connections.values():
            if connection.idle_timer.used:
                connection.idle_timer.expire()
        new = [task for task, connection in self._connections.items() if not connection.idle_timer.used]
        if new:
            await asyncio.wait(new, timeout=FIRST_REQUEST_SECONDS)

    async def end(self) -> None:
        """Let connections send what is left, drop those that do not get rid of it."""
        self._heartbeat.close()
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


class _HostedConfig(Config):
    """Hypercorn's settings, raised to what a backend needs (its defaults suit a small site)."""

    accesslog = None
    errorlog = None
    include_server_header = False
    keep_alive_max_requests = 2**40
    websocket_max_message_size = 64 * 2**20
    websocket_ping_interval = 10.0

    def __init__(self, limits: Limits) -> None:
        self.logger_class = _Silent
        self.h11_max_incomplete_size = limits.request_head_bytes
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
