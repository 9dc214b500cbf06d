"""`Request` (https://fetch.spec.whatwg.org/#request-class)."""

import re
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, cast

from .abort_signal import AbortSignal
from .body import Body, BodyInit, Content, extract, parse_json
from .chunks import Limited
from .cookies import read_cookies
from .form_data import FormData
from .headers import Headers, HeadersInit
from .url import URL

PathParams: TypeAlias = Mapping[str, "str | int"]

NO_PARAMS: PathParams = MappingProxyType({})
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
_KNOWN = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_FORBIDDEN = frozenset({"CONNECT", "TRACE", "TRACK"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Client(NamedTuple):
    """Who sent a request; behind a proxy that the deployment trusts, whom the proxy had before it."""

    host: str
    """An IP address."""
    port: int


class Request(Body):
    """An HTTP request; `url` is parsed and headers are decoded when first looked at.

    `path_params` holds what a route such as `/users/{id:int}` found in the path, `client` who sent it, and `signal`
    tells whether the sender is still there.

    Args:
        url: an absolute URL, or another request, whose parts count where nothing else is given. Its body moves here.
        method: GET by default; known ones become upper case.
        headers: a dict, pairs or `Headers`; a content type is added for text, forms and blobs that come without one.
        body: None, text, bytes, a Blob, FormData, URLSearchParams, or an (async) iterator of str or bytes.
        signal: a new one that nobody aborts by default.

    Raises:
        ValueError: `url` is no absolute URL.
        TypeError: a forbidden or malformed method, GET or HEAD with a body, a body of an unknown type or one that was
            read already, or a user name or password in `url`.
    """

    __slots__ = ("_cookies", "_url", "_url_text", "client", "method", "path_params", "signal")

    def __init__(
        self,
        url: "str | URL | Request",
        *,
        method: str | None = None,
        headers: HeadersInit = None,
        body: BodyInit = None,
        signal: AbortSignal | None = None,
    ) -> None:
        original = url if isinstance(url, Request) else None
        address = URL(original.url if original is not None else cast("str | URL", url))
        if original is None and (address.username or address.password):
            raise TypeError("The URL of a Request has no user name and password: send them in a header")
        self._url: URL | None = address
        self._url_text = address.href
        self._cookies: Mapping[str, str] | None = None
        self.method = _checked_method(method or ("GET" if original is None else original.method))
        self.headers = Headers(original.headers if original is not None and headers is None else headers)
        self.path_params = NO_PARAMS if original is None else original.path_params
        self.client: Client | None = None if original is None else original.client
        self.signal = signal or (AbortSignal() if original is None else original.signal)
        self._stream = None
        self._used = False
        self._take_body(original, body)

    def _take_body(self, original: "Request | None", body: BodyInit) -> None:
        giver = original if body is None and original is not None and original._content is not None else None
        if self.method in ("GET", "HEAD") and (body is not None or giver is not None):
            raise TypeError("Request with GET/HEAD method cannot have body.")
        if giver is not None:
            self._content = giver.take()
            return
        self._content, content_type = extract(body)
        if isinstance(body, FormData) and content_type:
            self.headers.put("content-type", content_type)  # a form's type has its boundary, so it replaces others
        elif content_type:
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
        client: Client | None = None,
    ) -> "Request":
        """A request as it arrived; nothing is parsed or read until it is asked for.

        Args:
            body: None, or what was sent; ignored for GET, HEAD and OPTIONS.
            limit: bytes of a streamed body beyond which readers refuse it.
            signal: tells whether the client is still there; one that nobody aborts by default.
            client: who sent it, None when that is not known.
        """
        request = cls.__new__(cls)
        request._url = None
        request._url_text = url
        request._cookies = None
        request.method = method
        request.headers = headers
        request.path_params = path_params
        request.client = client
        request.signal = AbortSignal() if signal is None else signal
        request._stream = None
        request._used = False
        if body is None or method in _BODILESS:
            request._content = None
        else:
            request._content = body if isinstance(body, bytes) else Limited(body, limit)
        return request

    @property
    def url(self) -> URL:
        """The whole address; `str(request.url)` is its text."""
        if self._url is None:
            self._url = URL(self._url_text)
        return self._url

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name. Of two with one name the first counts: its path is the longer one."""
        if self._cookies is None:
            headers = [value for name, value in self.headers.pairs() if name == "cookie"]
            self._cookies = MappingProxyType(read_cookies(headers))
        return self._cookies

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
            self._url_text, self.method, Headers(self.headers), None, 0, self.path_params, self.signal, self.client
        )
        twin._content = content
        return twin

    def __repr__(self) -> str:
        return f"<Request {self.method} {self._url_text}>"


def _checked_method(method: str) -> str:
    if not _TOKEN.fullmatch(method) or method.upper() in _FORBIDDEN:
        raise TypeError(f"{method!r:.60} is not an HTTP method that a Request can have")
    return method.upper() if method.upper() in _KNOWN else method
