"""Taking away the bytes of deleted files, behind the back of who deleted them.

A deletion is done with the commit that takes the documents away. What it leaves to do can fail, or take its time where
the bytes are far away; that is nobody's error and nobody's wait. What fails, or does not come to be done, is swept.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from typing import TYPE_CHECKING, Final

from pyconvex.files.storage import FileStorageFailed

if TYPE_CHECKING:
    from pyconvex.files.storage import FileStorage

CLOSING_SECONDS: Final = 2.0
AT_ONCE: Final = 8
"""A mutation may delete thousands of files, and a bucket takes only so many requests."""

_log = logging.getLogger("pyconvex.files")


class FileRemovals:
    """The removals that are under way. Failures are logged as warnings, and raised nowhere."""

    def __init__(self, files: FileStorage) -> None:
        self._files = files
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def remove(self, key: str) -> None:
        """Begin to remove the bytes under `key`."""
        # In a context of its own: it is not part of the function that asked for it.
        task = asyncio.get_running_loop().create_task(self._remove(key), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until everything that was begun has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Give what was begun a little time to end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_SECONDS)
        for task in self._tasks:
            task.cancel()

    async def _remove(self, key: str) -> None:
        try:
            async with self._turns:
                await self._files.delete(key)
        except FileStorageFailed as error:
            _log.warning("the bytes of a deleted file are still there, and will be swept: %s", error)
