"""Cross-origin requests without boilerplate (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.fetch.response import Response
from pyconvex.functions.fetch.url import URL

_ORIGIN = re.compile(r"(\*|null|[a-z][a-z0-9+.-]*://(\*\.)?[^/*\s?#]+)")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Cors:
    """Which sites may call the routes of a router from a browser.

    Args:
        origins: `"https://my.site"`, `"https://*.my.site"` for its subdomains, or `"*"` for every site.
        headers: request headers beyond the plain ones that callers may send; `"*"` for all of them.
        credentials: whether browsers may send cookies and HTTP authentication.
        max_age: seconds for which a browser may remember a preflight.
        expose_headers: response headers beyond the plain ones that callers may read; `"*"` for all of them.

    Raises:
        ValueError: something that is no origin (or not as browsers write it), no header name, or no number of seconds;
            `"*"` together with credentials, which browsers refuse.
        TypeError: one text where a list belongs.
    """

    def __init__(
        self,
        origins: Sequence[str],
        headers: Sequence[str] = ("Content-Type",),
        credentials: bool = False,
        max_age: int = 86400,
        expose_headers: Sequence[str] = (),
    ) -> None:
        for name, given in (("origins", origins), ("headers", headers), ("expose_headers", expose_headers)):
            if isinstance(given, str):
                raise TypeError(f"Cors({name}=...) takes a list: write [{given!r}]")
        self.origins = tuple(_checked_origin(origin) for origin in origins)
        self.headers = tuple(_checked_name(name) for name in headers)
        self.credentials = credentials
        self.max_age = _checked_age(max_age)
        self.expose_headers = tuple(_checked_name(name) for name in expose_headers)
        if credentials and "*" in self.origins:
            raise ValueError("Cors(credentials=True) needs the origins by name: browsers refuse '*' with credentials")
        if credentials and "*" in self.expose_headers:
            raise ValueError("Cors(credentials=True) needs expose_headers by name: browsers take '*' for a name then")
        self._any = "*" in self.origins
        self._exact = frozenset(self.origins)
        self._wild = tuple(re.compile(re.escape(o).replace(r"\*", "[a-z0-9.-]+")) for o in self.origins if "*." in o)

    @property
    def arguments(self) -> dict[str, Any]:
        """What it was made with: `Cors(**cors.arguments)` is the same."""
        return {
            "origins": list(self.origins),
            "headers": list(self.headers),
            "credentials": self.credentials,
            "max_age": self.max_age,
            "expose_headers": list(self.expose_headers),
        }

    def allows(self, origin: str) -> bool:
        """Whether a page of `origin` may call."""
        origin = origin.lower()
        return self._any or origin in self._exact or any(wild.fullmatch(origin) for wild in self._wild)

    def preflight(self, request_headers: Headers, methods: Iterable[str]) -> Response | None:
        """The answer to a preflight, or None when this OPTIONS request is none.

        Args:
            methods: those that have a route at the requested path.
        """
        if "origin" not in request_headers or "access-control-request-method" not in request_headers:
            return None
        response = Response(None, status=204)
        origin = request_headers["origin"]
        if self.allows(origin):
            response.headers.set("access-control-allow-methods", ", ".join(methods))
            if names := self._allowed_headers(request_headers):
                response.headers.set("access-control-allow-headers", ", ".join(names))
            response.headers.set("access-control-max-age", self.max_age)
        self.decorate(response.headers, origin)
        return response

    def decorate(self, headers: Headers, origin: str | None) -> None:
        """Add to a response's headers what lets a page of `origin` (the request's `Origin`) read it."""
        if not self._any:
            _vary_by_origin(headers)
        if origin is None or not self.allows(origin) or "access-control-allow-origin" in headers:
            return
        headers.set("access-control-allow-origin", "*" if self._any else origin)
        if self.credentials:
            headers.set("access-control-allow-credentials", "true")
        if self.expose_headers:
            headers.set("access-control-expose-headers", ", ".join(self.expose_headers))

    def _allowed_headers(self, request_headers: Headers) -> Sequence[str]:
        """All that are asked for, if all are allowed: `*` itself covers neither Authorization nor credentials."""
        if "*" not in self.headers:
            return self.headers
        asked = (request_headers.get("access-control-request-headers") or "").split(",")
        return [name for each in asked if _TOKEN.fullmatch(name := each.strip())]


def _checked_origin(origin: str) -> str:
    lower = origin.lower()
    url = URL.parse(lower)
    if not _ORIGIN.fullmatch(lower) or (url is None and "://" in lower):
        raise ValueError(
            f"{origin!r} is no origin: write scheme and host without a path, such as 'https://my.site', or '*'"
        )
    if url is not None and url.origin not in ("null", lower):  # schemes of apps have the origin null here
        raise ValueError(f"{origin!r} never matches, because browsers write it as {url.origin!r}")
    return lower


def _checked_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a valid header name")
    return name


def _checked_age(seconds: object) -> int:
    if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds >= 0:
        return seconds
    raise ValueError(f"Cors(max_age={seconds!r}) takes whole seconds, such as 86400 for a day")


def _vary_by_origin(headers: Headers) -> None:
    varied = (headers.get("vary") or "").lower()
    if varied != "*" and "origin" not in [name.strip() for name in varied.split(",")]:
        headers.append("vary", "Origin")
