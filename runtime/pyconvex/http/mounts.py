"""ASGI applications below a prefix: `http.mount("/api/", app)`, for FastAPI, Starlette and their like.

They are plain ASGI: their own middleware, error pages and background tasks work as under any server. The action around
them gives its `ctx`, time limit and log entry.
"""

import re
from typing import cast
from urllib.parse import unquote

from pyconvex.engine.actions import limited
from pyconvex.engine.failures import Failure, FunctionFailed, describe
from pyconvex.engine.http_execution import HttpExecution
from pyconvex.engine.logs.logs import Level
from pyconvex.errors import RequestRefused
from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.fetch.url import pathname
from pyconvex.functions.routing.cors import Cors
from pyconvex.functions.routing.route import AsgiApp, Route
from pyconvex.loading.registry import Registry

from .asgi import BodyTooLarge, BodyTooSlow, ClientGone, Exchange, Message, RawHeaders, Scope
from .errors import error_body
from .lifespans import Lifespans, Visible
from .media import JSON

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""The server's to write (RFC 9110, section 7.6.1)."""

_GONE: Message = {"type": "http.disconnect"}


class ClientLeft(OSError):
    """What an application that goes on sending to a client that is gone is told, as ASGI has it since HTTP 2.4."""


class Mounts:
    """Runs the mounted applications."""

    def __init__(self, visible: Visible) -> None:
        self.lifespans = Lifespans(visible)

    async def run(
        self, exchange: Exchange, running: HttpExecution, route: Route, cors: Cors | None, limit: int
    ) -> None:
        """Let a mounted application answer, under the time limit of actions.

        Args:
            limit: bytes of a request's body; one with more is answered with 413, and the application sees its client
                leave.

        Raises:
            FunctionFailed: it raised, took too long, or did not end its answer; what was sent by then was sent.
            RequestRefused: the body crossed the limit or came too slowly, which the client was told.
        """
        mounted = _Mounted(exchange, cors, limit)
        registry = running.execution.registry
        try:
            await limited(running.execution, self._answer(mounted, registry, route))
        except Exception as error:
            if mounted.refusal is None and not mounted.left:
                raise FunctionFailed(describe(error, registry)) from error
        if mounted.refusal is not None:
            raise mounted.refusal
        if not exchange.started:
            cause = ClientGone() if mounted.left else None
            raise FunctionFailed(Failure("The mounted application ended without a response")) from cause
        if mounted.left:
            running.line(Level.INFO, "Client disconnected", "info:httpActionClientDisconnect")
        elif not mounted.ended:
            raise FunctionFailed(Failure("The mounted application ended in the middle of its response"))

    async def _answer(self, mounted: "_Mounted", registry: Registry, route: Route) -> None:
        lifespan = self.lifespans.of(registry, route)
        await lifespan.started()
        scope = _scope_below(mounted.exchange, route.prefix, lifespan.state)
        await cast("AsgiApp", route.handler)(scope, mounted.receive, mounted.send)


def _scope_below(exchange: Exchange, prefix: str, state: dict[str, object]) -> Scope:
    """The scope with the mount as `root_path`, which ASGI applications take off the path before they route."""
    alias = "/http" if exchange.routed_path != exchange.path else ""
    path = alias + pathname(exchange.routed_path)  # what the route was found by: without dot segments
    return {
        **exchange.scope,
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "root_path": alias + prefix.rstrip("/"),
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "state": state.copy(),
        "extensions": {},  # none of the server's works through us
    }


class _Mounted:
    """ASGI's `receive` and `send` for one request; the exchange is kept informed, the router's CORS headers added."""

    def __init__(self, exchange: Exchange, cors: Cors | None, limit: int) -> None:
        self.exchange = exchange
        self.refusal: RequestRefused | None = None
        self.left = False
        """The application has been told that the client is gone, and had not answered yet."""
        self.ended = False
        """The whole response was sent."""
        self._limit = limit
        self._size = 0
        self._cors_headers = [] if cors is None else cors_headers(cors, exchange)
        exchange.extra_headers = []

    async def receive(self) -> Message:
        if self.refusal is not None:
            return _GONE
        try:
            message = await self.exchange.body.receive()
        except BodyTooSlow as error:
            await self._refuse(error)
            return _GONE
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            await self._refuse(BodyTooLarge(self._limit))
            return _GONE
        self.left = self.left or (message["type"] == "http.disconnect" and not self.ended)
        return message

    async def send(self, message: Message) -> None:
        if self.refusal is not None or self.ended:
            return
        match message["type"]:
            case "http.response.start":
                if self.exchange.started:
                    raise RuntimeError("the mounted application began its response twice")
                await self.exchange.start(message["status"], self._headers(message))
            case "http.response.body":
                if not self.exchange.started:
                    raise RuntimeError("the mounted application sent a body before http.response.start")
                await self._send_body(bytes(message.get("body", b"")), more=message.get("more_body", False))
            case other:
                raise RuntimeError(f"{other!r:.60} is no message of an HTTP response")

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        exchange = self.exchange
        sent = b"" if exchange.bodiless else body
        if more:
            if exchange.body.look():
                self.left = True
                raise ClientLeft("the client has left")
            await exchange.write(sent)
        else:
            self.ended = True
            await exchange.finish(sent)

    async def _refuse(self, refusal: RequestRefused) -> None:
        self.refusal = refusal
        if not self.exchange.started:
            self.exchange.extra_headers = self._cors_headers
            await self.exchange.respond(refusal.status, JSON, error_body(refusal.code, refusal.message))

    def _headers(self, message: Message) -> RawHeaders:
        own = [_checked(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", ())]
        present = {name for name, _ in own}
        is_decided = b"access-control-allow-origin" in present
        added = [pair for pair in self._cors_headers if pair[0] == b"vary" or not is_decided]
        return [pair for pair in own if pair[0] not in _HOP_BY_HOP] + added


def _checked(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r:.60} is not a valid header name")
    if _CONTROL.search(value):
        raise ValueError(f"The header {name.decode()!r} has a control character in its value")
    return name, value


def cors_headers(cors: Cors, exchange: Exchange) -> RawHeaders:
    """What lets the page that asks read an answer that nobody else has set headers for."""
    headers = Headers()
    cors.decorate(headers, exchange.text_header(b"origin"))
    return headers.encoded()
