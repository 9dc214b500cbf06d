"""`Blob` and `File` (https://w3c.github.io/FileAPI/)."""

import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TypeAlias, cast

from .text import well_formed

Bytes: TypeAlias = bytes  # `bytes` is also a method below
Part: TypeAlias = "str | bytes | bytearray | memoryview | Blob"
Opener: TypeAlias = Callable[[int, int], AsyncIterator[Bytes]]
"""Reads the bytes from a start to a stop, both counted from the beginning."""

_TYPE = re.compile(r"[\x20-\x7e]*")
_seconds: Callable[[], float] = time.time


def take_time_from(seconds: Callable[[], float]) -> None:
    """Let `seconds` tell when a `File` is made: in queries and mutations time stands still."""
    global _seconds
    _seconds = seconds


class Blob:
    """Immutable bytes with a media type.

    Args:
        parts: joined in order; text as UTF-8.
        type: a media type; lower-cased, and dropped when it is not printable ASCII.

    Raises:
        TypeError: a part of another type.
    """

    __slots__ = ("_data", "_open", "_size", "_start", "type")

    def __init__(self, parts: Iterable[Part] = (), *, type: str = "") -> None:
        if isinstance(parts, str | bytes | bytearray | memoryview | Blob):
            raise TypeError(f"A Blob takes a sequence of parts: write `Blob([{_shown(parts)}])`")
        chunks = list(parts)
        self.type = _media_type(type)
        self._start = 0
        if any(isinstance(part, Blob) and part._data is None for part in chunks):
            sources = [part if isinstance(part, Blob) else Blob([part]) for part in chunks]
            self._data: Bytes | None = None
            self._size = sum(source.size for source in sources)
            self._open: Opener = lambda start, stop: _joined(sources, start, stop)
        else:
            self._data = b"".join(_part_bytes(part) for part in chunks)
            self._size = len(self._data)

    @classmethod
    def stored(cls, size: int, open: Opener, *, type: str = "") -> "Blob":
        """A blob whose `size` bytes lie elsewhere, and are read through `open` each time they are wanted."""
        blob = cls.__new__(cls)
        blob.type = _media_type(type)
        blob._data = None
        blob._size = size
        blob._start = 0
        blob._open = open
        return blob

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def known(self) -> Bytes | None:
        """The content when it is in memory; otherwise `stream()` has it."""
        return self._data

    async def bytes(self) -> Bytes:
        if self._data is not None:
            return self._data
        return b"".join([chunk async for chunk in self.stream()])

    async def array_buffer(self) -> Bytes:
        return await self.bytes()

    async def text(self) -> str:
        """The content as UTF-8, undecodable bytes replaced."""
        return (await self.bytes()).decode("utf-8", "replace").removeprefix("\ufeff")

    async def stream(self) -> AsyncIterator[Bytes]:
        if self._data is None:
            async for chunk in self._open(self._start, self._start + self._size):
                yield chunk
        elif self._data:
            yield self._data

    def slice(self, start: int = 0, end: int | None = None, type: str = "") -> "Blob":
        """The bytes from `start` to `end`; negative positions count from the end."""
        first, last, _ = slice(start, end).indices(self._size)
        length = max(0, last - first)
        if self._data is not None:
            return Blob([self._data[first : first + length]], type=type)
        part = Blob.stored(length, self._open, type=type)
        part._start = self._start + first
        return part

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._size} bytes{f' {self.type}' if self.type else ''}>"


class File(Blob):
    """A blob with a name, as forms send them.

    Args:
        last_modified: milliseconds since 1970; now, as functions see it, when left out.

    Raises:
        TypeError: a part of another type, or a name that is no text.
    """

    __slots__ = ("last_modified", "name")

    def __init__(self, parts: Iterable[Part], name: str, *, type: str = "", last_modified: int | None = None) -> None:
        super().__init__(parts, type=type)
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
            raise TypeError(f"The name of a File is a str, not {_kind(name)}")
        self.name = well_formed(name)
        self.last_modified = int(_seconds() * 1000) if last_modified is None else last_modified


def _part_bytes(part: Part) -> Bytes:
    if isinstance(part, str):
        return well_formed(part).encode()
    if isinstance(part, Blob):
        data = part.known()
        assert data is not None, "the caller has dealt with stored blobs"
        return data
    data = bytes_like(part)
    if data is None:
        raise TypeError(f"A part of a Blob is str, bytes or a Blob, not {_kind(part)}")
    return data


def bytes_like(source: object) -> Bytes | None:
    """The bytes of whatever holds some (`bytearray`, `memoryview`, `array`, ...); None when it does not."""
    if isinstance(source, Bytes):
        return source
    try:
        return memoryview(cast("Bytes", source)).tobytes()
    except TypeError:
        return None


def _kind(value: object) -> str:
    return type(value).__name__


def _media_type(text: str) -> str:
    return text.lower() if _TYPE.fullmatch(text) else ""


def _shown(parts: object) -> str:
    return "..." if isinstance(parts, Blob) else repr(parts)[:20]


async def _joined(sources: Sequence[Blob], start: int, stop: int) -> AsyncIterator[Bytes]:
    for source in sources:
        first, last = max(0, start), min(source.size, stop)
        if first < last:
            async for chunk in source.slice(first, last).stream():
                yield chunk
        start, stop = start - source.size, stop - source.size
