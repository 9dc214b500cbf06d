"""The ASGI application of a deployment: which request goes where.

Two addresses, one origin. The site address is HTTP actions only. The API address is, in this order: an endpoint of the
API with its methods and its preflight; a user's route (below `/http/` always, elsewhere when one matches); what the
API says to paths it does not have.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

from pyconvex.engine.client_version import ClientVersion, client_version
from pyconvex.engine.outages import refusal
from pyconvex.errors import RequestRefused
from pyconvex.store.persistence import StoreFailed

from .actions import HttpActions
from .admin_api import UNSUPPORTED
from .asgi import ClientGone, Exchange, Pace, Receive, Scope, Send
from .cors import allow_origin
from .deployment import Deployment
from .endpoints import Methods, endpoints_of
from .errors import error_body
from .health import PATH as HEALTH
from .health import Health, Phase
from .media import JSON
from .request_url import check_target
from .requests_api import RequestsApi
from .watch_api import WatchApi
from .websocket import WebSocket

WebSocketEndpoint = Callable[[WebSocket, ClientVersion], Awaitable[None]]
"""Serves a WebSocket, which it accepts itself, to its end."""

DRAIN_SECONDS = 0.2
"""How long requests in progress may go on after the deployment was told to stop."""

_SYNC = re.compile(r"/api/(?:([^/]+)/)?sync")
"""The JavaScript client says its version in the path, the others in a header."""

_log = logging.getLogger("pyconvex.http")


class App:
    """Plain ASGI 3: runs under any server, which must fill in `scope["server"]`, on the loop that it is made on.

    Arguments:
        sync: what serves the clients of the sync protocol.
    """

    def __init__(self, deployment: Deployment, sync: WebSocketEndpoint) -> None:
        self.site_port: int | None = None
        """Requests to this port are for HTTP actions; set when ports are known."""
        self._health = Health(deployment)
        self._sync = sync
        self._actions = HttpActions(deployment)
        self.lifespans = self._actions.lifespans
        """Of the mounted applications."""
        self._watches = WatchApi(deployment)
        requests = RequestsApi(deployment, self, lambda: self.site_port)
        self._endpoints, self._prefixes = endpoints_of(deployment, self._health, self._watches, requests)
        self._tasks: set[asyncio.Task[object]] = set()
        self._loop = asyncio.get_running_loop()  # to ask each time costs a system call
        self._proxies = deployment.proxies
        self._pace = Pace(deployment.limits.request_idle_seconds, deployment.limits.request_rate_bytes)
        self._turns_away = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        kind = scope["type"]
        if self._proxies.trusts_any and kind != "lifespan":
            self._proxies.believe(scope)
        if kind == "http":
            await self._serve(scope, receive, send)
        elif kind == "lifespan":
            await _lifespan(receive, send)
        elif kind == "websocket":
            await self._serve_websocket(WebSocket(scope, receive, send))

    @property
    def busy(self) -> bool:
        """Whether requests are in progress."""
        return bool(self._tasks)

    @property
    def phase(self) -> Phase:
        """What `/health` says; while it is STARTING, nothing else is answered."""
        return self._health.phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._health.phase = phase
        self._turns_away = phase in (Phase.STARTING, Phase.CLOSED)

    async def close(self, patience: float = DRAIN_SECONDS) -> None:
        """End the requests in progress: they have so many seconds to end by themselves, then they are cancelled.

        Those that were on their way meanwhile are served as well.
        """
        until = self._loop.time() + patience
        self.phase = Phase.STOPPING
        self._watches.close()
        while self._tasks and (left := until - self._loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        self.phase = Phase.CLOSED
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
        await self.lifespans.close(max(patience, DRAIN_SECONDS))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._pace)
        task = asyncio.current_task(self._loop)
        assert task is not None, "ASGI servers run an application in a task"
        self._tasks.add(task)
        try:
            await self._dispatch(exchange)
        except ClientGone:
            pass  # nobody is left to answer
        except RequestRefused as error:
            await _refuse(exchange, error)
        except StoreFailed as error:
            _log.error("%s %s failed: %s", exchange.method, exchange.path, error)
            await _refuse(exchange, refusal(error))
        except Exception:
            _log.exception("%s %s failed inside pyconvex", exchange.method, exchange.path)
            await _fail(exchange)
        finally:
            self._tasks.discard(task)
            exchange.end()

    def _dispatch(self, exchange: Exchange) -> Awaitable[None]:
        if self._turns_away and exchange.path != HEALTH:
            if exchange.port != self.site_port:
                allow_origin(exchange)
            body = error_body("ServiceUnavailable", f"This deployment is {self._health.phase}")
            return exchange.respond(503, [*JSON, (b"connection", b"close"), (b"retry-after", b"1")], body)
        self._check(exchange)
        if exchange.port == self.site_port:
            return self._serve_health(exchange) if exchange.path == HEALTH else self._actions.serve(exchange)
        return self._dispatch_api(exchange)

    def _check(self, exchange: Exchange) -> None:
        """Raise `RequestRefused` when the request is for no path that has one meaning, or for another host."""
        try:
            check_target(exchange)
            if self._proxies.limits_hosts and exchange.path != HEALTH:
                self._proxies.check_host(exchange.scope)
        except RequestRefused:
            if exchange.port != self.site_port:
                allow_origin(exchange)
            raise

    async def _serve_websocket(self, socket: WebSocket) -> None:
        match = None if socket.port == self.site_port else _SYNC.fullmatch(socket.path)
        if match is None:
            await self._actions.refuse_websocket(socket)
        elif self._turns_away:
            await socket.refuse(503)
        else:
            version = match[1]
            try:
                if self._proxies.limits_hosts:
                    self._proxies.check_host(socket.scope)
                named = socket.header(b"convex-client") if version is None else f"npm-{version}".encode()
                client = client_version(named)
            except RequestRefused as error:
                await socket.refuse(error.status, JSON, error_body(error.code, error.message))
            else:
                await self._sync(socket, client)

    async def _serve_health(self, exchange: Exchange) -> None:
        """On the site address a user's route of that name comes first."""
        if exchange.method not in ("GET", "HEAD"):
            await self._actions.serve(exchange)
        elif self._turns_away or not await self._actions.try_serve(exchange):
            await self._health.answer(exchange)

    async def _dispatch_api(self, exchange: Exchange) -> None:
        path, method = exchange.path, exchange.method
        if path == "/http" or path.startswith("/http/"):
            exchange.routed_path = path.removeprefix("/http") or "/"
            await self._actions.serve(exchange)
            return
        methods = self._endpoints.get(path) or self._prefixed(path)
        if methods is not None and (endpoint := methods.get(method)) is not None:
            allow_origin(exchange)
            await endpoint(exchange)
        elif not await self._actions.try_serve(exchange):
            allow_origin(exchange)
            await self._answer_unknown(exchange, methods)

    async def _answer_unknown(self, exchange: Exchange, methods: Methods | None) -> None:
        if methods is not None:
            await exchange.respond(405, [(b"allow", ",".join(methods).encode())])
        elif exchange.path.startswith(UNSUPPORTED):
            raise RequestRefused(400, "NotSupported", f"{exchange.path} is not supported by pyconvex")
        else:
            if not exchange.path.startswith("/api/"):
                self._actions.log_miss(exchange)
            await exchange.respond(404)

    def _prefixed(self, path: str) -> Methods | None:
        for prefix, methods in self._prefixes:
            if path.startswith(prefix):
                return methods
        return None


async def _refuse(exchange: Exchange, error: RequestRefused) -> None:
    if not exchange.started:
        await exchange.respond(error.status, JSON, error_body(error.code, error.message))


async def _fail(exchange: Exchange) -> None:
    if not exchange.started:
        body = error_body("InternalServerError", "Your request couldn't be completed. Try again later.")
        await exchange.respond(500, JSON, body)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
