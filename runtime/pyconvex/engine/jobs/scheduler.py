"""Runs scheduled functions when they are due: https://docs.convex.dev/scheduling/scheduled-functions

The scheduler sleeps until the next job is due, or until a commit of any node changes what is to be run. Every node
would run every job; that each is run once is the affair of the jobs' own transactions. So that nodes do not do the same
work all the time, each job has one node that goes first.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from math import inf
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pyconvex.engine import session_requests
from pyconvex.engine.jobs import jobs
from pyconvex.engine.jobs.job_runs import give_up, is_conflict, run_job
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.usage import UNLIMITED
from pyconvex.values.ids import encode_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyconvex.clock import Clock
    from pyconvex.engine.jobs.jobs import Job, Waiting
    from pyconvex.engine.runner import Runner
    from pyconvex.store.keys import Commit
    from pyconvex.values.ids import DocumentId

CONFLICT_MS: Final = (100.0, 60_000.0)
"""The shortest and the longest pause before a mutation that met others' changes is run again."""
FAILURE_MS: Final = (500.0, 7_200_000.0)
"""The same for a job that could not be run, and not by its own fault."""
TEND_MS: Final = 30_000.0
"""How often to look after what no commit tells of: nodes that died, jobs to be forgotten, a clock that was set."""
GRACE_MS: Final = 2_000.0
"""How long a job waits for the node that goes first, which may be busy or gone."""
DRAIN_SECONDS: Final = 0.25
"""How long jobs may go on after the deployment was told to stop; then they have as long again to be cancelled."""
_AHEAD: Final = 64
_FORGOTTEN_AT_ONCE: Final = 64

_log = logging.getLogger("pyconvex.scheduler")


class _Hold(Struct, frozen=True):
    """A job that is not to be attempted before `until_ms`, after so many attempts that did not settle it."""

    attempts: int
    until_ms: float


