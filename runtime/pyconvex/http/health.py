"""`/health`: what load balancers and supervisors ask a deployment.

It answers 200 while requests are welcome, and 503 with the reason otherwise. Anybody may ask, so it tells no secrets:
why a database is away is in the log.
"""

import asyncio
from enum import StrEnum
from time import monotonic
from typing import Any, Final

import msgspec

from pyconvex.store.persistence import StoreFailed

from .asgi import Exchange
from .deployment import Deployment
from .media import JSON

PATH: Final = "/health"
FRESH_SECONDS: Final = 1.0
"""How long an answer of the database counts; many may ask at once, and none of them may cost much."""
PATIENCE_SECONDS: Final = 2.0
"""How long the database may take to answer."""

_NOT_STORED: Final = (b"cache-control", b"no-store")


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    """Nothing can be served yet."""
    SERVING = "serving"
    STOPPING = "stopping"
    """It was told to stop, and still serves."""
    CLOSED = "closing"
    """What is in progress may end, and nothing new is begun."""


class Health:
    """Whether a deployment is well."""

    def __init__(self, deployment: Deployment) -> None:
        self.phase = Phase.SERVING
        self._deployment = deployment
        self._checking: asyncio.Task[str | None] | None = None
        self._checked_at = 0.0

    async def answer(self, exchange: Exchange) -> None:
        """GET and HEAD `/health`."""
        reason = await self._reason()
        answer: dict[str, Any] = {
            "status": "ok" if reason is None else "unavailable",
            "version": self._deployment.version,
            "deployment": self._deployment.name,
        }
        if reason is not None:
            answer["reason"] = reason
        headers = [*JSON, _NOT_STORED]
        await exchange.respond(200 if reason is None else 503, headers, msgspec.json.encode(answer))

    async def _reason(self) -> str | None:
        """Why requests had better go elsewhere; None when they need not."""
        if self.phase is Phase.STARTING:
            return "starting"
        if self.phase is not Phase.SERVING:
            return "shutting down"
        if self._deployment.versions.current.version == 0:
            return "no functions are loaded"
        return await self._database()

    async def _database(self) -> str | None:
        if self._checking is None or (self._checking.done() and monotonic() - self._checked_at > FRESH_SECONDS):
            self._checking = asyncio.ensure_future(self._check())
        return await asyncio.shield(self._checking)

    async def _check(self) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._deployment.store.snapshot():
                return None
        except TimeoutError:
            return "the database does not answer"
        except StoreFailed as error:
            return f"the database failed: {error.code}"
        finally:
            self._checked_at = monotonic()
