"""The log of a deployment: one entry per finished execution, and the lines of actions while they run.

Field names on the wire are Convex's (`udfType`, `logLines`, …); fields that only pyconvex has are said to be "our own".
https://docs.convex.dev/production/integrations/log-streams/
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType

from pyconvex.clock import Clock

if TYPE_CHECKING:
    from pyconvex.engine.logs.log_store import LogStore

ENTRIES_KEPT: Final = 1000
TICK_MS: Final = 0.001
"""Entries of the same instant are told apart by a microsecond: a cursor must never lie between two equal times."""


class Level(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    LOG = "LOG"
    WARN = "WARN"
    ERROR = "ERROR"


class SystemMetadata(Struct, frozen=True, gc=False):
    """Marks a line that pyconvex added, such as `warning:TooManyDocumentsRead`."""

    code: str


class LogLine(Struct, rename="camel", gc=False):
    """One line that a function wrote. `timestamp` is in milliseconds since 1970."""

    messages: list[str]
    """The arguments of one `print`, each as Convex shows it: `'a'`, `42`, `{ n: 1 }`."""
    level: Level
    timestamp: float
    is_truncated: bool = False
    system_metadata: SystemMetadata | None = None
    udf_path: str | UnsetType = UNSET
    """The nested query or mutation that wrote the line."""
    plain: str | UnsetType = UNSET
    """Our own: the text as Python would print it, where it differs from the messages."""

    def text(self) -> str:
        """The line as clients get it: `[LOG] 'a' 42`."""
        truncated = " (truncated due to length)" if self.is_truncated else ""
        return f"[{self.level.value}] {' '.join(self.messages)}{truncated}"

    def shown(self) -> str:
        """The line as a terminal shows it: `a 42`."""
        return " ".join(self.messages) if self.plain is UNSET else self.plain


class UsageStats(Struct, rename="camel", frozen=True, gc=False):
    """What one execution used; bytes unless the name says documents."""

    database_read_bytes: int = 0
    database_write_bytes: int = 0
    database_io_read_bytes: int = 0
    database_io_write_bytes: int = 0
    database_read_documents: int = 0
    database_write_documents: int = 0
    storage_read_bytes: int = 0
    storage_write_bytes: int = 0
    vector_index_read_bytes: int = 0
    vector_index_write_bytes: int = 0
    text_index_query_bytes: int = 0
    text_index_write_query_bytes: int = 0
    vector_index_read_query_bytes: int = 0
    vector_index_write_query_bytes: int = 0
    network_egress_bytes: int = 0
    memory_used_mb: int = 0


NO_USAGE: Final = UsageStats()


class Conflicting(Struct, rename="camel", frozen=True, gc=False):
    """What an attempt at a mutation came into conflict with; None where it is not known."""

    table_name: str | None
    document_id: str | None
    write_source: str | None
    """The path of the other mutation."""
    component_path: None = None
    retry_count: int = 0
    """How often the mutation had been run again before."""


class Success(Struct, frozen=True, gc=False):
    """The answer of an HTTP action: its status, as a string."""

    status: str


class Progress(Struct, rename="camel", tag="Progress", tag_field="kind", kw_only=True, gc=False):
    """Lines of an action or HTTP action that is still running. `timestamp` is in seconds since 1970."""

    udf_type: str
    identifier: str
    request_id: str
    execution_id: str
    log_lines: list[LogLine]
    component_path: None = None
    timestamp: float = 0.0

    @property
    def kind(self) -> str:
        return "Progress"


class Completion(Struct, rename="camel", tag="Completion", tag_field="kind", gc=False):
    """One finished execution. Times are in seconds; `timestamp` is its end."""

    udf_type: str
    identifier: str
    """`messages:send`, or `POST /postMessage` for an HTTP action."""
    request_id: str
    execution_id: str
    parent_execution_id: str | None
    caller: str
    identity_type: str
    execution_timestamp: float
    execution_time: float
    user_execution_time: float
    log_lines: list[LogLine]
    """Empty for actions, whose lines were Progress entries."""
    success: Success | None = None
    error: str | None = None
    usage_stats: UsageStats = NO_USAGE
    return_bytes: int | None = None
    component_path: None = None
    environment: str = "isolate"
    cached_result: bool = False
    occ_info: Conflicting | None = None
    """The conflict that ended a mutation's attempt."""
    will_retry: bool = False
    timestamp: float = 0.0
    # Our own, for the rows of `pyconvex dev` and the filters of `pyconvex logs`:
    status: int | None = None
    """The HTTP status of an HTTP action, None when nothing was answered."""
    request: str | None = None
    """`GET /getAuthorMessages/123`: method and path as they came; `identifier` has the route."""
    hint: str | None = None
    """How to fix `error`, where pyconvex knows."""
    note: str | None = None
    """What is worth saying beside the row: `no route; nearest is POST /sendMessage (http.py:9)`."""
    job: str | None = None
    """Id of the scheduled function that this was, or was called by."""

    @property
    def kind(self) -> str:
        return "Completion"


