"""Where the bytes of stored files live, whatever keeps them."""

import hashlib
import re
import uuid
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from typing import Final, Protocol

from msgspec import Struct

from pyconvex.clock import Clock, execution_id
from pyconvex.errors import PyconvexError, Remedy

KEY: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
"""The form of every key: a UUID in lower case, so that no key leads out of where files are kept."""


class FileMissing(PyconvexError):
    """The storage holds no file under this key."""

    def __init__(self, key: str) -> None:
        super().__init__("FileMissing", f"no stored file has the key {key!r}")
        self.key = key


class FileStorageFailed(PyconvexError):
    """What keeps the files cannot do so now: a full disk, a bucket that is gone or does not answer.

    `code` is `DiskFailed`, `StorageUnreachable`, `BucketMissing`, `BucketRefused`, `CredentialsMissing` or
    `FileTooLarge`.
    """

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(code, message, hint=hint, remedy=Remedy.WAIT)


class Sha256Mismatch(PyconvexError):
    """A file has another digest than its sender said; nothing of it was kept."""

    def __init__(self, expected: bytes, actual: bytes) -> None:
        message = f"Sha256 mismatch. Expected: {b64encode(expected).decode()} Actual: {b64encode(actual).decode()}"
        super().__init__("Sha256Mismatch", message)


class StoredFile(Struct, frozen=True):
    """A file that is safely stored: its key, SHA-256 digest (32 bytes) and size in bytes."""

    key: str
    sha256: bytes
    size: int


class FileStorage(Protocol):
    """Whole files under keys of the form `KEY`, which never change: they come into being and go."""

    everywhere: bool
    """Whether every process of the deployment sees the same files, on whatever machine it runs."""

    async def put(self, key: str, content: bytes | AsyncIterable[bytes], *, sha256: bytes | None = None) -> StoredFile:
        """Store `content` under a new key; it is durable when this returns, and nothing is kept when it raises.

        Args:
            sha256: the digest that the content must have.

        Raises:
            Sha256Mismatch: it has another one.
            FileStorageFailed: it cannot be kept now.
        """
        ...

    async def open(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to `stop` (the end when None), in chunks.

        Raises:
            FileMissing: no file of that key, found out before the first chunk.
            FileStorageFailed: it cannot be read now; also while chunks are taken.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error.

        Raises:
            FileStorageFailed: it cannot be removed now.
        """
        ...

    def older_than(self, at_ms: float) -> AsyncIterator[Sequence[str]]:
        """The keys of all files that were complete at that time (milliseconds since 1970), some at a time.

        Raises:
            FileStorageFailed: they cannot be listed now.
        """
        ...


def new_key(clock: Clock) -> str:
    """A random UUID, version 4."""
    return execution_id(clock)


def checked(key: str) -> str:
    """Raises `FileMissing` for what is no key."""
    if KEY.fullmatch(key) is None:
        raise FileMissing(key)
    return key


def key_bytes(key: str) -> bytes:
    """The 16 bytes that a key stands for."""
    return uuid.UUID(key).bytes


class Content:
    """A file's content on its way into a storage, in pieces of some size, measured as it passes.

    `take` is the storage's to call for every piece, in whatever thread; afterwards `stored` knows digest and size.
    """

    def __init__(self, key: str, source: bytes | AsyncIterable[bytes], expected: bytes | None) -> None:
        self._key = key
        self._source = source
        self._expected = expected
        self._digest = hashlib.sha256()
        self._size = 0

    async def pieces(self, size: int) -> AsyncIterator[list[bytes]]:
        """All of it: lists of chunks with `size` bytes or somewhat more, the last one shorter."""
        if isinstance(self._source, bytes):
            yield [self._source]
            return
        waiting: list[bytes] = []
        waiting_bytes = 0
        async for chunk in self._source:
            waiting.append(chunk)
            waiting_bytes += len(chunk)
            if waiting_bytes >= size:
                yield waiting
                waiting, waiting_bytes = [], 0
        yield waiting

    def take(self, piece: list[bytes]) -> None:
        """Count and digest the next piece."""
        for chunk in piece:
            self._digest.update(chunk)
            self._size += len(chunk)

    def stored(self) -> StoredFile:
        """What it came to.

        Raises:
            Sha256Mismatch: it is not what it should be.
        """
        actual = self._digest.digest()
        if self._expected is not None and self._expected != actual:
            raise Sha256Mismatch(self._expected, actual)
        return StoredFile(self._key, actual, self._size)
