"""`Response` (https://fetch.spec.whatwg.org/#response-class)."""

from collections.abc import Callable, Coroutine
from typing import Any, overload

from .body import Body, BodyInit, Content, extract, parse_json
from .form_data import FormData
from .headers import Headers, HeadersInit
from .json_text import json_text
from .url import URL, URLSearchParams

_NO_BODY = frozenset({204, 205, 304})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Json:
    """`Response.json(data)` makes a response, `await response.json()` reads one."""

    @overload
    def __get__(self, response: None, owner: type["Response"]) -> "Callable[..., Response]": ...
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
        TypeError: a body of an unknown type, or any body with status 204, 205 or 304.
    """

    __slots__ = ("_status", "status_text")

    json = _Json()

    def __init__(
        self, body: BodyInit = None, *, status: int = 200, status_text: str = "", headers: HeadersInit = None
    ) -> None:
        self._status = _checked_status(status)
        self.status_text = status_text
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
        """A redirect to `url`, which is sent as given.

        Raises:
            ValueError: a status other than 301, 302, 303, 307 and 308.
        """
        if status not in _REDIRECTS:
            raise ValueError(f"{status!r:.40} is not a redirect status: use 301, 302, 303, 307 or 308")
        return Response(None, status=status, headers={"location": str(url)})

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

    async def read_json(self) -> Any:
        """What `await response.json()` does."""
        return parse_json(await self.bytes())

    def payload(self) -> Content:
        """For sending: known bytes, a stream, or None. Uses the body.

        Raises:
            TypeError: the body was read before.
        """
        return self.take()

    _payload = payload

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


def _checked_status(status: object) -> int:
    if type(status) is int and 200 <= status <= 599:
        return status
    number = int(status) if isinstance(status, str) and status.isdecimal() else status
    if isinstance(number, int) and not isinstance(number, bool) and 200 <= number <= 599:
        return int(number)  # http.HTTPStatus
    raise ValueError(
        f"Failed to construct 'Response': The status provided ({status!r:.40}) is outside the range [200, 599]."
    )
