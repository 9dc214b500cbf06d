"""HTTP actions: from a request to the user's handler and back (https://docs.convex.dev/functions/http-actions)."""

from typing import Any, NamedTuple, cast

from pyconvex.clock import request_id
from pyconvex.engine.actions import limited
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.failures import Failure, FunctionFailed, describe
from pyconvex.engine.http_execution import HttpExecution
from pyconvex.engine.identity import ANONYMOUS, Identity
from pyconvex.errors import RequestRefused
from pyconvex.functions.cors import Cors
from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.fetch.request import PathParams, Request
from pyconvex.functions.function import RegisteredFunction
from pyconvex.functions.route import ANY_METHOD, Match, RouteForm
from pyconvex.loading.registry import Registry, route_place

from .asgi import BodyTooLarge, Exchange
from .authorization import identify_leniently
from .deployment import Deployment
from .errors import error_body, failure_body
from .media import JSON, TEXT
from .mounts import cors_headers, run_mount
from .outgoing import UnsendableResponse, send_response
from .request_url import origin_of, pathname
from .signal import LiveSignal

ALLOWED = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
METHODS = frozenset(ALLOWED.split(", "))
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
NOT_ENABLED = b"This Convex deployment does not have HTTP actions enabled."
NO_ROUTE = b"No matching routes found"
LOGGED_PATH_MAX = 1000

ASSUMED_IDENTITY = "pyconvex.identity"
"""Key of the ASGI scope by which tests say who asks; no server sets it."""


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

    async def serve(self, exchange: Exchange) -> None:
        """Answer with the route that matches, or say that there is none."""
        if exchange.method not in METHODS:
            await exchange.respond(405, [(b"allow", ALLOWED.encode())])
        elif not await self.try_serve(exchange):
            enabled = self._deployment.versions.current.router is not None
            self.log_miss(exchange)
            await exchange.respond(404, TEXT, NO_ROUTE if enabled else NOT_ENABLED)

    async def try_serve(self, exchange: Exchange) -> bool:
        """Answer with the route that matches; False when there is none and nothing was sent."""
        with self._deployment.versions.lease() as registry:
            router = registry.router
            if router is None or exchange.method not in METHODS:
                return False
            path = pathname(exchange.routed_path)
            match = router.match(path, exchange.method)
            if match is not None:
                call = self._call(exchange, await self._identity(exchange))
                await self._run(exchange, _Matched(registry, match, path, router.cors, call))
                return True
            return await self._preflight(exchange, registry, path)

    def log_miss(self, exchange: Exchange) -> None:
        """Log a request that no route takes, with the route it may have meant."""
        registry = self._deployment.versions.current
        note = "no route"
        if registry.version == 0:
            note = "nothing is loaded yet"
        elif registry.router is None:
            note = "no http.py, so there are no routes"
        elif (nearest := registry.router.nearest(pathname(exchange.routed_path), exchange.method)) is not None:
            place = route_place(registry, nearest)
            note = f"no route; nearest is {nearest} ({place.file.rpartition('/')[2]}:{place.line})"
        self._log(exchange, registry, exchange.routed_path, 404, note)

    async def _identity(self, exchange: Exchange) -> Identity:
        identity: Identity | None = exchange.scope.get(ASSUMED_IDENTITY)
        if identity is not None:
            return identity
        header = exchange.header(b"authorization")
        return ANONYMOUS if header is None else await identify_leniently(header, self._deployment)

    def _call(self, exchange: Exchange, identity: Identity) -> Call:
        number = request_id(self._deployment.clock)
        return Call(Caller.HTTP_ENDPOINT, identity, number, exchange.client_ip, exchange.text_header(b"user-agent"))

    async def _run(self, exchange: Exchange, matched: _Matched) -> None:
        cors, route = matched.cors, matched.match.route
        if cors is not None:
            exchange.extra_headers = cors_headers(cors, exchange)
        self._check_length(exchange, matched)
        url = origin_of(exchange, self._deployment.urls.site) + matched.path
        handler = None if route.form is RouteForm.MOUNT else cast("RegisteredFunction[..., Any]", route.handler)
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
                    await self._run_mount(exchange, running, matched)
                else:
                    url = f"{url}?{exchange.query}" if exchange.query else url
                    response = await running.respond(self._request(exchange, url, matched.match.path_params))
                    await send_response(exchange, running, response, cors, self._deployment.limits)
            except FunctionFailed as error:
                await self._answer_failure(exchange, running, error.failure)
            except UnsendableResponse as error:
                await self._answer_failure(exchange, running, describe(error, matched.registry))
            except RequestRefused as error:
                await _answer_refusal(exchange, running, error)
            else:
                _finish(exchange, running)

    async def _run_mount(self, exchange: Exchange, running: HttpExecution, matched: _Matched) -> None:
        try:
            await limited(running.execution, run_mount(exchange, matched.match.route, matched.cors))
        except Exception as error:
            raise FunctionFailed(describe(error, matched.registry)) from error
        if not exchange.started:
            raise FunctionFailed(Failure("The mounted application ended without a response"))

    async def _answer_failure(self, exchange: Exchange, running: HttpExecution, failure: Failure) -> None:
        """The error body (`code`, `trace`, `data`), unless a response has begun: that one is cut off then."""
        if not exchange.started:
            number = running.execution.call.request_id
            await exchange.respond(500, JSON, failure_body(failure, number, redacted=self._deployment.redact))
        running.finish(status=exchange.status, error=failure.text)

    def _request(self, exchange: Exchange, url: str, params: PathParams) -> Request:
        """The Fetch request; a body that has arrived already is handed over at once, else it streams."""
        limit = self._deployment.limits.http_request_bytes
        body, method, headers = exchange.body, exchange.method, Headers.incoming(exchange.headers)
        body.poll()
        content = None if method in BODILESS else body.arrived() if body.complete else body
        return Request.incoming(url, method, headers, content, limit, params, LiveSignal(body))

    def _check_length(self, exchange: Exchange, matched: _Matched) -> None:
        if exchange.method in BODILESS:
            return
        limit = self._deployment.limits.http_request_bytes
        if (exchange.content_length() or 0) > limit:
            error = BodyTooLarge(limit)
            self._log(exchange, matched.registry, matched.path, error.status, error.message)
            raise error

    async def _preflight(self, exchange: Exchange, registry: Registry, path: str) -> bool:
        """Answer an OPTIONS request that no route takes, when the router does CORS; False when it is not for that."""
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


async def _answer_refusal(exchange: Exchange, running: HttpExecution, error: RequestRefused) -> None:
    if not exchange.started:
        await exchange.respond(error.status, JSON, error_body(error.code, error.message))
    running.finish(status=exchange.status, error=error.message)


def _finish(exchange: Exchange, running: HttpExecution) -> None:
    """Log the request; a client that had left before the answer began makes it an error."""
    if exchange.left_before_answer:
        running.finish(status=None, error="Client disconnected")
    else:
        running.finish(status=exchange.status)


def _shown(exchange: Exchange, path: str) -> str:
    return f"{exchange.method} {path[:LOGGED_PATH_MAX]}"