class Scheduler:
    """The scheduled functions of one deployment, as far as this process runs them.

    Args:
        eligible: asked before jobs are begun; False keeps them waiting. Call `wake` when the answer changes.
    """

    def __init__(self, runner: Runner, *, eligible: Callable[[], bool] = lambda: True) -> None:
        self._runner = runner
        self._store = runner.services.store
        self._clock: Clock = runner.services.clock
        self._eligible = eligible
        self._limit = runner.services.limits.scheduled_jobs
        self._running: dict[DocumentId, asyncio.Task[None]] = {}
        self._held: dict[DocumentId, _Hold] = {}
        self._known: set[bytes] = set()
        self._paused_until = 0.0
        self._living = frozenset((self._store.node,))
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._store.on_commit(self._hear)

    def start(self) -> None:
        """Run jobs from now on, as soon as there are functions. Once is enough."""
        if self._task is None:
            # An empty context: jobs are no part of whatever asks for them to be run.
            self._task = asyncio.create_task(self._run(), name="scheduler", context=Context())

    def wake(self) -> None:
        """Look again at what is to be run: there are other functions, or `eligible` says something else."""
        self._woken.set()

    async def close(self, patience: float = DRAIN_SECONDS) -> None:
        """Begin no more jobs. Those that run have so many seconds to end; mutations that did not will be run again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        left = set(self._running.values())
        if left:
            _, left = await asyncio.wait(left, timeout=patience)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=DRAIN_SECONDS)

    async def next_due(self) -> float | None:
        """When the next job is to be run, in milliseconds since 1970; it may be past. None without any."""
        async with self._store.snapshot() as transaction:
            first = await jobs.waiting(transaction, 1)
        return first[0].due if first else None

    async def run_due(self) -> bool:
        """Run what is due now to its end, and what runs already, but nothing that is scheduled meanwhile.

        For those who move the clock themselves. Returns whether there was anything.
        """
        async with self._store.snapshot() as transaction:
            found = await jobs.waiting(transaction, 2**31)
            now = self._clock.now_ms()
            ready = [each.id for each in found if each.due <= now and each.id not in self._running]
            due = [await jobs.look_up(transaction, each) for each in ready]
        any_at_all = bool(due or self._running)
        for job in due:
            while len(self._running) >= self._limit:
                await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED)
            self._begin(job)
        while self._running:
            await asyncio.wait(self._running.values())
        return any_at_all

    async def tend(self) -> None:
        """End the actions that no living node runs, and forget jobs and session requests that ended long ago."""
        async with self._store.snapshot() as transaction:
            running = await jobs.running(transaction)
        # In this order: a node that has begun an action is alive from before, if it is.
        self._living = await self._store.living()
        for job, node in running:
            # One of this node that nobody here runs: its beginning was reported to have failed, and had not.
            if node not in self._living or (node == self._store.node and job not in self._running):
                await give_up(self._runner, job)
        while await self._forget_some():
            pass
        while await session_requests.forget_some(self._store, self._clock.now_ms()):
            pass

    async def _run(self) -> None:
        tend_at = 0.0
        failures = 0
        while True:
            self._woken.clear()
            try:
                if tend_at <= self._clock.now_ms():
                    await self.tend()
                    tend_at = self._clock.now_ms() + TEND_MS
                next_at = await self._begin_due()
                failures = 0
            except Exception as error:
                # Whatever it is: those who scheduled something count on it.
                failures += 1
                next_at = self._clock.now_ms() + self._pause(FAILURE_MS[0], TEND_MS, failures)
                _log_failure("the scheduler could not look for what is due", error)
                self._woken.clear()
            await self._sleep_until(min(next_at, max(tend_at, self._clock.now_ms() + FAILURE_MS[0])))

    async def _begin_due(self) -> float:
        """Begin what is due, as far as there is room; answers when to look again (ms)."""
        room = self._limit - len(self._running)
        if room <= 0 or not self._may_run():
            return inf
        # One more, to know when the next is due; some more, where the first ones may be other nodes' own.
        limit = room + len(self._running) + len(self._held) + (1 if len(self._living) == 1 else _AHEAD)
        async with self._store.snapshot() as transaction:
            found = await jobs.waiting(transaction, limit)
            ready, next_at = self._choose(found)
            due = [await jobs.look_up(transaction, each.id) for each in ready[:room]]
        for job in due:
            self._begin(job)
        self._known = {each.key for each in found}
        if len(found) < limit:
            waiting = {each.id for each in found}
            self._held = {held: hold for held, hold in self._held.items() if held in waiting}
        return next_at

    def _choose(self, found: list[Waiting]) -> tuple[list[Waiting], float]:
        """Which jobs to begin now, the first ones first, and when the next are to be begun (ms)."""
        now, next_at = self._clock.now_ms(), inf
        mine: list[Waiting] = []
        others: list[Waiting] = []
        for job in found:
            if job.id in self._running:
                continue
            goes_first = self._goes_first(job.id)
            begin_at = self._begin_at(job, goes_first)
            if begin_at > now:
                next_at = min(next_at, begin_at)
            else:
                (mine if goes_first else others).append(job)
        # From the end: whoever goes first there is more likely to be busy with the others.
        return mine + others[::-1], next_at

    def _may_run(self) -> bool:
        return self._runner.versions.current.version > 0 and self._eligible()

    def _begin_at(self, job: Waiting, goes_first: bool) -> float:
        """When this node is to attempt the job (ms)."""
        hold = self._held.get(job.id)
        due = job.due if goes_first else job.due + GRACE_MS
        return max(due, self._paused_until, 0.0 if hold is None else hold.until_ms)

    def _goes_first(self, id: DocumentId) -> bool:
        if len(self._living) == 1:
            return True
        nodes = sorted(self._living)
        return nodes[int.from_bytes(id.internal[:4]) % len(nodes)] == self._store.node

    def _begin(self, job: Job) -> None:
        task = asyncio.create_task(run_job(self._runner, job), name=f"job {encode_id(job.id)}", context=Context())
        self._running[job.id] = task
        task.add_done_callback(lambda task: self._ended(job.id, task))

    def _ended(self, id: DocumentId, task: asyncio.Task[None]) -> None:
        del self._running[id]
        self._woken.set()
        error = None if task.cancelled() else task.exception()
        hold = self._held.pop(id, None)
        if error is None:
            return
        attempts = 1 if hold is None else hold.attempts + 1
        pause = self._pause(*(CONFLICT_MS if is_conflict(error) else FAILURE_MS), attempts)
        self._held[id] = _Hold(attempts, self._clock.now_ms() + pause)
        if isinstance(error, StoreFailed):
            # Most likely no other job can be run either.
            self._paused_until = self._clock.now_ms() + FAILURE_MS[0]
        if not is_conflict(error):
            _log_failure(
                f"scheduled function {encode_id(id)} could not be run, next attempt in {pause / 1000:.1f} s", error
            )

    def _pause(self, shortest: float, longest: float, attempts: int) -> float:
        """A random part, at least half, of a pause that doubles with every attempt (ms)."""
        chance = int.from_bytes(self._clock.random_bytes(2)) / 0xFFFF
        return min(shortest * 2.0 ** min(attempts - 1, 30), longest) * (0.5 + chance / 2)

    async def _forget_some(self) -> bool:
        async with self._store.snapshot() as transaction:
            found = await jobs.forgettable(transaction, self._clock.now_ms(), _FORGOTTEN_AT_ONCE)
        if found:
            await self._store.mutate(
                lambda transaction: jobs.forget(transaction, found), limits=UNLIMITED, patient=True
            )
        return len(found) == _FORGOTTEN_AT_ONCE

    async def _sleep_until(self, at_ms: float) -> None:
        alarm = self._clock.alarm(at_ms, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            alarm.cancel()

    def _hear(self, commit: Commit) -> None:
        if jobs.adds_waiting(commit, self._known):
            self._woken.set()


def _log_failure(what: str, error: BaseException) -> None:
    known = isinstance(error, StoreFailed)
    _log.error("%s: %s", what, error, exc_info=None if known else error)
