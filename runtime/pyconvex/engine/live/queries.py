"""Live queries, shared by all sessions: each runs again when something that it read was written.

Sessions that ask for a view in the same turn of the event loop are answered in one round (`live_rounds.py`), or at once
when all that they show still holds.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final

from pyconvex.clock import execution_id, request_id
from pyconvex.engine.execution import Caller
from pyconvex.engine.live.results import LiveResult, View
from pyconvex.engine.live.rounds import TURN_SECONDS, Round
from pyconvex.engine.live.subscriptions import Phase, Subscription, Subscriptions
from pyconvex.engine.live.table import Entry, Known, LiveTable, Question
from pyconvex.engine.logs.logs import Completion
from pyconvex.errors import RequestRefused
from pyconvex.functions.function import Kind
from pyconvex.store.persistence import StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from pyconvex.clock import Alarm
    from pyconvex.engine.execution import Call
    from pyconvex.engine.live.commit_history import CommitHistory
    from pyconvex.engine.runner import Outcome, Runner
    from pyconvex.loading.registry import Registry
    from pyconvex.store.keys import Commit
    from pyconvex.store.persistence import Reader

__all__ = ["LiveQueries", "LiveResult", "Subscriptions", "View"]

ROUNDS_MAX: Final = 8
"""Rounds at work at the same time, each with a snapshot of its own."""
AHEAD_SECONDS: Final = 60
"""A client that has seen timestamps further ahead of our clock is mistaken."""
RETRY_SECONDS: Final = 0.1
RETRY_SECONDS_MAX: Final = 5.0
SNAPSHOTS_LOST_MAX: Final = 3


class LiveQueries:
    """The live queries of one deployment. Built once by the host, on the event loop.

    Args:
        redact: whether error texts and log lines are kept from clients.
    """

    def __init__(self, runner: Runner, *, redact: bool = False) -> None:
        self.runner = runner
        self.redact = redact
        self._clock = runner.services.clock
        self.table = LiveTable(self._clock, self._told_of)
        self._loop = asyncio.get_running_loop()
        self._registry = weakref.ref(runner.versions.current)
        self._pending: deque[Subscriptions] = deque()
        """Sessions that want a view."""
        self._unanswered: list[Subscriptions] = []
        """Those of them that need a round."""
        self._gathering = False
        self._rounds: dict[Round, asyncio.Task[None]] = {}
        self._telling: deque[Subscriptions] = deque()
        """Sessions that are to hear that their results are old."""
        self._alarms: set[Alarm] = set()
        self._closed = False
        runner.services.store.on_commit(self._hear)
        runner.services.environment.on_change(self._changed)

    @property
    def history(self) -> CommitHistory:
        """What recent commits wrote."""
        return self.table.history

    def subscriptions(self, on_stale: Callable[[], None], on_view: Callable[[View], None]) -> Subscriptions:
        """The queries of one session: none at first, and asked by nobody (`Subscriptions.identify`).

        Args:
            on_stale: called when some result does not hold any more; once, until the next view. The session calls
                `refresh` when it is ready to send.
            on_view: called with each view that was asked for.
        """
        return Subscriptions(self, on_stale, on_view)

    async def at_once(self, asked: Sequence[tuple[str, object, Call]]) -> tuple[int, list[Outcome]]:
        """Runs queries (path, arguments, who asks) at one snapshot; its timestamp (ns), and how each ended.

        Raises `RequestRefused` as `Runner.call` does, and `StoreFailed` without a snapshot.
        """
        store = self.runner.services.store
        for _ in range(SNAPSHOTS_LOST_MAX):
            version = self.runner.versions.lease()
            with version:
                async with store.snapshot() as opened:
                    try:
                        outcomes = [await self._outcome(each, version, opened.reader) for each in asked]
                    except RequestRefused:
                        if not opened.lost:
                            raise
                        continue
                    if not opened.lost:
                        return opened.ts, outcomes
        raise StoreFailed("DatabaseUnreachable", "the connection to the database was lost again and again")

    async def _outcome(
        self, asked: tuple[str, object, Call], version: AbstractContextManager[Registry], view: Reader
    ) -> Outcome:
        path, args, call = asked
        await asyncio.sleep(0)
        return await self.runner.call(
            path, args, call, kind=Kind.QUERY, internal=call.identity.is_admin, version=version, view=view
        )

    def reloaded(self) -> None:
        """The functions were swapped: all queries run again."""
        registry = self.runner.versions.current
        if self._registry() is not registry:
            self._registry = weakref.ref(registry)
            self.table.renew()

    async def close(self) -> None:
        """No more rounds; nobody is called after it."""
        self._closed = True
        for alarm in self._alarms:
            alarm.cancel()
        tasks = list(self._rounds.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.table.close()

    # --- asking for views

    def pend(self, session: Subscriptions) -> None:
        """Answer it in the next round."""
        session.phase = Phase.PENDING
        self._pending.append(session)
        self._gather_soon()

    def believed(self, ts: int) -> int:
        """A client may have seen what a database lost that was restored since; but nobody has seen tomorrow."""
        newest = self.table.newest
        if ts <= newest:
            return ts
        return ts if ts <= max(self._clock.now_ns(), newest) + AHEAD_SECONDS * 1_000_000_000 else 0

    def version(self) -> tuple[AbstractContextManager[Registry], int]:
        """A lease on the code that serves now, and the table's number of it."""
        self.reloaded()
        return self.runner.versions.lease(), self.table.version

    def later(self, sessions: Iterable[Subscriptions]) -> None:
        """The deployment could not answer these now: ask again soon, and less and less soon."""
        waiting = [session for session in sessions if session.phase is not Phase.CLOSED]
        if not waiting or self._closed:
            return
        failures = max(session.failures for session in waiting)
        for session in waiting:
            session.phase = Phase.PENDING
            session.failures = failures + 1
        delay = min(RETRY_SECONDS * 2 ** min(failures, 10), RETRY_SECONDS_MAX)

        def again() -> None:
            for session in waiting:
                if session.phase is Phase.PENDING:
                    self.pend(session)

        self._ring(delay, again)

    def expire_later(self, entry: Entry) -> None:
        """Its result is to be tried for again in a while."""
        self._ring(RETRY_SECONDS_MAX, lambda: self.table.expire(entry))

    def answered_from_table(self, session: Subscriptions, question: Question, known: Known) -> None:
        """Logs that a new subscription got its result without a run."""
        clock = self._clock
        self.runner.services.logs.publish(
            Completion(
                Kind.QUERY.udf_type,
                question.key.path.removesuffix(":default"),
                request_id(clock),
                execution_id(clock),
                None,
                Caller.SYNC_WORKER.value,
                session.identity.identity_type,
                clock.now_ms() / 1000,
                0.0,
                0.0,
                [],
                error=known.error,
                cached_result=True,
            )
        )

    def _gather_soon(self) -> None:
        if not self._gathering and not self._closed:
            self._gathering = True
            self._loop.call_soon(self._gather)

    def _gather(self) -> None:
        """Answer who can be answered out of the table, and begin a round for the others."""
        self._gathering = False
        if self._closed:
            return
        self.reloaded()
        monotonic = self._clock.monotonic
        until = monotonic() + TURN_SECONDS
        pending = self._pending
        while pending:
            session = pending.popleft()
            if session.phase is Phase.PENDING and not self._answer(session):
                self._unanswered.append(session)
            if monotonic() >= until:
                break
        if pending:
            self._gather_soon()
        self._begin_round()

    def _answer(self, session: Subscriptions) -> bool:
        """Hand out a view of results that all hold until now."""
        table = self.table
        newest, version = table.newest, table.version
        if not newest or newest < session.at_least:
            return False
        found: list[tuple[Subscription, Entry, Known]] = []
        for subscription in session.queries.values():
            entry = subscription.entry
            if entry is None or not entry.known.holds(newest, version):
                entry = subscription.question.find(session.owner, newest, version)
                if entry is None:
                    return False
            found.append((subscription, entry, entry.known))
        session.deliver(newest, found)
        return True

    def _begin_round(self) -> None:
        if not self._unanswered or len(self._rounds) >= ROUNDS_MAX or self._closed:
            return
        sessions, self._unanswered = self._unanswered, []
        round_ = Round(self, sessions)
        task = self._loop.create_task(round_.run(), name="live queries")
        self._rounds[round_] = task
        task.add_done_callback(lambda _: self._round_ended(round_))

    def _round_ended(self, round_: Round) -> None:
        del self._rounds[round_]
        self._begin_round()

    # --- what happens

    def _hear(self, commit: Commit) -> None:
        if not self._closed:
            self.table.hear(commit)

    def _changed(self, names: frozenset[str]) -> None:
        if self._closed:
            return
        for round_ in self._rounds:
            round_.changed |= names
        self.table.change(names)

    def _told_of(self, entry: Entry) -> None:
        for subscription in entry.subscribers:
            subscription.session.stale()

    def tell(self, session: Subscriptions) -> None:
        """Call its `on_stale` soon: those who wait for the commit that made it stale come first."""
        if not self._telling:
            self._loop.call_soon(self._tell)
        self._telling.append(session)

    def _tell(self) -> None:
        monotonic = self._clock.monotonic
        until = monotonic() + TURN_SECONDS
        while self._telling and not self._closed:
            self._telling.popleft().say_stale()
            if monotonic() >= until and self._telling:
                self._loop.call_soon(self._tell)
                return

    def _ring(self, seconds: float, then: Callable[[], None]) -> None:
        def ring() -> None:
            self._alarms.discard(alarm)
            if not self._closed:
                then()

        alarm = self._clock.alarm(self._clock.now_ms() + seconds * 1000, ring)
        self._alarms.add(alarm)
