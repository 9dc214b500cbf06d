"""`Request` (https://fetch.spec.whatwg.org/#request-class)."""

import re
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from .body import Body, BodyInit, Content, extract, limited, parse_json
from .headers import Headers, HeadersInit
from .url import URL

PathParams: TypeAlias = Mapping[str, "str | int"]

NO_PARAMS: PathParams = MappingProxyType({})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
_KNOWN = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_FORBIDDEN = frozenset({"CONNECT", "TRACE", "TRACK"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class AbortSignal:
    """Whether the client is still there."""

    __slots__ = ("aborted",)

    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Request(Body):
    """An HTTP request; `url` is parsed and headers are decoded when first looked at.

    `path_params` holds what a route such as `/users/{id:int}` found in the path.

    Raises:
        ValueError: `url` is no absolute URL.
        TypeError: a forbidden or malformed method, GET or HEAD with a body, or a body of an unknown type.
    """

    __slots__ = ("_url", "_url_text", "method", "path_params", "signal")

    def __init__(
        self, url: str | URL, *, method: str = "GET", headers: HeadersInit = None, body: BodyInit = None
    ) -> None:
        self._url: URL | None = URL(url)
        self._url_text = str(url)
        self.method = _checked_method(method)
        self.headers = Headers(headers)
        self.path_params = NO_PARAMS
        self.signal = AbortSignal()
        self._stream = None
        self._used = False
        if body is not None and self.method in ("GET", "HEAD"):
            raise TypeError("Request with GET/HEAD method cannot have body.")
        self._content, content_type = extract(body)
        if content_type:
            self.headers.put_missing("content-type", content_type)

    @classmethod
    def incoming(
        cls,
        url: str,
        method: str,
        headers: Headers,
        body: AsyncIterator[bytes] | bytes | None,
        limit: int,
        path_params: PathParams = NO_PARAMS,
        signal: AbortSignal | None = None,
    ) -> "Request":
        """A request as it arrived; nothing is parsed or read until it is asked for.

        Args:
            body: None, or what was sent; ignored for GET, HEAD and OPTIONS.
            limit: bytes of a streamed body beyond which readers refuse it.
            signal: tells whether the client is still there; one that nobody aborts by default.
        """
        request = cls.__new__(cls)
        request._url = None
        request._url_text = url
        request.method = method
        request.headers = headers
        request.path_params = path_params
        request.signal = AbortSignal() if signal is None else signal
        request._stream = None
        request._used = False
        if body is None or method in _BODILESS:
            request._content = None
        else:
            request._content = body if isinstance(body, bytes) else limited(body, limit)
        return request

    _incoming = incoming

    @property
    def url(self) -> URL:
        """The whole address; `str(request.url)` is its text."""
        if self._url is None:
            self._url = URL(self._url_text)
        return self._url

    async def json(self) -> Any:
        """The body as JSON: whole numbers are int, others float.

        Raises:
            json.JSONDecodeError: it is none.
            TypeError: the body was read before.
        """
        return parse_json(await self.bytes())

    def clone(self) -> "Request":
        """A second request with the same body, each of which can be read once.

        Raises:
            TypeError: the body was read already.
        """
        content: Content = self._tee()
        twin = Request.incoming(
            self._url_text, self.method, Headers(self.headers), None, 0, self.path_params, self.signal
        )
        twin._content = content
        return twin

    def __repr__(self) -> str:
        return f"<Request {self.method} {self._url_text}>"


def _checked_method(method: str) -> str:
    if not _TOKEN.fullmatch(method) or method.upper() in _FORBIDDEN:
        raise TypeError(f"{method!r:.60} is not an HTTP method that a Request can have")
    return method.upper() if method.upper() in _KNOWN else method
