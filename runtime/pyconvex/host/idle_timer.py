"""The end of connections that nobody uses, with one timer for each."""

import asyncio
from collections.abc import Awaitable, Callable


class IdleTimer:
    """Closes a connection that waits too long for its next request. Stands in for `AsyncioSingleTask`.

    Pauses come and go thousands of times a second, so only their beginning is noted; the one timer looks at that.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], Awaitable[None]]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._close = close
        self.used = False
        """Whether a request has come."""
        self._idle_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Future[None] | None = None

    def set(self, *, idle: bool) -> None:
        """A pause begins or ends."""
        self._idle_since = self._loop.time() if idle else None
        self.used = self.used or not idle
        if idle and self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def pause(self) -> None:
        """The pause is over, but it is not a request yet that came."""
        self._idle_since = None

    async def restart(self, task_group: object, action: object) -> None:
        self.set(idle=True)

    async def stop(self) -> None:
        self.set(idle=False)

    def expire(self) -> None:
        """Close the connection now, if it is idle."""
        if self._idle_since is not None:
            self._idle_since = None
            self._closing = asyncio.ensure_future(self._close())

    def cancel(self) -> None:
        """The connection has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._idle_since is None:
            return  # the next pause starts a timer again
        left = self._idle_since + self._seconds - self._loop.time()
        if left <= 0:
            self.expire()
        else:
            self._timer = self._loop.call_later(left, self._look)
