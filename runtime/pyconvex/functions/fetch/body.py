"""Bodies of requests and responses: what they may be made of, and reading them once."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec

from .blob import Blob, bytes_like
from .chunks import Chunks, PlainChunks, SizedChunks
from .form_data import FormData
from .headers import Headers
from .multipart import read_form
from .tee import close, tee
from .text import well_formed
from .url import URLSearchParams

Bytes: TypeAlias = bytes  # `bytes` is also a method below
Chunk: TypeAlias = str | Bytes | bytearray | memoryview
BodyInit: TypeAlias = Chunk | Blob | FormData | URLSearchParams | AsyncIterable[Chunk] | Iterator[Chunk] | None
Content: TypeAlias = Bytes | AsyncIterator[Bytes] | None

_CALLED_HERE = {
    "arrayBuffer": "array_buffer()",
    "bodyUsed": "body_used",
    "form": "form_data()",
    "formData": "form_data()",
    "pathParams": "path_params",
    "query_params": "url.search_params",
    "setCookie": "set_cookie()",
    "statusText": "status_text",
    "status_code": "status",
    "stream": "body",
}
"""What people who come from JavaScript or Starlette look for."""

ALREADY_READ = "body stream already read: a body can be read once, so keep what the first read gave, or clone() before"


class Body:
    """What `Request` and `Response` share.

    Raises (every reader):
        TypeError: the body was read before.
        RequestRefused: the body of an incoming request is larger than the limit (status 413).
    """

    __slots__ = ("_content", "_stream", "_used", "headers")

    headers: Headers
    _content: Content
    _stream: "BodyStream | None"
    _used: bool

    if not TYPE_CHECKING:  # a type checker is to see what there is

        def __getattr__(self, name: str) -> None:
            hint = f"; it is called `.{_CALLED_HERE[name]}`" if name in _CALLED_HERE else ""
            raise AttributeError(f"A {type(self).__name__} has no `{name}`{hint}", name=name, obj=self)

    @property
    def body(self) -> "BodyStream | None":
        """The body in chunks, for `async for`; None when there is none."""
        if self._content is None:
            return None
        if self._stream is None:
            self._stream = BodyStream(self)
        return self._stream

    @property
    def body_used(self) -> bool:
        return self._used

    async def bytes(self) -> Bytes:
        content = self.take()
        if content is None:
            return b""
        if isinstance(content, Bytes):
            return content
        read = bytearray()  # not a list, which a million chunks of a byte each would make large
        async for chunk in content:
            read += chunk
        return Bytes(read)

    async def array_buffer(self) -> Bytes:
        """The same as `bytes()`."""
        return await self.bytes()

    async def text(self) -> str:
        """The body as UTF-8: a byte order mark dropped, undecodable bytes replaced."""
        return decoded(await self.bytes())

    async def blob(self) -> Blob:
        """The body as a blob of its content type."""
        return Blob([await self.bytes()], type=self.headers.get("content-type") or "")

    async def form_data(self) -> FormData:
        """The fields of `multipart/form-data` or `application/x-www-form-urlencoded`.

        A multipart form is taken apart as it arrives, so that it is in memory only once.

        Raises:
            TypeError: another or no content type, a malformed form, or one of more than 10,000 fields.
        """
        return await read_form(self.take(), self.headers.get("content-type"))

    def take(self) -> Content:
        """The content, which is used from now on; None can be taken again and again."""
        if self._used:
            raise TypeError(ALREADY_READ)
        self._used = self._content is not None
        return self._content

    def _tee(self) -> Content:
        if self._used:
            raise TypeError(f"clone: {ALREADY_READ}")
        if self._content is None or isinstance(self._content, Bytes):
            return self._content
        self._content, other = tee(self._content)
        return other


class BodyStream:
    """The chunks of a body; reading the first one uses the body."""

    __slots__ = ("_chunks", "_owner")

    def __init__(self, owner: Body) -> None:
        self._owner = owner
        self._chunks: AsyncIterator[Bytes] | None = None

    def __aiter__(self) -> "BodyStream":
        return self

    async def __anext__(self) -> Bytes:
        if self._chunks is None:
            content = self._owner.take()
            self._chunks = _once(content) if isinstance(content, Bytes) else content
        assert self._chunks is not None, "a body without content has no stream"
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Read no further: whatever produces the chunks may clean up. The body is used then."""
        if self._chunks is None and not self._owner.body_used:
            content = self._owner.take()
            self._chunks = None if isinstance(content, Bytes) else content
        await close(self._chunks)

    def check_unread(self) -> None:
        """
        Raises:
            TypeError: something has read from it already.
        """
        if self._owner.body_used:
            raise TypeError(ALREADY_READ)


def extract(body: object) -> tuple[Content, str | None]:
    """The content of a body and the content type that goes with it.

    Raises:
        TypeError: no kind of body, or the stream of a body that was read already.
    """
    if body is None or type(body) is bytes:
        return body, None
    if isinstance(body, str):
        return well_formed(body).encode(), "text/plain;charset=UTF-8"
    if isinstance(body, Blob):
        return _blob_content(body), body.type or None
    if isinstance(body, URLSearchParams):
        return str(body).encode(), "application/x-www-form-urlencoded;charset=UTF-8"
    if isinstance(body, FormData):
        blob, content_type = body.encoded()
        return _blob_content(blob), content_type
    return _streamed(body), None


def _streamed(body: object) -> Content:
    if isinstance(body, BodyStream):
        body.check_unread()
        return body
    if isinstance(body, AsyncIterable):
        return Chunks(cast("AsyncIterable[object]", body))
    if isinstance(body, Iterator):
        return PlainChunks(cast("Iterator[object]", body))
    data = bytes_like(body)
    if data is None:
        raise TypeError(_refusal(body))
    return data


def _blob_content(blob: Blob) -> Content:
    known = blob.known()
    return SizedChunks(blob.stream(), blob.size) if known is None else known


def _refusal(body: object) -> str:
    kind = type(body).__name__
    if isinstance(body, dict | list | tuple | int | float):
        return f"A body cannot be a {kind}: send JSON with `Response.json(...)`, or make it a str or bytes"
    if isinstance(body, Iterable):
        return f"A body cannot be a {kind}: give an iterator (`iter(...)`) or a generator to stream its parts"
    return f"A body cannot be a {kind}: use str, bytes, Blob, FormData, URLSearchParams or an iterator of str or bytes"


async def _once(data: Bytes) -> AsyncIterator[Bytes]:
    if data:
        yield data


def decoded(data: Bytes) -> str:
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def parse_json(data: Bytes) -> Any:
    """JSON as Python values: whole numbers as int, others as float.

    Raises:
        json.JSONDecodeError: no JSON, with line and column.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_json_slowly(decoded(data))
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", "", 0) from None


def _parse_json_slowly(text: str) -> Any:
    """What the fast parser refuses: numbers beyond float64, lone surrogates, a byte order mark, and mistakes."""
    if not text:
        raise json.JSONDecodeError("The body is empty, not JSON", "", 0)
    try:
        return json.loads(text, parse_constant=lambda name: _no_constant(name, text))
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise json.JSONDecodeError(str(error), text, 0) from None
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", "", 0) from None


def _no_constant(name: str, text: str) -> Any:
    raise json.JSONDecodeError(f"{name} is not JSON", text, max(0, text.find(name)))
