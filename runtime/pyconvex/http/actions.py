"""HTTP actions: from a request to the user's handler and back (https://docs.convex.dev/functions/http-actions)."""

from typing import Any, NamedTuple, cast

from pyconvex.clock import request_id
from pyconvex.engine.auth.identity import ANONYMOUS, Identity
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.failures import Failure, FunctionFailed, describe
from pyconvex.engine.http_execution import HttpExecution
from pyconvex.engine.requests.request_journal import Arrival, Replay
from pyconvex.errors import RequestRefused
from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.fetch.request import Client, PathParams, Request
from pyconvex.functions.fetch.url import pathname
from pyconvex.functions.function import RegisteredFunction
from pyconvex.functions.routing.cors import Cors
from pyconvex.functions.routing.middleware import Runnable
from pyconvex.functions.routing.route import ANY_METHOD, Match, Route, RouteForm
from pyconvex.loading.registry import Registry

from .asgi import BodyTooLarge, ClientGone, Exchange
from .authorization import identify_leniently
from .deployment import Deployment
from .errors import error_body, failure_body
from .media import JSON, TEXT
from .misses import miss_note
from .mounts import Mounts, cors_headers
from .outgoing import UnsendableResponse, send_response
from .proxies import HOST
from .request_url import origin_of
from .signal import LiveSignal
from .websocket import WebSocket

ALLOWED = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
METHODS = frozenset(ALLOWED.split(", "))
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
NOT_ENABLED = b"This Convex deployment does not have HTTP actions enabled."
NO_ROUTE = b"No matching routes found"
NO_WEBSOCKETS = "WebSockets end at the sync protocol: use server-sent events here, or a live query of a Convex client"
LOGGED_PATH_MAX = 1000

ASSUMED_IDENTITY = "pyconvex.identity"
"""Key of the ASGI scope by which tests say who asks; no server sets it."""

REPLAY = "pyconvex.replay"
"""Key of the ASGI scope by which the admin API says that a kept request is sent again; no server sets it."""


class _Matched(NamedTuple):
    """A request and the route that takes it."""

    registry: Registry
    match: Match
    path: str
    cors: Cors | None
    call: Call


