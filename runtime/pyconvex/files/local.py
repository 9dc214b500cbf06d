"""Stored files in a folder of this machine."""

import asyncio
import hashlib
import os
import re
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, ParamSpec, TypeVar

from pyconvex.clock import Clock, SystemClock
from pyconvex.errors import PyconvexError, Remedy, StartFailed

from .storage import FileMissing, StoredFile

P = ParamSpec("P")
T = TypeVar("T")

CHUNK_BYTES: Final = 256 * 1024
_KEY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_INCOMING = "incoming"
ABANDONED_SECONDS: Final = 3600.0
"""A file that has not grown for so long is not being received any more, whoever did that."""


class FileNotStored(PyconvexError):
    """The disk would not take a file; nothing of it was kept."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "FileNotStored", f"the file could not be stored: {reason}", hint="free some space", remedy=Remedy.WAIT
        )


class LocalFiles:
    """Files under random names in `folder`, in subfolders by the first two letters.

    A file comes into being with one rename after all its bytes are on the disk: a crash leaves it whole or not there.
    The caller never chooses a name, and what is not such a name is no file, so no key leads out of the folder.

    Args:
        shared: other processes store files there too.

    Raises:
        StartFailed: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, *, clock: Clock | None = None, shared: bool = False) -> None:
        self._folder = folder
        self._incoming = folder / _INCOMING
        self._clock = clock or SystemClock()
        try:
            self._incoming.mkdir(parents=True, exist_ok=True)
            for file in self._incoming.iterdir():
                if not shared or _changed_before(file, self._clock.now_ms() / 1000 - ABANDONED_SECONDS):
                    file.unlink(missing_ok=True)
        except OSError as error:
            message = f"cannot store files in {folder}: {error.strerror}"
            raise StartFailed("FileStorageUnusable", message) from error

    async def put(self, content: bytes | AsyncIterable[bytes]) -> StoredFile:
        """Store `content`; it is durable when this returns, and nothing is kept when it raises.

        Raises:
            FileNotStored: the disk is full or fails.
        """
        key = str(uuid.UUID(bytes=self._clock.random_bytes(16), version=4))
        temporary = self._incoming / key
        try:
            stored = await self._receive(key, temporary, content)
            await _whole(_on_disk(self._keep, temporary, key))
        except BaseException:
            for path in (temporary, self._path(key)):
                with suppress(OSError):
                    path.unlink()
            raise
        return stored

    async def open(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop` (the end when None), in chunks.

        Raises:
            FileMissing: no file of that key, found out before the first chunk.
        """
        path = self._existing(key)
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except (FileNotFoundError, NotADirectoryError):
            raise FileMissing(key) from None
        return _chunks(file, start, stop)

    async def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        with suppress(FileMissing, FileNotFoundError):
            await asyncio.to_thread(self._existing(key).unlink)

    async def _receive(self, key: str, temporary: Path, content: bytes | AsyncIterable[bytes]) -> StoredFile:
        digest = hashlib.sha256()
        size = 0
        file = await _on_disk(temporary.open, "xb")
        try:
            async for piece in _pieces(content):
                await _on_disk(file.write, piece)
                await asyncio.to_thread(digest.update, piece)
                size += len(piece)
            await _on_disk(_sync, file)
        finally:
            with suppress(OSError):  # Whatever it still had to write was synced before, or is given up.
                file.close()
        return StoredFile(key, digest.digest(), size)

    def _keep(self, temporary: Path, key: str) -> None:
        path = self._path(key)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            _sync_folder(self._folder)
        temporary.rename(path)
        _sync_folder(path.parent)

    def _existing(self, key: str) -> Path:
        if _KEY.fullmatch(key) is None:
            raise FileMissing(key)
        return self._path(key)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key


async def _pieces(content: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The content in pieces worth a hop to a thread each."""
    if isinstance(content, bytes):
        yield content
        return
    waiting = bytearray()
    async for chunk in content:
        waiting += chunk
        if len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


async def _chunks(file: BinaryIO, start: int, stop: int | None) -> AsyncIterator[bytes]:
    with file:
        await asyncio.to_thread(file.seek, start)
        left = None if stop is None else max(0, stop - start)
        while left is None or left > 0:
            chunk = await asyncio.to_thread(file.read, CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            yield chunk


async def _on_disk(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what waits for the disk, in a thread."""
    try:
        return await asyncio.to_thread(call, *args, **kwargs)
    except OSError as error:
        raise FileNotStored(error.strerror or str(error)) from error


async def _whole(step: Coroutine[Any, Any, None]) -> None:
    """Let `step` end even when the caller is cancelled meanwhile: a thread cannot be stopped half-way."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _changed_before(file: Path, seconds: float) -> bool:
    try:
        return file.stat().st_mtime < seconds
    except FileNotFoundError:
        return False


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename or a new folder survive a power loss; systems that cannot open folders do it by themselves."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
