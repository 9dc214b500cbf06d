"""The address of a request as its sender wrote it (`request.url`), and the part of it that routes are compared with.

Both come from one reading of the request line, so that no path is one thing to a route and another to its handler.
"""

import re
from functools import lru_cache

from pyconvex.errors import RequestRefused
from pyconvex.functions.fetch.url import URL

from .asgi import Exchange
from .proxies import HOST

_PLAIN_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_LOCAL_HOST = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::[1-5]?[0-9]{1,4})?")
"""What is asked for while developing: the parser, which takes 5 ms to import, has no objection."""


def check_target(exchange: Exchange) -> None:
    """Raise `RequestRefused` 400 when the request line names no path, or one that readers could see differently.

    An absolute address has to be for the host of the `Host` header, as clients have to send it (RFC 9112, section
    3.2). NUL ends a name in some file systems and databases. A backslash and a `#` belong in no path (RFC 3986, section
    3.3): to browsers they are a slash and an end, to a proxy with rules for paths perhaps not. All else is data: `%2F`,
    `..` and `//` have one meaning each (https://url.spec.whatwg.org/#path-state).
    """
    raw: bytes = exchange.scope.get("raw_path") or exchange.path.encode()
    if not raw.startswith(b"/"):
        _check_other_form(exchange, raw)
    if b"%00" in raw or b"\\" in raw or b"#" in raw:
        raise RequestRefused(400, "BadPath", "The path has a NUL character (%00), a backslash or a #")


def _check_other_form(exchange: Exchange, raw: bytes) -> None:
    if exchange.method == "CONNECT" or (exchange.method == "OPTIONS" and raw == b"*"):
        return
    scheme, separator, rest = raw.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise RequestRefused(400, "BadTarget", "The request line has no path")
    host = exchange.header(b"host")
    if host is not None and re.split(rb"[/?]", rest)[0].lower() != host.lower():
        raise RequestRefused(400, "BadTarget", "The request line and the Host header name different hosts")


def origin_of(exchange: Exchange, otherwise: str) -> str:
    """`https://host:port` of a request, as the client named it to us or to a proxy that is trusted.

    `otherwise` is for clients of HTTP/1.0, which need not name one.

    Raises `RequestRefused` 400 when the Host header is none.
    """
    scope = exchange.scope
    host: bytes | None = scope.get(HOST) or exchange.header(b"host")
    return _origin(host, scope.get("scheme", "http")) if host else otherwise


@lru_cache(maxsize=1024)
def _origin(host: bytes, scheme: str) -> str:
    if not _PLAIN_HOST.fullmatch(host):
        raise RequestRefused(400, "BadHost", "The Host header names no host")
    origin = f"{'https' if scheme == 'https' else 'http'}://{host.decode()}"
    if _LOCAL_HOST.fullmatch(host):
        return origin
    try:
        URL(origin)
    except ValueError:
        raise RequestRefused(400, "BadHost", "The Host header names no host") from None
    return origin
