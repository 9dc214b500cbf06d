"""Streams of bytes: what authors give as bodies, and what arrives, within its limit."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator

from pyconvex.errors import RequestRefused

from .blob import bytes_like
from .tee import close
from .text import well_formed


class Chunks:
    """What an author's asynchronous iterator gives, as bytes; closing it closes that one."""

    __slots__ = ("_failure", "_source")

    def __init__(self, source: AsyncIterable[object]) -> None:
        self._source = aiter(source)
        self._failure: BaseException | None = None

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> bytes:
        if self._failure is not None:
            raise self._failure  # a generator that has failed would say that it is complete
        try:
            return _chunk(await anext(self._source))
        except StopAsyncIteration:
            raise
        except asyncio.CancelledError:
            self._failure = TypeError("The stream ended early: who read it before was cancelled")
            raise
        except BaseException as error:
            self._failure = error
            raise

    async def aclose(self) -> None:
        await close(self._source)


class SizedChunks(Chunks):
    """The content of a blob that is read as it is needed: `size` bytes in all."""

    __slots__ = ("size",)

    def __init__(self, source: AsyncIterable[bytes], size: int) -> None:
        super().__init__(source)
        self.size = size


class LiveChunks(Chunks):
    """Chunks that nobody needs once the client has left: whoever sends them stops then."""

    __slots__ = ()


class PlainChunks:
    """The same of a plain iterator, such as a generator or an open file."""

    __slots__ = ("_failure", "_source")

    def __init__(self, source: Iterator[object]) -> None:
        self._source = source
        self._failure: Exception | None = None

    def __aiter__(self) -> "PlainChunks":
        return self

    async def __anext__(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        try:
            for chunk in self._source:
                return _chunk(chunk)
        except Exception as error:
            self._failure = error
            raise
        raise StopAsyncIteration

    async def aclose(self) -> None:
        close_it = getattr(self._source, "close", None)
        if close_it is not None:
            close_it()


def _chunk(chunk: object) -> bytes:
    data = well_formed(chunk).encode() if isinstance(chunk, str) else bytes_like(chunk)
    if data is None:
        raise TypeError(f"A streamed body consists of str or bytes, but its iterator gave a {type(chunk).__name__}")
    return data


class Limited:
    """The chunks of `source`, as long as they are `limit` bytes or less together.

    Raises (reading):
        RequestRefused: they are more (413 RequestTooLarge).
    """

    __slots__ = ("_left", "_limit", "_source")

    def __init__(self, source: AsyncIterator[bytes], limit: int) -> None:
        self._source = source
        self._limit = self._left = limit

    def __aiter__(self) -> "Limited":
        return self

    async def __anext__(self) -> bytes:
        if self._left >= 0:
            chunk = await anext(self._source)
            self._left -= len(chunk)
            if self._left >= 0:
                return chunk
        raise too_large(self._limit)

    async def aclose(self) -> None:
        await close(self._source)


def too_large(limit: int) -> RequestRefused:
    """What a request is refused with whose body is over `limit` bytes."""
    return RequestRefused(
        413,
        "RequestTooLarge",
        f"The request body is larger than {limit} bytes",
        hint="Raise the limit http_request_bytes, or upload the file through an upload URL.",
    )
