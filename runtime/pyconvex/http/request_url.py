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
    header = exchange.header
    host = header(b"host")
    if not host:
        return otherwise
    return _origin(host, exchange.scope.get("scheme", "http"), header(b"x-forwarded-proto"), header(b"forwarded"))


@lru_cache(maxsize=1024)
def _origin(host: bytes, scheme: str, proto: bytes | None, forwarded: bytes | None) -> str:
    if proto is not None:
        scheme = proto.partition(b",")[0].strip().lower().decode("latin-1")
    elif forwarded is not None and (found := _FORWARDED_PROTO.search(forwarded.decode("latin-1"))):
        scheme = found[1].lower()
    return f"{'https' if scheme == 'https' else 'http'}://{_checked_host(host)}"


def _checked_host(host: bytes) -> str:
    text = host.decode("latin-1")
    try:
        parsed = URL(f"http://{text}") if text.isascii() else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.pathname != "/" or parsed.username or parsed.search or parsed.hash:
        raise RequestRefused(400, "BadHost", "The Host header names no host")
    return text
