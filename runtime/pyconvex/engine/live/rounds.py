"""A round: one snapshot at which a number of sessions get their views.

What is known to hold at the snapshot is taken from the table, the rest is run in it. Each session has its view as soon
as its own queries are through: a long one goes on in its turns while others are served and other rounds begin.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from pyconvex.clock import request_id
from pyconvex.engine.deadlines import SystemTimeout
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.failures import Failure, describe
from pyconvex.engine.live.read_ranges import ReadRanges
from pyconvex.engine.live.results import live_result
from pyconvex.engine.live.subscriptions import Desk, Phase, Subscription, Subscriptions
from pyconvex.engine.live.table import EVERYBODY, Entry, Known, Question
from pyconvex.engine.outages import system_error
from pyconvex.engine.runner import Outcome, Runner
from pyconvex.errors import RequestRefused
from pyconvex.functions.function import Kind
from pyconvex.store.persistence import Reader, StoreFailed

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Iterable
    from contextlib import AbstractContextManager

    from pyconvex.engine.auth.identity import Identity
    from pyconvex.loading.registry import Registry

TURN_SECONDS: Final = 0.001
"""After this much work everybody else has a turn. A round and what leads to it may add up in one."""
ROUND_SECONDS: Final = 0.1
"""After this long a round begins with no further session: the next one has a newer snapshot."""
FAILURES_MAX: Final = 3
"""How often a query is tried that pyconvex itself fails at; then its sessions are told, to have the others."""


class Service(Desk, Protocol):
    """Where rounds come from."""

    @property
    def runner(self) -> Runner: ...

    @property
    def redact(self) -> bool: ...

    def version(self) -> tuple[AbstractContextManager[Registry], int]:
        """A lease on the code that serves now, and the table's number of it."""
        ...

    def later(self, sessions: Iterable[Subscriptions]) -> None:
        """The deployment could not answer these now."""
        ...

    def expire_later(self, entry: Entry) -> None:
        """Its result is to be tried for again in a while."""
        ...


class Job:
    """A query that is being run. `waiting` are the sessions of its round that want its result."""

    __slots__ = ("error", "identity", "owner", "parked", "question", "waiting")

    def __init__(self, question: Question, identity: Identity, owner: bytes | None) -> None:
        self.question = question
        self.identity = identity
        self.owner = owner
        self.waiting: list[_Serving] = []
        self.parked: list[Subscriptions] = []
        """Sessions that other rounds have put back until it has ended."""
        self.error: Exception | None = None


class _Serving:
    """One session in a round."""

    __slots__ = ("edition", "found", "ran", "session", "subscriptions")

    def __init__(self, session: Subscriptions) -> None:
        self.session = session
        self.edition = session.edition
        self.subscriptions = tuple(session.queries.values())
        self.found: list[tuple[Subscription, Entry, Known]] = []
        """What was found for the first of them."""
        self.ran = False
        """Something was run for it."""


