"""Hypercorn, hosted on sockets that are bound already (https://hypercorn.readthedocs.io/en/latest/).

Imported only when something is served: it costs 140 ms.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from hypercorn.config import Sockets as HypercornSockets
from hypercorn.logging import Logger
from hypercorn.typing import ASGIFramework, ResponseSummary, WWWScope

from .ports import BACKLOG, Sockets
from ..http.asgi import Asgi

SHUTDOWN_SECONDS = 0.8
"""A client that neither reads nor leaves is dropped after this."""


async def serve(
    app: Asgi, sockets: Sockets, *, shutdown: asyncio.Event, close: Callable[[], Awaitable[None]]
) -> None:
    """Serve `app` until `shutdown` is set.

    Arguments:
        close: ends the requests and streams in progress. It runs before Hypercorn stops, because from Python 3.12 on
            Hypercorn waits for open connections before it would end them itself.
    """

    stopping = asyncio.Event()

    async def stop() -> None:
        await shutdown.wait()
        await close()
        stopping.set()

    server = asyncio.ensure_future(
        hypercorn_serve(cast("ASGIFramework", app), _HostedConfig(sockets), shutdown_trigger=stop, mode="asgi")
    )
    watch = asyncio.ensure_future(stopping.wait())
    with _quiet_connections():
        try:
            await asyncio.wait({server, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not server.done():
                await asyncio.wait({server}, timeout=SHUTDOWN_SECONDS)
        finally:
            watch.cancel()
            server.cancel()
            sockets.close()
    if server.done() and not server.cancelled() and (error := server.exception()) is not None:
        raise error


class _HostedConfig(Config):
    """Hypercorn's settings, raised to what a backend needs (its defaults suit a small site)."""

    backlog = BACKLOG
    accesslog = None
    errorlog = None
    graceful_timeout = 0.3
    h11_max_incomplete_size = 64 * 1024
    include_server_header = False
    keep_alive_max_requests = 2**40
    keep_alive_timeout = 75.0
    websocket_max_message_size = 64 * 2**20
    websocket_ping_interval = 10.0

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self.logger_class = _Silent
        self._second = -1
        self._dated: list[tuple[bytes, bytes]] = []

    def create_sockets(self) -> HypercornSockets:
        return HypercornSockets([], [self._sockets.api, self._sockets.site], [])

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
def _quiet_connections() -> Iterator[None]:
    """Keep asyncio from printing a traceback when a peer breaks the protocol so badly that its connection dies."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") == "Unhandled exception in client_connected_cb":
            return
        (before or asyncio.AbstractEventLoop.default_exception_handler)(loop, context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)
