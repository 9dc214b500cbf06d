"""ASGI applications below a prefix: `http.mount("/api/", app)`, for FastAPI, Starlette and their like."""

from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import unquote

from pyconvex.functions.cors import Cors
from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.route import AsgiApp, Route

from .asgi import Exchange, Message, RawHeaders, Scope


async def run_mount(exchange: Exchange, route: Route, cors: Cors | None) -> None:
    """Let a mounted application answer. What it raises goes on to the caller, who sees what was sent by then."""
    app = cast("AsgiApp", route.handler)
    await app(_scope_below(exchange, route.prefix), exchange.body.receive, _sender(exchange, cors))


def _scope_below(exchange: Exchange, prefix: str) -> Scope:
    """The scope with the mount as `root_path`, which ASGI applications take off the path before they route."""
    path = exchange.path
    alias = "/http" if exchange.routed_path != path else ""
    return {
        **exchange.scope,
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "root_path": alias + prefix.rstrip("/"),
    }


def _sender(exchange: Exchange, cors: Cors | None) -> Callable[[Message], Awaitable[None]]:
    """ASGI's `send`, which keeps the exchange informed and adds the router's CORS headers."""

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: RawHeaders = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
            await exchange.start(message["status"], headers + _missing(cors, exchange, headers))
        elif message["type"] == "http.response.body":
            body = b"" if exchange.bodiless else bytes(message.get("body", b""))
            await (exchange.write(body) if message.get("more_body", False) else exchange.finish(body))

    exchange.extra_headers = []
    return send


def _missing(cors: Cors | None, exchange: Exchange, headers: RawHeaders) -> RawHeaders:
    """The CORS headers that the application has not set itself."""
    if cors is None:
        return []
    present = {name.lower() for name, _ in headers}
    return [pair for pair in cors_headers(cors, exchange) if pair[0] not in present]


def cors_headers(cors: Cors, exchange: Exchange) -> RawHeaders:
    """What lets the page that asks read an answer that nobody else has set headers for."""
    headers = Headers()
    cors.decorate(headers, exchange.text_header(b"origin"))
    return headers.encoded()
