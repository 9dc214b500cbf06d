"""`/api/pyconvex/watch`: a live query for a terminal, with a line of JSON for each result."""

import asyncio

from pyconvex.engine.auth.identity import Identity
from pyconvex.engine.live.queries import LiveQueries
from pyconvex.engine.live.results import LiveResult, View
from pyconvex.errors import RequestRefused

from .asgi import Exchange
from .deployment import Deployment
from .function_request import FunctionRequest, caller, function_asked
from .media import JSON_LINES

HEARTBEAT_SECONDS = 5.0
"""After so long without a result there is an empty line: a client that is gone is noticed by it."""


class WatchApi:
    """All watches of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._open: set[_Watch] = set()
        self._closing = False

    async def watch(self, exchange: Exchange) -> None:
        """POST: as `/api/query`, for an admin.

        Each line is `{"status": "success", "value": …, "logLines": […]}` or `{"status": "error", "errorMessage": …}`
        with encoded values, and different from the one before.

        Raises `RequestRefused` as the client API does, and 403 for a caller who is no admin.
        """
        call = await caller(exchange, self._deployment)
        if not call.identity.is_admin:
            raise RequestRefused(403, "BadDeployKey", "This endpoint needs the admin key of the deployment")
        asked = await function_asked(exchange, self._deployment.limits.api_request_bytes)
        watch = _Watch(self._deployment.live, asked, call.identity)
        self._open.add(watch)
        try:
            await exchange.start(200, JSON_LINES)
            while not (self._closing or exchange.body.look()):
                await exchange.write(await watch.line())
            await exchange.finish()
        finally:
            self._open.discard(watch)
            watch.close()

    def close(self) -> None:
        """End all watches: the server is about to stop."""
        self._closing = True
        for watch in self._open:
            watch.wake()


class _Watch:
    """One live query. It is run again only when its last result was taken."""

    def __init__(self, live: LiveQueries, asked: FunctionRequest, identity: Identity) -> None:
        self._subscriptions = live.subscriptions(self._on_stale, self._on_view)
        self._subscriptions.identify(identity)
        self._subscriptions.add(0, asked.path, asked.args)
        self._stale = True
        self._result: LiveResult | None = None
        self._shown = b""
        """The fingerprint of the last line."""
        self._news = asyncio.Event()

    async def line(self) -> bytes:
        """The next result that is another one; an empty line after a while without, or when it was woken."""
        if self._stale and self._result is None:
            self._stale = False
            self._news.clear()
            self._subscriptions.refresh()
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._news.wait()
        except TimeoutError:
            return b"\n"
        self._news.clear()
        result, self._result = self._result, None
        if result is None or result.fingerprint == self._shown:
            return b"\n"
        self._shown = result.fingerprint
        return b'{"status":"%s"%s\n' % (b"success" if result.ok else b"error", result.tail)

    def wake(self) -> None:
        self._news.set()

    def close(self) -> None:
        self._subscriptions.close()

    def _on_stale(self) -> None:
        self._stale = True
        self._news.set()

    def _on_view(self, view: View) -> None:
        self._result = view.results[0]
        self._news.set()
