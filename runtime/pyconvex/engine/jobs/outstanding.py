"""How many scheduled functions have not ended yet, and the limit on them.

They are counted once, by the first mutation that schedules one; after that each commit says by how much the number has
changed. So it costs nothing to ask. Mutations that run at the same moment do not see each other's, so those that
schedule are asked once more when they are committed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pyconvex.engine.jobs.jobs import OUTSTANDING, change_by, outstanding_change
from pyconvex.store.keys import KeyRange
from pyconvex.store.usage import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyconvex.clock import Clock
    from pyconvex.settings import Limits
    from pyconvex.store.keys import Commit, DocumentChange
    from pyconvex.store.store import Store
    from pyconvex.store.transaction import Transaction

RECOUNT_SECONDS: Final = 60.0
"""Nothing is refused because of an older count, should a commit ever have been missed."""
_COMMITS_MAX: Final = 4096


class Outstanding:
    """The scheduled functions of one deployment that have not ended.

    Args:
        limits: `outstanding_functions` is the limit.
    """

    def __init__(self, store: Store, limits: Limits, clock: Clock) -> None:
        self._limit = limits.outstanding_functions
        self._clock = clock
        self._count: int | None = None
        self._counted_at = 0.0
        self._counted_ts = 0
        """Of the view that was counted: commits up to it have nothing to add."""
        self._changes: deque[tuple[int, int]] = deque(maxlen=_COMMITS_MAX)
        """Timestamps of the newest commits that changed the number, and by how much."""
        store.on_commit(self._hear)

    async def check(self, transaction: Transaction) -> None:
        """Refuse what a mutation has just counted as scheduled, if that is too much.

        Raises:
            LimitExceeded: with the ones that are there, they are more than may be.
        """
        wanted = transaction.usage.functions_scheduled
        if self._count is None or (self._count + wanted > self._limit and self._is_old()):
            self._count = await self._counted(transaction)
        if self._count + wanted > self._limit:
            raise self._refusal()
        transaction.verdict = self._verdict

    def _verdict(self, documents: Sequence[DocumentChange], ahead: Iterable[Commit]) -> LimitExceeded | None:
        """The limit as it is when a mutation is committed, behind all commits that were heard of and those `ahead`."""
        more = change_by(documents)
        if more <= 0 or self._count is None:  # without a count, others came in its way and it runs again
            return None
        return self._refusal() if self._count + sum(map(outstanding_change, ahead)) + more > self._limit else None

    def _refusal(self) -> LimitExceeded:
        return LimitExceeded(
            "TooManyFunctionsOutstanding",
            f"Too many scheduled functions that have not run yet (limit: {self._limit})",
            hint="wait until some of them have run, or cancel some with `ctx.scheduler.cancel`",
        )

    def _is_old(self) -> bool:
        return self._clock.monotonic() - self._counted_at > RECOUNT_SECONDS

    async def _counted(self, transaction: Transaction) -> int:
        """How many there are by what is known now. The transaction does not depend on it."""
        reader, (index, _, stop) = transaction.reader, OUTSTANDING
        counted, rest = await reader.count(OUTSTANDING)
        while rest is not None:
            if transaction.pause is not None and (turn := transaction.pause()) is not None:
                await turn
            more, rest = await reader.count(KeyRange(index, rest, stop))
            counted += more
        self._counted_at, self._counted_ts = self._clock.monotonic(), reader.ts
        return counted + sum(change for ts, change in self._changes if ts > reader.ts)

    def _hear(self, commit: Commit) -> None:
        if commit.everything:
            self._count = None
            return
        change = outstanding_change(commit)
        if change:
            self._changes.append((commit.ts, change))
            if self._count is not None and commit.ts > self._counted_ts:
                self._count += change
