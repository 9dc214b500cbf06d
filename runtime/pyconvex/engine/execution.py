"""What one running function is: who asked for it, what it printed, what it read.

The execution of the code that runs right now is found through a context variable, so that `print`, `logging` and
`os.environ` know whom they serve.
"""

from __future__ import annotations

from contextvars import ContextVar
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pyconvex.clock import execution_id
from pyconvex.engine.logs.lines import Lines, StreamedLines
from pyconvex.engine.logs.logs import LogLine, Progress
from pyconvex.functions.function import Kind, Visibility

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyconvex.engine.answers import Pending
    from pyconvex.engine.auth.identity import Identity
    from pyconvex.engine.database.access import AccessReport
    from pyconvex.engine.database.pagination import Journal
    from pyconvex.engine.services import Services
    from pyconvex.loading.registry import Registry
    from pyconvex.store.keys import ReadSet
    from pyconvex.store.persistence import Reader
    from pyconvex.store.transaction import Usage


class Caller(StrEnum):
    """Why a function runs; the values are those of `caller` in log entries."""

    SYNC_WORKER = "SyncWorker"
    HTTP_API = "HttpApi"
    TESTER = "Tester"
    HTTP_ENDPOINT = "HttpEndpoint"
    CRON = "Cron"
    SCHEDULER = "Scheduler"
    ACTION = "Action"


class Call(Struct, frozen=True):
    """Who asks for a function, and why. `request_id` is shared by everything that one request sets off."""

    caller: Caller
    identity: Identity
    request_id: str
    ip: str | None = None
    user_agent: str | None = None
    job: str | None = None
    """Id of the scheduled function that this is, or belongs to."""
    arrived_ms: float | None = None
    """When a request that a developer sends again came first (milliseconds since 1970): webhooks are as old as then."""


class Execution:
    """One run of one function. A mutation that has to run again gets a new one."""

    # A finished execution must not hold itself in a cycle: thousands a second would keep the garbage collector busy.
    __slots__ = (
        "_lines",
        "_random",
        "_root",
        "access",
        "after_commit",
        "call",
        "caller",
        "depth",
        "ended",
        "id",
        "identifier",
        "identity_read",
        "is_transaction",
        "journal",
        "kind",
        "observed",
        "paginated",
        "parent_id",
        "pending",
        "raised",
        "reads",
        "registry",
        "result_bytes",
        "retries",
        "services",
        "started",
        "started_ms",
        "time_read",
        "udf_path",
        "usage",
        "variables_read",
        "view",
        "visibility",
    )

    def __init__(
        self,
        services: Services,
        registry: Registry,
        call: Call,
        kind: Kind,
        identifier: str,
        *,
        caller: Caller | None = None,
    ) -> None:
        self.services = services
        self.registry = registry
        self.call = call
        self.caller = call.caller if caller is None else caller
        self.kind = kind
        self.is_transaction = kind is Kind.QUERY or kind is Kind.MUTATION
        self.identifier = identifier
        self.udf_path: str | None = None
        """The path of a function called within a transaction; it marks the lines that such a function writes."""
        self._root: Execution | None = None
        self.parent_id: str | None = None
        self.depth = 0
        self.visibility = Visibility.PUBLIC
        self.observed = False
        """Whether to keep account of each read and write."""
        self.access: AccessReport | None = None
        """That account, when it has ended."""
        self.retries = 0
        """How often it was run again."""
        self.view: Reader | None = None
        """What a query reads in; None for a snapshot of its own."""
        self.restart()

    def restart(self) -> None:
        """Forgets everything that happened: a mutation runs again."""
        clock = self.services.clock
        self.id = execution_id(clock)
        self.started_ms = clock.now_ms()
        """When it began, milliseconds since 1970: the time that stands still for a query or mutation."""
        self.started = clock.monotonic()
        self._lines: Lines | None = None
        self.pending: list[Pending[Any]] = []
        """Calls of `ctx` that may not have been awaited, in order."""
        self.after_commit: list[Callable[[], Awaitable[None]]] = []
        """What to do once the mutation is durable."""
        self.raised: BaseException | None = None
        """The error that came out of user code, to tell it from a failure of the deployment."""
        self.ended = False
        self.usage: Usage | None = None
        self.result_bytes: int | None = None
        self.journal: Journal | None = None
        self.paginated = False
        self.variables_read: set[str] = set()
        self.time_read = False
        self.identity_read = False
        self.reads: ReadSet | None = None
        """The ranges that its transaction has read; None before there was one."""
        self._random: Random | None = None

    @property
    def root(self) -> Execution:
        """The execution whose transaction this is; itself but for a function called within a transaction."""
        return self._root or self

    @property
    def lines(self) -> Lines:
        """Where its log lines go; made with the first one, for most functions write none."""
        if self._root is not None:
            return self._root.lines
        if self._lines is None:
            clock, limits = self.services.clock, self.services.limits
            self._lines = (
                Lines(clock, limits) if self.is_transaction else StreamedLines(clock, limits, self._send_progress)
            )
        return self._lines

    def flush_lines(self) -> list[LogLine]:
        """All lines so far, the last one ended."""
        if self._lines is None:
            return []
        self._lines.flush()
        return self._lines.all

    @property
    def log_texts(self) -> list[str]:
        """The lines as clients get them."""
        return [] if self._lines is None else self._lines.texts()

    @property
    def random(self) -> Random:
        """The random numbers of a query or mutation; functions that it calls get others, made from these."""
        if self._random is None:
            root = self._root
            self._random = Random(root.random.getrandbits(128) if root else self.services.clock.random_bytes(16))
        return self._random

    def child(self, kind: Kind, identifier: str) -> Execution:
        """The execution of a query or mutation that this query or mutation calls: same time, same lines."""
        child = Execution(self.services, self.registry, self.call, kind, identifier, caller=self.caller)
        child.parent_id = self.id
        child.udf_path = identifier
        child._root = self.root
        child.depth = self.depth + 1
        child.started_ms = self.started_ms
        child.variables_read = self.variables_read
        return child

    def _send_progress(self, lines: list[LogLine]) -> None:
        self.services.logs.publish(
            Progress(
                udf_type=self.kind.udf_type,
                identifier=self.identifier,
                request_id=self.call.request_id,
                execution_id=self.id,
                log_lines=lines,
            )
        )


current: ContextVar[Execution | None] = ContextVar("pyconvex_execution", default=None)
