"""Places for what may only be in progress so many times at once; whoever finds none free waits, in order."""

import asyncio
from collections import deque
from math import inf
from typing import Final

from pyconvex.errors import RequestRefused

ACTION_PATIENCE_SECONDS: Final = 10.0
"""How long an action waits for a place."""


class Permits:
    """A number of places.

    Args:
        count: how many.
        message: what those are told who are not going to get one.
        hint: what the developer can do about it.
        patience_seconds: how long one may wait; None for as long as its task goes on.
        waiting_max: how many may wait.
    """

    def __init__(
        self,
        count: int,
        message: str,
        hint: str,
        *,
        patience_seconds: float | None = None,
        waiting_max: float = inf,
    ) -> None:
        self._free = count
        self._message = message
        self._hint = hint
        self._patience_seconds = patience_seconds
        self._waiting_max = waiting_max
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Takes a place if one is free. Nobody is overtaken: places that others wait for are never free."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def acquire(self) -> None:
        """Waits for a place. Raises `RequestRefused` 429 `TooManyConcurrentRequests` when too long, or too many do."""
        if self.take():
            return
        if len(self._waiting) >= self._waiting_max:
            raise self._refusal()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(self._patience_seconds):
                await place
        except asyncio.CancelledError:
            self._decline(place)
            raise
        except TimeoutError:
            self._decline(place)
            raise self._refusal() from None

    def release(self) -> None:
        """Gives a place back, to who has waited longest."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    def _decline(self, place: asyncio.Future[None]) -> None:
        """Who waited is gone; the place may have come at the same moment."""
        if not place.cancelled():
            self.release()
        elif place in self._waiting:
            self._waiting.remove(place)

    def _refusal(self) -> RequestRefused:
        return RequestRefused(429, "TooManyConcurrentRequests", self._message, hint=self._hint)


def action_permits(count: int) -> Permits:
    """How many actions and HTTP actions may run at once; those that they call count with them."""
    return Permits(
        count,
        "Too many actions and HTTP actions are running at once. Try again later.",
        "Raise the limit `concurrent_actions`, or make the actions shorter.",
        patience_seconds=ACTION_PATIENCE_SECONDS,
    )