class HttpActions:
    """Serves the routes of the current version."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._journal = deployment.journal
        self._mounts = Mounts(deployment.environment.visible)
        self.lifespans = self._mounts.lifespans
        """Of the mounted applications."""

    async def serve(self, exchange: Exchange) -> None:
        """Answer with the route that matches, or say that there is none."""
        if exchange.method not in METHODS:
            await exchange.respond(405, [(b"allow", ALLOWED.encode())])
        elif not await self.try_serve(exchange):
            router = self._deployment.versions.current.router
            if router is not None and router.cors is not None:
                exchange.extra_headers = cors_headers(router.cors, exchange)
            self.log_miss(exchange)
            await exchange.respond(404, TEXT, NOT_ENABLED if router is None else NO_ROUTE)

    async def try_serve(self, exchange: Exchange) -> bool:
        """Answer with the route that matches; False when there is none and nothing was sent."""
        with self._deployment.versions.lease() as registry:
            router = registry.router
            if router is None or exchange.method not in METHODS:
                return False
            path = pathname(exchange.routed_path)
            match = router.table.match(path, exchange.method)
            if match is not None:
                if match.route.form is RouteForm.MOUNT and await self._preflight(exchange, registry, path):
                    return True
                call = self._call(exchange, await self._identity(exchange))
                await self._run(exchange, _Matched(registry, match, path, router.cors, call))
                return True
            return await self._preflight(exchange, registry, path)

    def log_miss(self, exchange: Exchange) -> None:
        """Log a request that no route takes, with the route it may have meant."""
        registry, path = self._deployment.versions.current, pathname(exchange.routed_path)
        note = miss_note(registry, path, exchange.method, guess=not self._deployment.redact)
        self._log(exchange, registry, exchange.routed_path, 404, note)

    async def refuse_websocket(self, socket: WebSocket) -> None:
        """Answer a handshake that is not for the sync protocol: HTTP actions and mounted applications take none."""
        registry, path = self._deployment.versions.current, pathname(socket.path)
        routed = path.removeprefix("/http") if path.startswith("/http/") else path
        router = registry.router
        if router is None or router.table.match(routed, "GET") is None:
            await socket.refuse(404)
            return
        call = Call(Caller.HTTP_ENDPOINT, ANONYMOUS, request_id(self._deployment.clock), socket.client_ip, None)
        shown = f"GET {routed[:LOGGED_PATH_MAX]}"
        self._deployment.runner.http_unmatched(registry, call, shown, status=501, note=NO_WEBSOCKETS)
        await socket.refuse(501, JSON, error_body("WebSocketsNotSupported", NO_WEBSOCKETS))

    async def _identity(self, exchange: Exchange) -> Identity:
        identity: Identity | None = exchange.scope.get(ASSUMED_IDENTITY)
        if identity is not None:
            return identity
        header = exchange.header(b"authorization")
        return ANONYMOUS if header is None else await identify_leniently(header, self._deployment)

    def _call(self, exchange: Exchange, identity: Identity) -> Call:
        number = request_id(self._deployment.clock)
        agent = exchange.text_header(b"user-agent")
        if self._journal is None:
            return Call(Caller.HTTP_ENDPOINT, identity, number, exchange.client_ip, agent)
        replay: Replay | None = exchange.scope.get(REPLAY)
        arrival = self._arrival(exchange, number, replay)
        exchange.record(self._journal.begin(arrival, complete=exchange.body.complete))
        arrived_ms = None if replay is None else replay.at_ms
        return Call(Caller.HTTP_ENDPOINT, identity, number, exchange.client_ip, agent, arrived_ms=arrived_ms)

    def _arrival(self, exchange: Exchange, number: str, replay: Replay | None) -> Arrival:
        if replay is not None:
            replay.id = number
        return Arrival(
            number,
            self._deployment.clock.now_ms(),
            exchange.method,
            exchange.routed_path,
            exchange.query,
            exchange.headers,
            exchange.client_ip,
            None if replay is None else replay.of,
            exchange.scope.get("scheme", "http"),
            exchange.scope.get(HOST),
        )

    async def _run(self, exchange: Exchange, matched: _Matched) -> None:
        cors, route = matched.cors, matched.match.route
        if cors is not None:
            exchange.extra_headers = cors_headers(cors, exchange)
        self._check_length(exchange, matched)
        url = origin_of(exchange, self._deployment.urls.site) + matched.path
        handler = _handler(route)
        method = exchange.method if route.method == ANY_METHOD else route.method
        async with self._deployment.runner.http_action(
            matched.registry,
            handler,
            matched.call,
            f"{method} {route.path}",
            request=_shown(exchange, matched.path),
        ) as running:
            try:
                if handler is None:
                    await self._mounts.run(exchange, running, route, cors, self._body_limit(route))
                else:
                    url = f"{url}?{exchange.query}" if exchange.query else url
                    request = self._request(exchange, url, matched.match.path_params, self._body_limit(route))
                    response = await running.respond(request)
                    await send_response(exchange, running, response, cors, self._deployment.limits)
            except FunctionFailed as error:
                if isinstance(error.__cause__, ClientGone):
                    running.finish(status=None, error=error.__cause__.message)
                else:
                    await self._answer_failure(exchange, running, error.failure)
            except UnsendableResponse as error:
                await self._answer_failure(exchange, running, describe(error, matched.registry))
            except RequestRefused as error:
                await _answer_refusal(exchange, running, error)
            else:
                _finish(exchange, running)

    async def _answer_failure(self, exchange: Exchange, running: HttpExecution, failure: Failure) -> None:
        """The error body (`code`, `trace`, `data`), unless a response has begun: that one is cut off then."""
        if not exchange.started:
            number = running.execution.call.request_id
            await exchange.respond(500, JSON, failure_body(failure, number, redacted=self._deployment.redact))
        running.finish(status=exchange.status, error=failure.text, hint=failure.hint)

    def _request(self, exchange: Exchange, url: str, params: PathParams, limit: int) -> Request:
        """The Fetch request; a body that has arrived already is handed over at once, else it streams."""
        body, method, headers = exchange.body, exchange.method, Headers.incoming(exchange.headers)
        body.poll()
        content = None if method in BODILESS else body.arrived() if body.complete and body.size <= limit else body
        client = exchange.client and Client(*exchange.client)
        return Request.incoming(url, method, headers, content, limit, params, LiveSignal(body), client)

    def _check_length(self, exchange: Exchange, matched: _Matched) -> None:
        if exchange.method in BODILESS:
            return
        limit = self._body_limit(matched.match.route)
        if (exchange.content_length() or 0) > limit:
            error = BodyTooLarge(limit)
            self._log(exchange, matched.registry, matched.path, error.status, error.message)
            raise error

    def _body_limit(self, route: Route) -> int:
        own = route.max_body_bytes
        return self._deployment.limits.http_request_bytes if own is None else own

    async def _preflight(self, exchange: Exchange, registry: Registry, path: str) -> bool:
        """Answer a preflight to a route or a mounted application, when the router does CORS; False when it is none."""
        router = registry.router
        if exchange.method != "OPTIONS" or router is None or router.cors is None:
            return False
        methods = router.methods_at(path)
        response = router.cors.preflight(Headers.incoming(exchange.headers), methods) if methods else None
        if response is None:
            return False
        self._log(exchange, registry, path, response.status, "preflight")
        await exchange.respond(response.status, response.headers.encoded())
        return True

    def _log(self, exchange: Exchange, registry: Registry, path: str, status: int, note: str) -> None:
        """The entry of a request that reached no handler; who sent it is not looked into."""
        call = self._call(exchange, ANONYMOUS)
        self._deployment.runner.http_unmatched(registry, call, _shown(exchange, path), status=status, note=note)


def _handler(route: Route) -> Runnable | None:
    """What runs; None for a mounted application."""
    if route.form is RouteForm.MOUNT:
        return None
    return route.layered or cast("RegisteredFunction[..., Any]", route.handler)


async def _answer_refusal(exchange: Exchange, running: HttpExecution, error: RequestRefused) -> None:
    if not exchange.started:
        await exchange.respond(error.status, JSON, error_body(error.code, error.message))
    running.finish(status=exchange.status, error=error.message, hint=error.hint)


def _finish(exchange: Exchange, running: HttpExecution) -> None:
    """Log the request; a client that had left before the answer began makes it an error."""
    if exchange.left_before_answer:
        running.finish(status=None, error="Client disconnected")
    else:
        running.finish(status=exchange.status, note=exchange.recording and exchange.recording.note)


def _shown(exchange: Exchange, path: str) -> str:
    return f"{exchange.method} {path[:LOGGED_PATH_MAX]}"
