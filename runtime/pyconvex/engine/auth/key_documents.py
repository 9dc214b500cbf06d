"""Documents of other servers, kept for as long as those allow.

Whoever needs the same document at the same time waits for one fetch. A server in trouble is asked again soon, but not
by everyone who comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from pyconvex.engine.daemon_thread import in_daemon_thread

if TYPE_CHECKING:
    from pyconvex.clock import Clock

T = TypeVar("T")

FETCH_SECONDS: Final = 10.0
"""How long anyone waits for a document."""
FAILURE_SECONDS: Final = 2.0
"""How long a document that could not be had is not asked for again."""
RENEWAL_SECONDS: Final = 10.0
"""How long a document is taken for the newest."""


class FetchFailed(Exception):
    """A document that cannot be had. `passing` is for what may be over soon: the network, a server in trouble."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing


class Fetched(NamedTuple):
    body: bytes
    media_type: str | None
    """None where the server names none, and for `data:` URIs."""
    seconds: float
    """For how long it counts."""


class Document(Generic[T]):
    """What stands at one address: as it was fetched last, or why it could not be."""

    def __init__(self, clock: Clock, url: str, read: Callable[[Fetched], T]) -> None:
        """`read` makes something of what was fetched, in the thread that fetched it; it may raise `FetchFailed`."""
        self._clock = clock
        self._url = url
        self._read = read
        self._kept: T | FetchFailed = FetchFailed("nothing was fetched yet")
        self._fetched_ms = 0.0
        self._until_ms = 0.0
        self._fetching: asyncio.Task[T | FetchFailed] | None = None

    async def current(self) -> T:
        """As it was fetched last, if that still counts.

        Raises:
            FetchFailed: it cannot be had.
        """
        return _had(self._kept if self._is_within(self._until_ms) else await self._fetched())

    async def renewed(self) -> T:
        """Fetched anew, unless it is new: that is `RENEWAL_SECONDS` old at most.

        Raises:
            FetchFailed: it cannot be had.
        """
        is_new = self._is_within(self._fetched_ms + RENEWAL_SECONDS * 1000) and self._is_within(self._until_ms)
        return _had(self._kept if is_new else await self._fetched())

    def _is_within(self, until_ms: float) -> bool:
        """Not for ever either, when the machine's clock is set back."""
        return self._fetched_ms <= self._clock.now_ms() < until_ms

    async def _fetched(self) -> T | FetchFailed:
        if self._fetching is None:
            self._fetching = asyncio.ensure_future(self._fetch())
        return await asyncio.shield(self._fetching)  # who leaves does not leave the others without

    async def _fetch(self) -> T | FetchFailed:
        seconds = FAILURE_SECONDS
        outcome: T | FetchFailed
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                outcome, seconds = await in_daemon_thread(self._work, "pyconvex-keys")
        except FetchFailed as failed:
            outcome = failed.with_traceback(None)
        except TimeoutError:
            outcome = FetchFailed(f"{self._url} did not answer within {FETCH_SECONDS:g} s", passing=True)
        except Exception as error:
            outcome = FetchFailed(f"{self._url} cannot be read: {type(error).__name__}: {error}")
        finally:
            self._fetching = None
        self._keep(outcome, seconds)
        return outcome

    def _work(self) -> tuple[T, float]:
        from pyconvex.engine.auth.key_fetch import (
            fetch,  # its HTTP client costs 30 ms, paid in the thread that needs it
        )

        fetched = fetch(self._url)
        return self._read(fetched), fetched.seconds

    def _keep(self, outcome: T | FetchFailed, seconds: float) -> None:
        """A failure does not take away what still counts."""
        still_counts = not isinstance(self._kept, FetchFailed) and self._is_within(self._until_ms)
        self._fetched_ms = self._clock.now_ms()
        if not (isinstance(outcome, FetchFailed) and still_counts):
            self._kept, self._until_ms = outcome, self._fetched_ms + seconds * 1000


def _had(outcome: T | FetchFailed) -> T:
    if isinstance(outcome, FetchFailed):
        raise FetchFailed(outcome.reason, passing=outcome.passing)
    return outcome
