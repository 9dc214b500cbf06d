"""`Response` (https://fetch.spec.whatwg.org/#response-class)."""

import re
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Protocol, overload
from urllib.parse import quote

from .body import Body, BodyInit, Content, extract, parse_json
from .chunks import LiveChunks
from .cookies import SameSite, long_ago, set_cookie_header
from .event_stream import Events, event_chunks
from .form_data import FormData
from .headers import Headers, HeadersInit
from .json_text import json_text
from .text import well_formed
from .url import URL, URLSearchParams

_NO_BODY = frozenset({204, 205, 304})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REASON = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_ASCII = "".join(map(chr, range(128)))


class _JsonMaker(Protocol):
    def __call__(
        self, data: object, *, status: int = 200, status_text: str = "", headers: HeadersInit = None
    ) -> "Response": ...


class _Json:
    """`Response.json(data)` makes a response, `await response.json()` reads one."""

    @overload
    def __get__(self, response: None, owner: type["Response"]) -> _JsonMaker: ...
    @overload
    def __get__(self, response: "Response", owner: type["Response"]) -> "Callable[[], Coroutine[Any, Any, Any]]": ...
    def __get__(self, response: "Response | None", owner: type["Response"]) -> "Callable[..., Any]":
        return _made_from_json if response is None else response.read_json


class Response(Body):
    """What an HTTP action answers.

    Args:
        body: None, text, bytes, a Blob, FormData, URLSearchParams, or an (async) iterator of str or bytes, which
            streams.
        status: 200 to 599.
        status_text: kept here, never sent: the server writes its own reason.
        headers: a dict, pairs or `Headers`; a content type is added for text and blobs that come without one.

    Raises:
        ValueError: a status out of range.
        TypeError: a body of an unknown type, any body with status 204, 205 or 304, or line breaks in `status_text`.
    """

    __slots__ = ("_status", "status_text")

    json = _Json()

    def __init__(
        self, body: BodyInit = None, *, status: int = 200, status_text: str = "", headers: HeadersInit = None
    ) -> None:
        self._status = _checked_status(status)
        self.status_text = _checked_reason(status_text)
        self.headers = Headers(headers)
        self._stream = None
        self._used = False
        if body is None:
            self._content: Content = None
            return
        if self._status in _NO_BODY:
            raise TypeError(f"A response with status {self._status} cannot have a body: pass None")
        self._content, content_type = extract(body)
        if content_type is None or isinstance(body, URLSearchParams):
            return
        if isinstance(body, FormData):
            self.headers.put("content-type", content_type)  # a form's type has its boundary, so it replaces others
        else:
            self.headers.put_missing("content-type", content_type)

    @staticmethod
    def redirect(url: str | URL, status: int = 302) -> "Response":
        """A redirect to `url`, absolute or relative, which is sent as given; what is not ASCII is percent-encoded.

        Raises:
            ValueError: a status other than 301, 302, 303, 307 and 308.
            TypeError: a line break in `url`.
        """
        if status not in _REDIRECTS:
            raise ValueError(f"{status!r:.40} is not a redirect status: use 301, 302, 303, 307 or 308")
        location = quote(well_formed(str(url)), safe=_ASCII)
        return Response(None, status=status, headers={"location": location})

    @staticmethod
    def event_stream(events: Events, *, headers: HeadersInit = None, ping_seconds: float | None = 15) -> "Response":
        """Server-sent events, for `EventSource` in a page: each is sent as soon as `events` gives it.

        Args:
            events: an (async) iterator of texts, values that become JSON, and `ServerSentEvent`. When the client has
                left, the next event or comment closes it: a generator's `finally` runs.
            headers: sent too; they may replace `cache-control`.
            ping_seconds: after so many seconds without an event a comment keeps proxies from closing the connection;
                None for never. A plain iterator gives no room for it.

        Raises:
            TypeError: nothing to iterate over.
            ValueError: `ping_seconds` is not positive.
        """
        response = Response(headers=headers)
        response._content = LiveChunks(event_chunks(events, ping_seconds))
        response.headers.put("content-type", "text/event-stream")
        response.headers.put_missing("cache-control", "no-store")
        response.headers.put_missing("x-accel-buffering", "no")  # nginx would hold events back
        return response

    @staticmethod
    def error() -> "Response":
        """A response with status 500 and no body."""
        return Response(None, status=500)

    @property
    def status(self) -> int:
        return self._status

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self._status <= 299

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | timedelta | None = None,
        expires: datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = True,
        http_only: bool = True,
        same_site: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a `Set-Cookie` header (RFC 6265); without `max_age` and `expires` it lasts for the browser's session.

        Args:
            name: ASCII letters, digits and some punctuation; what `__Host-` and `__Secure-` promise is checked.
            value: ASCII without spaces, quotes, commas, semicolons and backslashes; encode anything else.
            max_age: seconds or a timedelta; 0 deletes the cookie.
            expires: the same as a date, with a time zone.
            path: below which it is sent; None for the folder of the request.
            domain: whose subdomains get it too; without it only the host that set it.
            secure: sent over HTTPS only (and to localhost).
            http_only: hidden from scripts.
            same_site: "lax", "strict" or "none": whether other sites' requests carry it.
            partitioned: kept apart for each site that embeds this one.

        Raises:
            ValueError: something that browsers would refuse or misread; it says what.
            TypeError: an argument of another type.
        """
        header = set_cookie_header(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            http_only=http_only,
            same_site=same_site,
            partitioned=partitioned,
        )
        self.headers.append("set-cookie", header)

    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = True,
        http_only: bool = True,
        same_site: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Have the browser forget a cookie: give the attributes that it was set with.

        Raises:
            ValueError: something that browsers would refuse or misread; it says what.
        """
        self.set_cookie(
            name,
            max_age=0,
            expires=long_ago(),
            path=path,
            domain=domain,
            secure=secure,
            http_only=http_only,
            same_site=same_site,
            partitioned=partitioned,
        )

    async def read_json(self) -> Any:
        """What `await response.json()` does."""
        return parse_json(await self.bytes())

    def payload(self) -> Content:
        """For sending: known bytes, a stream, or None. Uses the body.

        Raises:
            TypeError: the body was read before.
        """
        return self.take()

    def clone(self) -> "Response":
        """A second response with the same body, each of which can be read once.

        Raises:
            TypeError: the body was read already.
        """
        twin = Response(None, status=self._status, status_text=self.status_text, headers=self.headers)
        twin._content = self._tee()
        return twin

    def __repr__(self) -> str:
        return f"<Response {self._status}>"


def _made_from_json(data: object, *, status: int = 200, status_text: str = "", headers: HeadersInit = None) -> Response:
    """A response with `data` as JSON and content type `application/json`.

    Raises:
        TypeError: `data` has something that JSON has not; it says what and where.
        ValueError: a status out of range.
    """
    response = Response(json_text(data), status=status, status_text=status_text, headers=headers)
    response.headers.put("content-type", "application/json")
    return response


def _checked_reason(text: str) -> str:
    if not _REASON.fullmatch(text):
        raise TypeError(f"{text!r:.60} is no status text: it has no line breaks and only characters of Latin-1")
    return text


def _checked_status(status: object) -> int:
    if type(status) is int and 200 <= status <= 599:
        return status
    number = int(status) if isinstance(status, str) and status.isdecimal() else status
    if isinstance(number, int) and not isinstance(number, bool) and 200 <= number <= 599:
        return int(number)  # http.HTTPStatus
    raise ValueError(
        f"Failed to construct 'Response': The status provided ({status!r:.40}) is outside the range [200, 599]."
    )
