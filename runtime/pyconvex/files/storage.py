"""Where the bytes of stored files live."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from pyconvex.errors import PyconvexError


class FileMissing(PyconvexError):
    """The storage holds no file under this key."""

    def __init__(self, key: str) -> None:
        super().__init__("FileMissing", f"no stored file has the key {key!r}")
        self.key = key


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is safely stored: its key (made by the storage), SHA-256 digest (32 bytes) and size in bytes."""

    key: str
    sha256: bytes
    size: int


class FileStorage(Protocol):
    async def put(self, content: bytes | AsyncIterable[bytes]) -> StoredFile:
        """Store `content`; it is durable when this returns, and nothing is kept when it raises."""
        ...

    async def open(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop` (the end when None), in chunks.

        Raises:
            FileMissing: no file of that key, found out before the first chunk.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        ...
