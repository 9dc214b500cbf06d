"""Sending the Response of an HTTP action: its headers, its body, and its limit."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import lru_cache

from pyconvex.engine.failures import FunctionFailed
from pyconvex.engine.http_execution import HttpExecution
from pyconvex.engine.logs.logs import Level
from pyconvex.errors import DeveloperError
from pyconvex.functions.fetch.chunks import LiveChunks, SizedChunks
from pyconvex.functions.fetch.headers import Headers, encoded
from pyconvex.functions.fetch.response import Response
from pyconvex.functions.routing.cors import Cors
from pyconvex.settings import Limits

from .asgi import Exchange, RawHeaders

_NOT_THE_AUTHORS = frozenset(
    {b"connection", b"content-length", b"date", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
"""Headers that the server writes: hop by hop (RFC 9110, section 7.6.1), or about what is really sent."""

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_WARN_FROM = 0.8

_SMALL_BYTES = 64 * 1024
"""What a server takes without waiting until its client has read it."""


class UnsendableResponse(DeveloperError):
    """A Response that HTTP has no way to send."""


async def send_response(
    exchange: Exchange, running: HttpExecution, response: Response, cors: Cors | None, limits: Limits
) -> None:
    """Send what a handler returned; status and headers at once, a stream as it is produced.

    Raises `UnsendableResponse` before anything is sent. A stream that fails is
    cut off; the log has said so then.
    """
    try:
        payload = response.payload()
    except TypeError as error:
        raise UnsendableResponse("BodyUsed", f"The Response cannot be sent: {error}") from None
    headers = _headers(response, exchange, cors)
    exchange.extra_headers = []
    if payload is None or isinstance(payload, bytes):
        await _send_known(exchange, running, response.status, headers, payload or b"", limits.http_response_bytes)
    else:
        if isinstance(payload, SizedChunks):
            headers.append((b"content-length", b"%d" % payload.size))
        await exchange.start(response.status, headers)
        await _send_stream(exchange, running, payload, limits.http_response_bytes)


def _headers(response: Response, exchange: Exchange, cors: Cors | None) -> RawHeaders:
    headers = response.headers
    if cors is not None:
        headers = Headers(headers)  # a Response without a body may be returned again, for another origin
        cors.decorate(headers, exchange.text_header(b"origin"))
    return [header for pair in headers.pairs() if (header := _sendable(pair)) is not None]


@lru_cache(512)
def _sendable(pair: tuple[str, str]) -> tuple[bytes, bytes] | None:
    """The header as it is sent; None for one that is the server's to write."""
    name, value = encoded(pair)
    if name in _NOT_THE_AUTHORS:
        return None
    if _CONTROL.search(value):
        raise UnsendableResponse("InvalidHeader", f"The header {name.decode()!r} has a control character in its value")
    return name, value


async def _send_known(
    exchange: Exchange, running: HttpExecution, status: int, headers: RawHeaders, body: bytes, limit: int
) -> None:
    if len(body) <= limit:
        if len(body) > limit * _WARN_FROM:
            _warn_of_size(running, len(body), limit)
        sending = exchange.respond(status, headers, body)
        await (sending if len(body) <= _SMALL_BYTES else running.sent(sending))
        return
    _refuse_more(running, limit)
    # the length of what is missing tells the client that it is not complete
    await exchange.start(status, [*headers, (b"content-length", b"%d" % len(body))])
    if exchange.bodiless:
        await exchange.finish()


async def _send_stream(exchange: Exchange, running: HttpExecution, body: AsyncIterator[bytes], limit: int) -> None:
    if exchange.bodiless:
        await _close(body)
        await exchange.finish()
        return
    size = 0
    try:
        async with AsyncExitStack() as closing:
            chunks = running.chunks(body)
            closing.push_async_callback(_close, chunks)
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    _refuse_more(running, limit)
                    break
                await _write(exchange, chunk)
                if isinstance(body, LiveChunks) and exchange.body.disconnected:
                    break
    except FunctionFailed:
        return  # without its end, the client can tell that the body is not complete
    if isinstance(body, SizedChunks) and size > limit:
        return  # the length of what is missing tells the client that it is not complete
    if limit * _WARN_FROM < size <= limit:
        _warn_of_size(running, size, limit)
    if exchange.body.look():
        running.line(Level.INFO, "Client disconnected", "info:httpActionClientDisconnect")
    await exchange.finish()


async def _write(exchange: Exchange, chunk: bytes) -> None:
    if not exchange.body.look():
        await exchange.write(chunk)


async def _close(chunks: AsyncIterator[bytes]) -> None:
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


def _refuse_more(running: HttpExecution, limit: int) -> None:
    text = f"HttpResponseTooLarge: HTTP actions support responses up to {limit / 2**20:g} MiB"
    running.line(Level.ERROR, text, "error:httpAction")


def _warn_of_size(running: HttpExecution, size: int, limit: int) -> None:
    text = f"Large response returned from an HTTP action (actual: {size} bytes, limit: {limit} bytes)."
    running.line(Level.WARN, text, "warning:httpActionLargeResponse")
