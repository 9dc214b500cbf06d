"""One client's session of the sync protocol: a state machine without sockets, tasks or waiting.

It is told what the client says and how things ended, and answers with what is to be done next. All of the protocol's
rules on versions, order and errors are here. https://docs.convex.dev/client/javascript describes what clients make
of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyconvex.clock import request_id
from pyconvex.engine.auth.identity import ANONYMOUS
from pyconvex.engine.failures import Failure
from pyconvex.engine.live.results import LiveResult
from pyconvex.engine.paths import check_path
from pyconvex.errors import PyconvexError, RequestRefused
from pyconvex.values.value import InvalidValue
from pyconvex.values.wire import decode

from . import messages
from .effects import (
    Close,
    Effect,
    Identify,
    Refresh,
    Request,
    RunAction,
    RunMutation,
    Send,
    Subscribe,
    Unsubscribe,
    Verify,
)
from .messages import (
    Action,
    Add,
    Authenticate,
    Change,
    ClientMessage,
    Connect,
    Malformed,
    ModifyQuerySet,
    Mutation,
    version,
)

if TYPE_CHECKING:
    from pyconvex.clock import Clock
    from pyconvex.engine.auth.identity import Identity
    from pyconvex.engine.live.results import View

MUTATIONS_QUEUED_MAX: Final = 1000
ACTIONS_RUNNING_MAX: Final = 1000
ASKED_BYTES_MAX: Final = 64 * 2**20
"""How large the arguments of all mutations and actions of a client may be that have not ended."""

AHEAD_NS: Final = 60 * 10**9
"""A client that has seen a later timestamp than so much after now is mistaken."""

GOING_AWAY: Final = 1001
NO_STATUS: Final = 1005
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013
NORMAL: Final = 1000

_REFUSING: Final = frozenset({400, 401, 403})
"""Statuses that say that a token is no good; with others it could not be found out."""
_BUSY: Final = frozenset({408, 409, 429, 503})


class Session:
    """What one connection has asked for, and what it has been told.

    Args:
        redacted: error texts are kept back from clients.
    """

    def __init__(self, clock: Clock, *, redacted: bool = False) -> None:
        self.closed = False
        self.connected: Connect | None = None
        """The first message, once it has come."""
        self._clock = clock
        self._redacted = redacted
        self._skew_ms: int | None = None
        # What the client has said.
        self._query_set = 0
        self._identity_version = 0
        self._identity: Identity = ANONYMOUS
        self._verifying: Authenticate | None = None
        self._queries: dict[int, bytes | None] = {}  # the fingerprint of the result that was sent last
        self._hopeless: dict[int, LiveResult] = {}  # queries that cannot even be asked
        self._removed: set[int] = set()
        # What it was told.
        self._sent_identity = 0
        self._sent_version = version(0, 0, 0)
        # What it waits for.
        self._mutations: list[Request] = []
        self._mutating = False
        self._committing = False
        self._actions = 0
        self._asked_bytes = 0
        self._due = False
        self._observed = 0  # what the client has seen on other connections (ns)
        self._needed = 0  # the commits that were reported to the client (ns)
        self._viewing = False
        self._held: View | None = None
        self._undelivered = 0
        self._stopping = False

    @property
    def idle(self) -> bool:
        """Whether nothing runs, and there is nothing that the client waits for."""
        return not (self._mutating or self._actions or self._due or self._viewing or self._undelivered)

    @property
    def crowded(self) -> bool:
        """Whether so much waits or runs that the client should not be heard for the moment."""
        return self._asked_bytes > ASKED_BYTES_MAX and not (self.closed or self._stopping)

    def receive(self, message: ClientMessage) -> list[Effect]:
        """The client says something. Not to be called while it is being found out who the client is."""
        assert self._verifying is None, "messages behind an Authenticate wait for its end"
        if self.closed or self._stopping:
            return []
        if isinstance(message, Connect) is (self.connected is not None):
            return self._crash("a connection begins with Connect, and says it once")
        match message:
            case Connect():
                return self._connect(message)
            case ModifyQuerySet():
                return self._modify(message)
            case Mutation():
                return self._enqueue(message)
            case Action():
                return self._begin_action(message)
            case Authenticate():
                return self._authenticate(message)
            case _:
                return []

    def malformed(self, error: Malformed) -> list[Effect]:
        """The client says something that is no message of the protocol."""
        return [] if self.closed else self._fatal(error.message)

    def verified(self, identity: Identity) -> list[Effect]:
        """The client is who it says: what it asks for from now on, it asks as `identity`."""
        if self.closed:
            return []
        self._verifying = None
        self._identity = identity
        self._identity_version += 1
        self._changed()
        return self._advance([Identify(identity)])

    def refused(self, error: RequestRefused) -> list[Effect]:
        """The client is not who it says, or that could not be found out."""
        if self.closed:
            return []
        self._verifying = None
        if error.status in _REFUSING:
            return self._reject(error.message, attempted=True)
        return self.failed(error)

    def stale(self) -> list[Effect]:
        """Some result is not what a query would answer now."""
        if self.closed:
            return []
        self._changed()
        return self._advance([])

    def viewed(self, view: View) -> list[Effect]:
        """All queries as they are subscribed to at this moment: what was asked for with `Refresh`, or news of them."""
        if self.closed:
            return []
        if self._committing:
            # It may show what the mutation wrote, whose response goes first.
            self._held = view
            return []
        if self._identity.expires is not None and (expired := self._expired(self._identity)):
            return expired
        return self._advance(self._show(view))

    def delivered(self) -> list[Effect]:
        """A Transition was sent: the client has taken in the one before, at least."""
        if self.closed:
            return []
        self._undelivered -= 1
        return self._advance([]) if self._due or self._stopping else []

    def committing(self, committing: bool) -> list[Effect]:
        """The running mutation is about to be committed; or it is not yet, after all, and runs again."""
        if self.closed:
            return []
        self._committing = committing
        return self._advance([])

    def mutated(self, request: Request, response: bytes, ts: int | None) -> list[Effect]:
        """The running mutation has ended with this response; `ts` is that of its commit (ns), if it succeeded."""
        if self.closed:
            return []
        self._asked_bytes -= len(request.args)
        self._mutating = self._committing = False
        self._due = True
        if ts is not None:
            self._needed = max(self._needed, ts)
        return self._advance([Send(response), *self._next_mutation()])

    def acted(self, request: Request, response: bytes) -> list[Effect]:
        """One of the running actions has ended with this response."""
        if self.closed:
            return []
        self._asked_bytes -= len(request.args)
        self._actions -= 1
        self._due = True
        return self._advance([Send(response)])

    def failed(self, error: RequestRefused) -> list[Effect]:
        """Something could not be done, and not by the client's fault: it is to try again on another connection."""
        if error.status in _BUSY:
            return self._close(TRY_AGAIN_LATER, error.code)
        if error.status < 500:
            return self._close(NORMAL, error.code)
        return self._close(INTERNAL_ERROR, "InternalServerError")

    def crash(self, why: str) -> list[Effect]:
        """The client did what a client of this protocol never does."""
        return [] if self.closed else self._crash(why)

    def stop(self) -> list[Effect]:
        """The server is going to stop: end what runs, begin nothing more, and close then."""
        if self.closed:
            return []
        self._stopping = True
        self._mutations.clear()
        return self._advance([])

    def end(self) -> list[Effect]:
        """The server stops now."""
        return [] if self.closed else self._close(GOING_AWAY, "ServerStopped")

    def _connect(self, message: Connect) -> list[Effect]:
        self.connected = message
        self._observed = message.observed if message.observed <= self._clock.now_ns() + AHEAD_NS else 0
        if message.client_ts is not None:
            self._skew_ms = int(message.client_ts - self._clock.now_ms())
        return []

    def _modify(self, message: ModifyQuerySet) -> list[Effect]:
        if message.base_version != self._query_set:
            return self._fatal(
                f"Base version {message.base_version} passed up doesn't match the current version {self._query_set}"
            )
        if message.new_version <= message.base_version:
            return self._crash("the new version of a query set is greater than the one before")
        self._query_set = message.new_version
        effects: list[Effect] = []
        for modification in message.modifications:
            known = modification.query_id in self._queries
            if known is isinstance(modification, Add):
                return self._crash(f"query {modification.query_id} is {'' if known else 'not '}subscribed to")
            if isinstance(modification, Add):
                self._add(modification, effects)
            else:
                self._remove(modification.query_id, effects)
        self._changed()
        return self._advance(effects)

    def _add(self, add: Add, effects: list[Effect]) -> None:
        self._queries[add.query_id] = None
        try:
            check_path(add.udf_path)
            check_component(add.component_path)
            effects.append(Subscribe(add.query_id, add.udf_path, decode(bytes(add.args)), add.journal))
        except (RequestRefused, InvalidValue) as error:
            self._hopeless[add.query_id] = self._failure(error)

    def _remove(self, query_id: int, effects: list[Effect]) -> None:
        del self._queries[query_id]
        self._removed.add(query_id)
        if self._hopeless.pop(query_id, None) is None:
            effects.append(Unsubscribe(query_id))

    def _failure(self, error: PyconvexError) -> LiveResult:
        text = Failure(error.message).for_client(request_id(self._clock), redacted=self._redacted)
        return LiveResult(False, messages.failed_tail(text), error.message.encode("utf-8", "replace"), None)

    def _enqueue(self, message: Mutation) -> list[Effect]:
        if len(self._mutations) >= MUTATIONS_QUEUED_MAX:
            return self._close(TRY_AGAIN_LATER, "TooManyConcurrentMutations")
        self._mutations.append(self._request(message))
        return [] if self._mutating else self._next_mutation()

    def _next_mutation(self) -> list[Effect]:
        if not self._mutations:
            return []
        request = self._mutations.pop(0)
        if expired := self._expired(request.identity):
            return expired
        self._mutating = True
        return [RunMutation(request)]

    def _begin_action(self, message: Action) -> list[Effect]:
        if self._actions >= ACTIONS_RUNNING_MAX:
            return self._close(TRY_AGAIN_LATER, "TooManyInflightActionsForSingleClient")
        if expired := self._expired(self._identity):
            return expired
        self._actions += 1
        return [RunAction(self._request(message))]

    def _request(self, message: Mutation | Action) -> Request:
        """As the client is known now, whoever it is by the time that this is run."""
        self._asked_bytes += len(message.args)
        return Request(message.request_id, message.udf_path, message.args, self._identity, message.component_path)

    def _authenticate(self, message: Authenticate) -> list[Effect]:
        if message.base_version != self._identity_version:
            return self._crash(f"the version of the identity is {self._identity_version}")
        if message.token_type == "None":
            return self.verified(ANONYMOUS)
        self._verifying = message
        return [Verify(message)]

    def _changed(self) -> None:
        """What the client wants to see has changed: a view that waits to be sent is not it any more."""
        self._due = True
        if self._held is not None:
            self._held, self._viewing = None, False

    def _advance(self, effects: list[Effect]) -> list[Effect]:
        """Do what is to be done next, after `effects`."""
        if self.closed:
            return effects
        if self._held is not None and not self._committing:
            held, self._held = self._held, None
            effects += self._show(held)
        if self._due and not self._viewing and not self._undelivered:
            if expired := self._expired(self._identity):
                return effects + expired
            self._viewing = True
            effects.append(Refresh(max(self._needed, self._observed)))
        elif self._stopping and self.idle:
            effects += self.end()
        return effects

    def _show(self, view: View) -> list[Effect]:
        self._viewing = False
        self._due = view.ts < self._needed
        self._undelivered += 1
        start = self._sent_version
        self._sent_identity = self._identity_version
        self._sent_version = end = version(self._query_set, self._identity_version, view.ts)
        changes = self._changes(view)
        return [Send(messages.transition(start, end, changes, self._clock.now_ns(), self._skew_ms), True)]

    def _changes(self, view: View) -> list[Change]:
        """What is not as the client was told last, by query."""
        sent = self._queries
        results = {**view.results, **self._hopeless} if self._hopeless else view.results
        changes: list[Change] = []
        for query_id, result in results.items():
            if sent[query_id] != result.fingerprint:
                sent[query_id] = result.fingerprint
                changes.append(messages.changed(query_id, result))
        if self._removed:
            changes += [messages.removed(each) for each in self._removed if each not in sent]
            self._removed.clear()
        if len(changes) > 1:
            changes.sort()
        return changes

    def _expired(self, identity: Identity) -> list[Effect]:
        """What to do about a token that has expired since it was verified; nothing about others."""
        if identity.expires is not None:
            try:
                identity.check_fresh(self._clock.now_ms())
            except RequestRefused as error:
                return self._reject(error.message, attempted=False)
        return []

    def _reject(self, error: str, *, attempted: bool) -> list[Effect]:
        text = messages.auth_error(error, self._sent_identity, attempted=attempted)
        return [Send(text), *self._close(NO_STATUS)]

    def _fatal(self, error: str) -> list[Effect]:
        return [Send(messages.fatal_error(error)), *self._close(NO_STATUS)]

    def _crash(self, why: str) -> list[Effect]:
        return self._close(INTERNAL_ERROR, f"InternalServerError: {why}")

    def _close(self, code: int, reason: str = "") -> list[Effect]:
        if self.closed:
            return []
        self.closed = True
        self._mutations.clear()
        self._held = None
        return [Close(code, reason)]


def check_component(component: str | None) -> None:
    """Raises `RequestRefused` 400 for anything but the root component: there are no others."""
    if component:
        raise RequestRefused(400, "ComponentNotFound", "This deployment has no components")
