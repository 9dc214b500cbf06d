"""Where the clients of the sync protocol arrive: https://docs.convex.dev/client/javascript"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyconvex.engine.client_version import ClientVersion

    from .outbox import Socket
    from .services import Services
    from .worker import Worker

DRAIN_SECONDS: Final = 0.25
"""How long clients may take to hear that the server stops, and what runs for them to be cancelled."""


class SyncEndpoint:
    """All sessions of one deployment."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._workers: dict[Worker, asyncio.Task[None]] = {}
        self._closing = False

    @property
    def sessions(self) -> int:
        """How many clients are connected."""
        return len(self._workers)

    async def __call__(self, socket: Socket, client: ClientVersion) -> None:
        """Serve one WebSocket, which was not accepted yet, to its end."""
        if self._closing:
            await socket.refuse(503)
            return
        from .worker import Worker  # with all that speaks the protocol: nothing of it is needed until a client comes

        await socket.accept()
        worker = Worker(self._services, socket, client)
        task = asyncio.current_task()
        assert task is not None, "servers run each WebSocket in a task"
        self._workers[worker] = task
        try:
            await worker.run()
        finally:
            del self._workers[worker]

    async def close(self, patience: float = DRAIN_SECONDS) -> None:
        """Tell all clients to come back later.

        What runs for them has so many seconds to end, and is answered then; nothing more is begun.
        """
        self._closing = True
        for worker in list(self._workers):
            worker.stop()
        await _wait(self._workers.values(), patience)
        for worker in list(self._workers):
            worker.close()
        await _wait(self._workers.values(), DRAIN_SECONDS)
        for run in self._services.running:
            run.cancel()
        await _wait(self._services.running, DRAIN_SECONDS)


async def _wait(tasks: Iterable[asyncio.Task[None]], seconds: float) -> None:
    if waiting := set(tasks):
        await asyncio.wait(waiting, timeout=seconds)
