"""The queries of one session, and when it is told that their results are old, or gets new ones."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Protocol, cast

from pyconvex.engine.auth.identity import ANONYMOUS, Identity
from pyconvex.engine.live.results import View
from pyconvex.engine.live.table import FOREVER, Key
from pyconvex.functions.references import snake
from pyconvex.loading.registry import canonical_path
from pyconvex.values.wire import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyconvex.engine.live.table import Entry, Known, LiveTable, Question
    from pyconvex.values.value import Value


class Desk(Protocol):
    """What sessions ask for their views."""

    @property
    def table(self) -> LiveTable: ...

    def pend(self, session: Subscriptions) -> None:
        """Answer it in the next round."""
        ...

    def believed(self, ts: int) -> int:
        """The timestamp (ns) that a client has seen; 0 for one that nobody can have seen."""
        ...

    def tell(self, session: Subscriptions) -> None:
        """Call its `on_stale` soon."""
        ...

    def answered_from_table(self, session: Subscriptions, question: Question, known: Known) -> None:
        """A new subscription got a result without a run."""
        ...


class Phase(Enum):
    IDLE = 0
    """It has not asked for anything."""
    PENDING = 1
    """It waits for a round."""
    SERVED = 2
    """A round is at work for it."""
    CLOSED = 3


class Subscription:
    """One query of one session."""

    __slots__ = ("entry", "new", "query_id", "question", "session")

    def __init__(self, session: Subscriptions, query_id: int, question: Question) -> None:
        self.session = session
        self.query_id = query_id
        self.question = question
        self.entry: Entry | None = None
        """What its last result came from."""
        self.new = True
        """It has had no result yet."""


class Subscriptions:
    """The queries of one session. A `View` always shows them as they are when it comes.

    Get it from `LiveQueries.subscriptions`. Everything here happens on the event loop, and at once.
    """

    __slots__ = (
        "_desk",
        "_on_stale",
        "_on_view",
        "at_least",
        "edition",
        "failures",
        "follows",
        "identity",
        "owner",
        "phase",
        "queries",
        "told",
    )

    def __init__(self, desk: Desk, on_stale: Callable[[], None], on_view: Callable[[View], None]) -> None:
        self._desk = desk
        self._on_stale = on_stale
        self._on_view = on_view
        self.queries: dict[int, Subscription] = {}
        self.identity = ANONYMOUS
        self.owner = ANONYMOUS.key
        """Whose results it sees, besides everybody's."""
        self.edition = 0
        """Counts changes of the queries and the identity."""
        self.at_least = 0
        self.phase = Phase.IDLE
        self.told = False
        """It knows that its results are old."""
        self.follows = False
        """A view is asked for as soon as some result is old, where `on_stale` would be called: a thousand sessions that
        can be sent to need not be asked whether they want one."""
        self.failures = 0
        """How often in a row the deployment could not answer it."""

    def add(self, query_id: int, path: str, args: object, journal: str | None = None) -> None:
        """Adds a query, which the next view shows.

        Args:
            args: the object of arguments as values, or a list that holds at most that.
            journal: what an earlier result of it brought along.

        Raises `ValueError` when the id is in use.
        """
        if query_id in self.queries:
            raise ValueError(f"query {query_id} is subscribed to already")
        given = _args_object(args)
        key = Key(snake(canonical_path(path)), dump(given), journal, self.identity.is_admin)
        question = self._desk.table.ask(key, path, given)
        self.queries[query_id] = Subscription(self, query_id, question)
        self.edition += 1

    def remove(self, query_id: int) -> None:
        """Removes a query. Raises `KeyError` for an unknown id."""
        self._leave(self.queries.pop(query_id))
        self.edition += 1

    def identify(self, identity: Identity) -> None:
        """From the next view on, all queries are answered for `identity`; before the first time for nobody."""
        before, self.identity = self.identity, identity
        owner = identity.key
        if owner == self.owner and identity.is_admin == before.is_admin:
            return
        self.owner = owner
        self.edition += 1
        for subscription in self.queries.values():
            self._show(subscription, None)
            if identity.is_admin != before.is_admin:
                self._ask(subscription, subscription.question.key._replace(internal=identity.is_admin))

    def refresh(self, at_least: int = 0) -> None:
        """Asks for one view, at a snapshot of `at_least` (ns) or later; several before it comes are one.

        `on_view` is called from the event loop, never from in here.
        """
        if at_least > self.at_least:
            self.at_least = max(self.at_least, self._desk.believed(at_least))
        if self.phase is Phase.IDLE:
            self._desk.pend(self)

    def close(self) -> None:
        """Ends all subscriptions; nothing is called any more."""
        self.phase = Phase.CLOSED
        self.edition += 1
        for subscription in self.queries.values():
            self._leave(subscription)
        self.queries.clear()

    # --- for the table and its rounds

    def deliver(self, ts: int, found: Sequence[tuple[Subscription, Entry, Known]]) -> None:
        """Hand out the view at `ts`, of all subscriptions."""
        table = self._desk.table
        self.phase, self.told, self.failures = Phase.IDLE, False, 0
        stale = False
        results = {}
        for subscription, entry, known in found:
            results[subscription.query_id] = result = known.result
            if subscription.new:
                subscription.new = False
                self._desk.answered_from_table(self, subscription.question, known)
            if subscription.entry is not entry:
                self._show(subscription, entry)
            if result.journal != subscription.question.key.journal:
                self._follow(subscription, result.journal, entry, known)
            if known.until != FOREVER or known.version != table.version or entry.known is not known:
                stale = True
        again = self.at_least > ts
        self.at_least = self.at_least if again else 0
        try:
            self._on_view(View(ts, results))
        except Exception as error:
            _report(error)  # the other sessions are to have theirs
        if self.phase is Phase.IDLE:
            if again:
                self._desk.pend(self)
            elif stale:
                self.stale()

    def stale(self) -> None:
        """One of the results is old. Said once, and not to those who have asked for a view anyway."""
        if self.phase is Phase.IDLE and not self.told:
            self.told = True
            self._desk.tell(self)

    def say_stale(self) -> None:
        if self.phase is not Phase.IDLE or not self.told:
            return
        if self.follows:
            self._desk.pend(self)
        else:
            try:
                self._on_stale()
            except Exception as error:
                _report(error)

    def _follow(self, subscription: Subscription, journal: str | None, entry: Entry, known: Known) -> None:
        """Stay with the page as this result left it: from now on that is what is asked."""
        self._ask(subscription, subscription.question.key._replace(journal=journal))
        table, question = self._desk.table, subscription.question
        self._show(subscription, table.follow(question, entry, known))

    def _ask(self, subscription: Subscription, key: Key) -> None:
        before, table = subscription.question, self._desk.table
        subscription.question = table.ask(key, before.path, before.args)
        table.drop_question(before)

    def _show(self, subscription: Subscription, entry: Entry | None) -> None:
        table, before = self._desk.table, subscription.entry
        subscription.entry = entry
        if before is not None:
            table.unsubscribe(before, subscription)
        if entry is not None:
            table.subscribe(entry, subscription)

    def _leave(self, subscription: Subscription) -> None:
        self._show(subscription, None)
        self._desk.table.drop_question(subscription.question)


def _report(error: Exception) -> None:
    context = {"message": "a session of live queries failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)


def _args_object(args: object) -> Value:
    """The object of arguments out of the list that clients send it in."""
    if args is None:
        return {}
    if isinstance(args, list | tuple):
        positional = cast("Sequence[Value]", args)
        if len(positional) <= 1:
            return positional[0] if positional else {}
        return list(positional)
    return cast("Value", args)