LogEntry: TypeAlias = Completion | Progress


def cursor_of(entry: LogEntry) -> float:
    """Where a reader that has seen `entry` goes on: milliseconds since 1970."""
    return entry.timestamp * 1000


def to_wire(entry: LogEntry, *, structured: bool) -> dict[str, Any]:
    """`entry` as JSON-ready objects; `structured` keeps each line as an object, else it is a string."""
    fields: dict[str, Any] = msgspec.to_builtins(entry)
    if not structured:
        fields["logLines"] = [line.text() for line in entry.log_lines]
    return fields


class LogBook:
    """The newest entries in memory, older ones in `store`. All methods belong to the event loop's thread."""

    def __init__(self, clock: Clock, store: "LogStore | None" = None) -> None:
        self.store = store
        self._clock = clock
        self._entries: deque[LogEntry] = deque(maxlen=ENTRIES_KEPT)
        self._last_ms = 0.0
        self._subscribers: tuple[Callable[[LogEntry], object], ...] = ()
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def cursor(self) -> float:
        """The cursor of the newest entry; 0 when there is none."""
        return cursor_of(self._entries[-1]) if self._entries else 0.0

    def publish(self, entry: LogEntry) -> None:
        """Adds `entry` and gives it its `timestamp`, later than that of every entry before it."""
        self._last_ms = now = max(self._clock.now_ms(), self._last_ms + TICK_MS)
        entry.timestamp = now / 1000
        self._entries.append(entry)
        if self.store is not None:
            self.store.append(entry)
        for notify in self._subscribers:
            notify(entry)
        if self._waiting:
            self._wake()

    def entries(self, after: float, limit: int | None = None) -> list[LogEntry]:
        """The entries in memory that are newer than the cursor `after`, oldest first, at most the first `limit`."""
        newer: list[LogEntry] = []
        for entry in reversed(self._entries):
            if cursor_of(entry) <= after:
                break
            newer.append(entry)
        newer.reverse()
        return newer if limit is None else newer[:limit]

    async def wait(self, after: float, timeout: float) -> list[LogEntry]:  # noqa: ASYNC109  # the long poll's own limit; running out is no error
        """The entries newer than `after`; waits up to `timeout` seconds for the first one, then answers with none."""
        if newer := self.entries(after):
            return newer
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(arrival)
        try:
            await asyncio.wait([arrival], timeout=timeout)
        finally:
            self._waiting.discard(arrival)
        return self.entries(after)

    def subscribe(self, callback: Callable[[LogEntry], object]) -> Callable[[], None]:
        """Calls `callback` with every entry from now on, while it is published; the answer ends that."""
        self._subscribers = (*self._subscribers, callback)

        def unsubscribe() -> None:
            self._subscribers = tuple(other for other in self._subscribers if other is not callback)

        return unsubscribe

    def close(self) -> None:
        """Writes what is not on disk yet and ends every wait."""
        self._wake()
        if self.store is not None:
            self.store.close()

    def _wake(self) -> None:
        for arrival in self._waiting:
            if not arrival.done():
                arrival.set_result(None)
        self._waiting.clear()
