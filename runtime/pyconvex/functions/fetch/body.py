"""Bodies of requests and responses: what they may be made of, and reading them once."""

import json
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, TypeAlias, cast

import msgspec

from pyconvex.errors import RequestRefused

from .blob import Blob
from .form_data import FormData, read_form_data
from .headers import Headers
from .url import URLSearchParams, well_formed

Bytes: TypeAlias = bytes  # `bytes` is also a method below
Chunk: TypeAlias = str | Bytes | bytearray | memoryview
BodyInit: TypeAlias = Chunk | Blob | FormData | URLSearchParams | AsyncIterable[Chunk] | Iterator[Chunk] | None
Content: TypeAlias = Bytes | AsyncIterator[Bytes] | None

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
        return b"".join([chunk async for chunk in content])

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

        Raises:
            TypeError: another or no content type, or a malformed form.
        """
        content_type = self.headers.get("content-type")
        return read_form_data(await self.bytes(), content_type)

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
        self._content, other = _Tee(self._content).branches()
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


class _Tee:
    """One source for two readers, who may be at different chunks."""

    def __init__(self, source: AsyncIterator[Bytes]) -> None:
        self._source = source
        self._waiting: tuple[deque[Bytes], deque[Bytes]] = (deque(), deque())

    def branches(self) -> tuple[AsyncIterator[Bytes], AsyncIterator[Bytes]]:
        left, right = self._waiting
        return self._branch(left, right), self._branch(right, left)

    async def _branch(self, mine: deque[Bytes], other: deque[Bytes]) -> AsyncIterator[Bytes]:
        while True:
            if mine:
                yield mine.popleft()
                continue
            try:
                chunk = await anext(self._source)
            except StopAsyncIteration:
                return
            other.append(chunk)
            yield chunk


def extract(body: object) -> tuple[Content, str | None]:
    """The content of a body and the content type that goes with it.

    Raises:
        TypeError: no kind of body.
    """
    if body is None or type(body) is bytes:
        return body, None
    if isinstance(body, str):
        return well_formed(body).encode(), "text/plain;charset=UTF-8"
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(cast("bytes", body)), None
    if isinstance(body, Blob):
        return _blob_content(body), body.type or None
    if isinstance(body, URLSearchParams):
        return str(body).encode(), "application/x-www-form-urlencoded;charset=UTF-8"
    if isinstance(body, FormData):
        blob, content_type = body.encoded()
        return _blob_content(blob), content_type
    if isinstance(body, AsyncIterable):
        return _from_async(cast("AsyncIterable[object]", body)), None
    if isinstance(body, Iterator):
        return _from_plain(cast("Iterator[object]", body)), None
    raise TypeError(_refusal(body))


def _blob_content(blob: Blob) -> Content:
    known = blob.known()
    return blob.stream() if known is None else known


def _refusal(body: object) -> str:
    kind = type(body).__name__
    if isinstance(body, dict | list | tuple | int | float):
        return f"A body cannot be a {kind}: send JSON with `Response.json(...)`, or make it a str or bytes"
    if isinstance(body, Iterable):
        return f"A body cannot be a {kind}: give an iterator (`iter(...)`) or a generator to stream its parts"
    return f"A body cannot be a {kind}: use str, bytes, Blob, FormData, URLSearchParams or an iterator of str or bytes"


async def _from_async(source: AsyncIterable[object]) -> AsyncIterator[Bytes]:
    async for chunk in source:
        yield _chunk(chunk)


async def _from_plain(source: Iterator[object]) -> AsyncIterator[Bytes]:
    for chunk in source:
        yield _chunk(chunk)


def _chunk(chunk: object) -> Bytes:
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, str):
        return well_formed(chunk).encode()
    if isinstance(chunk, bytearray | memoryview):
        return bytes(cast("bytearray", chunk))
    raise TypeError(f"A streamed body consists of str or bytes, but its iterator gave a {type(chunk).__name__}")


async def _once(data: Bytes) -> AsyncIterator[Bytes]:
    if data:
        yield data


async def limited(source: AsyncIterator[Bytes], limit: int) -> AsyncIterator[Bytes]:
    """The chunks of `source`, as long as they are `limit` bytes or less together.

    Raises:
        RequestRefused: they are more (413 RequestTooLarge).
    """
    size = 0
    async for chunk in source:
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        yield chunk


def too_large(limit: int) -> RequestRefused:
    """What a request is refused with whose body is over `limit` bytes."""
    return RequestRefused(
        413,
        "RequestTooLarge",
        f"The request body is larger than {limit} bytes",
        hint="Raise the limit http_request_bytes, or upload the file through an upload URL.",
    )


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
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", "", 0) from None


def _no_constant(name: str, text: str) -> Any:
    raise json.JSONDecodeError(f"{name} is not JSON", text, max(0, text.find(name)))