class Round:
    """One round. `changed` takes the names of environment variables that change while it runs."""

    def __init__(self, service: Service, sessions: Iterable[Subscriptions]) -> None:
        self.changed: set[str] = set()
        self._service = service
        self._table = service.table
        self._monotonic = service.runner.services.clock.monotonic
        self._new = deque(sessions)
        """Sessions that it has not begun with."""
        self._queue: deque[_Serving] = deque()
        """Those that can go on."""
        self._version: AbstractContextManager[Registry]
        """A lease on the code that all queries run on."""
        self._registry: Registry
        self._number = 0
        """The table's number of that version."""
        self._view: Reader
        self._ts = 0
        self._upheavals = 0
        self._jobs: dict[Question, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ran: dict[tuple[Question, bytes | None], tuple[Entry, Known]] = {}
        """What was run in this round, by question and owner."""
        self._failed: set[Question] = set()
        self._unserved: list[Subscriptions] = []
        """Sessions that want one of those."""
        self._due = 0.0
        """When everybody else has a turn."""
        self._ended: asyncio.Future[None] | None = None
        """Set when a job ends."""

    async def run(self) -> None:
        """Serve the sessions; those that could not be served are handed back."""
        store, table = self._service.runner.services.store, self._table
        try:
            self._version, self._number = self._service.version()
            with self._version as self._registry:
                await self._reach(max([session.at_least for session in self._new], default=0))
                async with store.snapshot() as opened:
                    self._view, self._ts = opened.reader, opened.ts
                    await store.hear(self._ts)
                    table.history.begin(self._ts)
                    table.newest, self._upheavals = max(table.newest, self._ts), table.upheavals
                    try:
                        await self._serve()
                    finally:
                        await self._stop()
        except StoreFailed:
            pass  # it is waited for
        except Exception as error:
            context = {"message": "a round of live queries failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
        finally:
            self._service.later(self._left())
            for entry, _ in self._ran.values():
                table.settle(entry)

    async def _reach(self, at_least: int) -> None:
        """Make sure that the snapshot is not older than what a client has seen, of a database before a restore."""
        if at_least <= self._table.newest:
            return
        store = self._service.runner.services.store
        async with store.snapshot() as opened:
            newest = opened.ts
        if newest < at_least:
            await store.lift(at_least)

    async def _serve(self) -> None:
        monotonic = self._monotonic
        now = monotonic()
        until, self._due = now + ROUND_SECONDS, now + TURN_SECONDS
        while True:
            while self._queue or self._new:
                if now >= until:
                    self._put_back()
                self._step()
                now = monotonic()
                if now >= self._due:
                    await asyncio.sleep(0)
                    now = monotonic()
                    self._due = now + TURN_SECONDS
            if not self._jobs:
                return
            self._ended = asyncio.get_running_loop().create_future()
            await self._ended
            self._ended = None
            self._check_view()
            self._due = monotonic() + TURN_SECONDS

    def _step(self) -> None:
        """Begin with one session, or go on with one: each in its turn, so that who wants much keeps nobody waiting."""
        if not self._new:
            if self._queue:
                self._advance(self._queue.popleft())
            return
        session = self._new.popleft()
        if session.phase is Phase.CLOSED:
            return
        if session.at_least > self._ts:
            self._service.pend(session)
            return
        session.phase = Phase.SERVED
        self._advance(_Serving(session))

    def _put_back(self) -> None:
        """Leave the sessions that have not had their turn to the next round."""
        while self._new:
            session = self._new.popleft()
            if session.phase is not Phase.CLOSED:
                self._service.pend(session)

    def _advance(self, serving: _Serving) -> None:
        """Find or run the queries of one session, until one has to be waited for or it has its view."""
        session = serving.session
        if session.phase is Phase.CLOSED:
            return
        if session.edition != serving.edition:
            self._service.pend(session)  # its queries are others now
            return
        found = serving.found
        while len(found) < len(serving.subscriptions):
            subscription = serving.subscriptions[len(found)]
            known = self._find(subscription, session.owner)
            if known is not None:
                found.append(known)
            elif not self._obtain(serving, subscription):
                return
            elif self._monotonic() >= self._due:
                self._queue.append(serving)
                return
        if self.changed and any(not self.changed.isdisjoint(known.variables) for _, _, known in found):
            self._service.pend(session)  # half of it may have seen the old variables, and half the new ones
            return
        session.deliver(self._ts, found)

    def _find(self, subscription: Subscription, owner: bytes | None) -> tuple[Subscription, Entry, Known] | None:
        ts, number = self._ts, self._number
        entry = subscription.entry
        if entry is not None and (known := entry.known).holds(ts, number):
            return subscription, entry, known
        question = subscription.question
        ran = self._ran.get((question, EVERYBODY)) or self._ran.get((question, owner))
        if ran is not None:
            return subscription, *ran
        entry = question.find(owner, ts, number)
        return None if entry is None else (subscription, entry, entry.known)

    def _obtain(self, serving: _Serving, subscription: Subscription) -> bool:
        """Run a query as far as it goes; whether its result is there."""
        question, session = subscription.question, serving.session
        if question in self._failed:
            self._unserved.append(session)
            return False
        job = self._jobs.get(question)
        if job is not None:
            job.waiting.append(serving)
            return False
        if question.job is not None and not serving.ran:
            question.job.parked.append(session)
            session.phase = Phase.PENDING
            return False
        serving.ran, subscription.new = True, False
        job = Job(question, session.identity, session.owner)
        steps = self._run(job)
        try:
            waiting = steps.send(None)
        except StopIteration:
            if job.error is None:
                return True
            self._fail(job, [serving])
            self._check_view()
            return False
        job.waiting.append(serving)
        self._jobs[question] = job
        if question.job is None:
            question.job = job
        task = asyncio.get_running_loop().create_task(self._finish(job, _Rest(steps, waiting)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return False

    async def _finish(self, job: Job, rest: _Rest) -> None:
        try:
            await rest
        finally:
            self._drop(job)
            if job.error is None:
                self._queue.extend(job.waiting)
            else:
                self._fail(job, job.waiting)
            if self._ended is not None and not self._ended.done():
                self._ended.set_result(None)

    def _fail(self, job: Job, waiting: Iterable[_Serving]) -> None:
        self._failed.add(job.question)
        self._unserved += [serving.session for serving in waiting]

    async def _run(self, job: Job) -> None:
        """Run a query and keep its result; what went wrong with the deployment is the job's `error`."""
        call = Call(Caller.SYNC_WORKER, job.identity, request_id(self._service.runner.services.clock))
        try:
            self._keep(job, await self._answer(job, call), call)
            job.question.failures = 0
        except Exception as error:
            if not isinstance(error, RequestRefused | StoreFailed):
                context = {"message": f"the live query {job.question.path} could not be run", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
            if self._is_worth_waiting(job.question, error):
                job.error = error
            else:
                told = error if isinstance(error.__cause__, SystemTimeout) else system_error()
                outcome = Outcome(failure=Failure(str(told)))
                self._service.expire_later(self._keep(job, outcome, call))

    async def _answer(self, job: Job, call: Call) -> Outcome:
        question = job.question
        try:
            outcome = await self._service.runner.call(
                question.path,
                question.args,
                call,
                kind=Kind.QUERY,
                internal=question.key.internal,
                journal=question.key.journal,
                version=self._version,
                view=self._view,
            )
        except RequestRefused as error:
            if error.status >= 500:
                raise
            outcome = Outcome(failure=describe(error, self._registry))
        self._check_view()
        return outcome

    def _is_worth_waiting(self, question: Question, error: Exception) -> bool:
        """Whether to try a query again before its sessions hear that it cannot be run."""
        cause = error.__cause__ or error
        if self._view.lost or (isinstance(cause, StoreFailed) and not isinstance(cause, SystemTimeout)):
            return True
        question.failures += 1
        return question.failures < FAILURES_MAX

    def _keep(self, job: Job, outcome: Outcome, call: Call) -> Entry:
        reads = ReadRanges(outcome.reads or ())
        stale = not self.changed.isdisjoint(outcome.variables_read)
        known = Known(
            live_result(outcome, call.request_id, redact=self._service.redact),
            self._ts,
            self._ts if stale else self._table.until(self._ts, self._upheavals, reads),
            self._number,
            reads,
            frozenset(outcome.variables_read),
            outcome.failure and outcome.failure.text,
        )
        owner = job.owner if outcome.identity_read else EVERYBODY
        entry = self._table.keep(job.question, owner, known)
        self._ran[job.question, owner] = entry, known
        return entry

    def _check_view(self) -> None:
        """Raises `StoreFailed` when the connection broke: then nothing that was read in it counts."""
        if self._view.lost:
            raise StoreFailed("DatabaseUnreachable", "the connection to the database was lost")

    def _drop(self, job: Job) -> None:
        del self._jobs[job.question]
        if job.question.job is job:
            job.question.job = None
        for session in job.parked:
            if session.phase is not Phase.CLOSED:
                self._service.pend(session)

    def _left(self) -> list[Subscriptions]:
        """The sessions that have no view yet."""
        servings = [*self._queue, *[serving for job in self._jobs.values() for serving in job.waiting]]
        return [*self._unserved, *self._new, *[serving.session for serving in servings]]

    async def _stop(self) -> None:
        """End what still runs, before the snapshot does."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Rest:
    """What is left of a coroutine that has begun, and waits for `waiting`."""

    __slots__ = ("_steps", "_waiting")

    def __init__(self, steps: Coroutine[Any, Any, None], waiting: Any) -> None:
        self._steps = steps
        self._waiting = waiting

    def __await__(self) -> Generator[Any, Any, None]:
        steps, waiting = self._steps, self._waiting
        try:
            while True:
                try:
                    sent = yield waiting
                except BaseException as error:
                    waiting = steps.throw(error)
                else:
                    waiting = steps.send(sent)
        except StopIteration:
            return
