"""Sweeping bytes that no file has: of uploads that a crash cut short, and of deletions that it kept from their end.

Bytes are stored before their document, and taken away after it, so what lies there without one for long enough is
nobody's. Several processes at it do no harm. The documents of upload URLs go at the same time, when these have expired.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from typing import TYPE_CHECKING, Final

from pyconvex.clock import sleep
from pyconvex.engine.files.stored_files import is_kept
from pyconvex.engine.files.upload_urls import forget_expired
from pyconvex.files.storage import FileStorageFailed
from pyconvex.store.persistence import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyconvex.engine.services import Services

EVERY_SECONDS: Final = 3600.0
AGE_SECONDS: Final = 24 * 3600.0
"""Bytes that are younger may belong to a file in the making; more where an upload is allowed to take longer."""
AT_ONCE: Final = 100
"""How many keys are looked for in one snapshot, which gives the event loop its turns."""

_log = logging.getLogger("pyconvex.files")


class FileSweep:
    """Sweeps at the start, and then every hour."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._task: asyncio.Task[None] | None = None

    @property
    def age_seconds(self) -> float:
        """How old bytes have to be."""
        limits = self._services.limits
        return max(AGE_SECONDS, 2 * limits.upload_seconds, 2 * limits.action_seconds)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="sweep files", context=Context())

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def sweep(self) -> int:
        """Remove every orphan, and what is kept of expired upload URLs; answers how many orphans there were.

        Raises:
            FileStorageFailed, StoreFailed: the files or the database cannot be used now.
        """
        first = await self._is_first()
        if first:
            await forget_expired(self._services)
        elif self._services.files.everywhere:
            return 0
        swept = 0
        before = self._services.clock.now_ms() - self.age_seconds * 1000
        async for keys in self._services.files.older_than(before):
            for start in range(0, len(keys), AT_ONCE):
                for key in await self._orphans(keys[start : start + AT_ONCE]):
                    await self._services.files.delete(key)
                    swept += 1
                await asyncio.sleep(0)
        return swept

    async def _run(self) -> None:
        while True:
            try:
                swept = await self.sweep()
            except (FileStorageFailed, StoreFailed) as error:
                _log.warning("stored files could not be swept: %s", error)
            except Exception:
                _log.exception("the sweep of stored files failed inside pyconvex")  # and goes on in an hour
            else:
                if swept:
                    _log.info("swept the bytes of %d files that are no more", swept)
            await sleep(self._services.clock, EVERY_SECONDS)

    async def _is_first(self) -> bool:
        """What all processes see alike, the first of them sweeps."""
        store = self._services.store
        return store.node == min(await store.living(), default=store.node)

    async def _orphans(self, keys: Sequence[str]) -> list[str]:
        async with self._services.store.snapshot() as transaction:
            return [key for key in keys if not await is_kept(transaction, key)]
