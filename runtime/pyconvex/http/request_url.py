"""The address of a request as its sender wrote it (`request.url`), and the part of it that routes are compared with."""

import re
from functools import lru_cache

from pyconvex.errors import RequestRefused
from pyconvex.functions.fetch.url import URL

from .asgi import Exchange

_PLAIN_PATH = re.compile(r"/(?:[A-Za-z0-9_~!$&'()*+,;=:@/-]|%(?!2[eE])|(?<=[^/.%])\.)*")
_FORWARDED_PROTO = re.compile(r'(?:^|[;,\s])proto="?([A-Za-z]+)', re.IGNORECASE)


def pathname(path: str) -> str:
    """The path as a URL parser gives it: dot segments resolved, percent-encoding and repeated slashes kept."""
    if _PLAIN_PATH.fullmatch(path):
        return path
    try:
        return URL(f"http://host{path}").pathname if path.startswith("/") else path
    except ValueError:
        return path


def origin_of(exchange: Exchange, otherwise: str) -> str:
    """`https://host:port` of a request: the scheme as a proxy saw it, the host as the client named it.

    `otherwise` is for clients of HTTP/1.0, which need not name one.

    Raises `RequestRefused` 400 when the Host header is none.
    """
    host = exchange.header(b"host")
    if not host:
        return otherwise
    return f"{_scheme(exchange)}://{_checked_host(host)}"


def _scheme(exchange: Exchange) -> str:
    named: str = exchange.scope.get("scheme", "http")
    if (proto := exchange.text_header(b"x-forwarded-proto")) is not None:
        named = proto.partition(",")[0].strip().lower()
    elif (forwarded := exchange.text_header(b"forwarded")) is not None:
        found = _FORWARDED_PROTO.search(forwarded)
        named = found[1].lower() if found else named
    return "https" if named == "https" else "http"


@lru_cache(maxsize=1024)
def _checked_host(host: bytes) -> str:
    text = host.decode("latin-1")
    try:
        parsed = URL(f"http://{text}") if text.isascii() else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.pathname != "/" or parsed.username or parsed.search or parsed.hash:
        raise RequestRefused(400, "BadHost", "The Host header names no host")
    return text
