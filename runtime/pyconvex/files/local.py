"""Stored files in a folder of this machine."""

import asyncio
import errno
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, ParamSpec, TypeVar

from pyconvex.clock import Clock, SystemClock
from pyconvex.errors import StartFailed

from .storage import KEY, Content, FileMissing, FileStorageFailed, StoredFile, checked

P = ParamSpec("P")
T = TypeVar("T")

READ_BYTES: Final = 256 * 1024
WRITE_BYTES: Final = 1024 * 1024
"""What is worth a hop to a thread. An upload has two such pieces in memory: one arrives while the other is written."""
ABANDONED_SECONDS: Final = 24 * 3600.0
"""A file that has not grown for so long is not being received any more, whoever did that."""

_INCOMING = "incoming"


class LocalFiles:
    """Files under their keys in `folder`, in subfolders by the first two letters.

    A file comes into being with one rename after all its bytes are on the disk: a crash leaves it whole or not there.
    What is not a key is no file, so no key leads out of the folder.

    Args:
        shared: other processes store files there too.

    Raises:
        StartFailed: the folder cannot be made or written.
    """

    everywhere = False

    def __init__(self, folder: Path, *, clock: Clock | None = None, shared: bool = False) -> None:
        self._folder = folder
        self._incoming = folder / _INCOMING
        self._clock = clock or SystemClock()
        self._shared = shared
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the name of a file is all that it takes to load it
            self._incoming.mkdir(exist_ok=True)
            self._clear(alone=not shared)
        except OSError as error:
            message = f"cannot store files in {folder}: {error.strerror}"
            raise StartFailed("FileStorageUnusable", message) from error

    async def put(self, key: str, content: bytes | AsyncIterable[bytes], *, sha256: bytes | None = None) -> StoredFile:
        """See `FileStorage`. Raises `FileStorageFailed` `DiskFailed`: the disk is full or fails."""
        temporary = self._incoming / checked(key)
        try:
            stored = await self._receive(temporary, Content(key, content, sha256))
            await _whole(_on_disk(self._keep, temporary, key))
        except BaseException:
            await _whole(asyncio.to_thread(_discard, temporary, self._path(key)))
            raise
        return stored

    async def open(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `FileStorage`."""
        path = self._path(checked(key))
        try:
            file = await asyncio.to_thread(_opened, path, start)
        except FileNotFoundError:
            raise FileMissing(key) from None
        return _chunks(file, sys.maxsize if stop is None else max(0, stop - start))

    async def delete(self, key: str) -> None:
        """See `FileStorage`."""
        with suppress(FileMissing):
            await _on_disk(self._path(checked(key)).unlink, missing_ok=True)

    async def older_than(self, at_ms: float) -> AsyncIterator[Sequence[str]]:
        """See `FileStorage`. What nobody receives any more is removed as well."""
        await _on_disk(self._clear, alone=False)
        for folder in await _on_disk(_folders, self._folder):
            yield await _on_disk(_keys_in, folder, at_ms / 1000)

    async def _receive(self, temporary: Path, content: Content) -> StoredFile:
        file = await _whole(_on_disk(temporary.open, "xb"))

        def write(piece: list[bytes]) -> None:
            file.writelines(piece)
            content.take(piece)

        writing = asyncio.create_task(asyncio.sleep(0))
        try:
            async for piece in content.pieces(WRITE_BYTES):
                await _whole(writing)
                writing = asyncio.create_task(_on_disk(write, piece))
            await _whole(writing)
            stored = content.stored()
            await _whole(_on_disk(_sync, file))
            return stored
        finally:
            await _whole(asyncio.gather(writing, return_exceptions=True))
            with suppress(OSError):  # Whatever it still had to write was synced before, or is given up.
                file.close()

    def _keep(self, temporary: Path, key: str) -> None:
        path = self._path(key)
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            _sync_folder(self._folder)
        temporary.rename(path)
        _sync_folder(path.parent)

    def _clear(self, *, alone: bool) -> None:
        """Remove what was being received: all of it if nobody else can be at it, else what has not grown for long."""
        for file in self._incoming.iterdir():
            if alone or _changed_before(file, self._clock.now_ms() / 1000 - ABANDONED_SECONDS):
                file.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key


async def _chunks(file: BinaryIO, left: int) -> AsyncGenerator[bytes, None]:
    """The next chunk is read while the one before is used."""
    reading = asyncio.create_task(_on_disk(file.read, min(READ_BYTES, left)))
    try:
        while chunk := await asyncio.shield(reading):
            left -= len(chunk)
            reading = asyncio.create_task(_on_disk(file.read, min(READ_BYTES, left)))
            yield chunk
    finally:
        await _whole(asyncio.gather(reading, return_exceptions=True))
        file.close()


def _opened(path: Path, start: int) -> BinaryIO:
    file = path.open("rb", buffering=0)
    file.seek(start)
    return file


async def _on_disk(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what waits for the disk, in a thread."""
    try:
        return await asyncio.to_thread(call, *args, **kwargs)
    except OSError as error:
        message = f"the disk that keeps the files failed: {error.strerror or error}"
        hint = "free some space" if error.errno == errno.ENOSPC else None
        raise FileStorageFailed("DiskFailed", message, hint=hint) from error


async def _whole(step: Awaitable[T]) -> T:
    """Let `step` end even when the caller is cancelled meanwhile: a thread cannot be stopped half-way."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _folders(folder: Path) -> list[Path]:
    return [each for each in sorted(folder.iterdir()) if len(each.name) == 2 and each.is_dir()]


def _keys_in(folder: Path, before: float) -> list[str]:
    return [file.name for file in folder.iterdir() if KEY.fullmatch(file.name) and _changed_before(file, before)]


def _changed_before(file: Path, seconds: float) -> bool:
    try:
        return file.stat().st_mtime < seconds
    except FileNotFoundError:
        return False


def _discard(*files: Path) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


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
