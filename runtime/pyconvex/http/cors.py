"""CORS of the API: every origin may call it, since nothing is authorised by cookies.

HTTP actions get none of this; `Cors` of the router does it for them. https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from .asgi import Exchange, RawHeaders

MAX_AGE_SECONDS = 86_400
_METHODS = b"GET,POST,OPTIONS,PATCH,DELETE,PUT"
_VARY = (b"vary", b"origin, access-control-request-method, access-control-request-headers")


def allow_origin(exchange: Exchange) -> None:
    """Let the calling page read whatever is answered, errors included."""
    headers: RawHeaders = [_VARY]
    origin = exchange.header(b"origin")
    if origin is not None:
        headers += [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true")]
    exchange.extra_headers = headers


async def answer_preflight(exchange: Exchange) -> None:
    headers: RawHeaders = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", b"%d" % MAX_AGE_SECONDS),
    ]
    asked = exchange.header(b"access-control-request-headers")
    if asked is not None:
        headers.append((b"access-control-allow-headers", asked))
    await exchange.respond(200, headers)
