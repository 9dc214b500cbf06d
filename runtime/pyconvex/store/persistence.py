"""What the store asks of a database engine; `sqlite.py` is one."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from pyconvex.errors import PyconvexError, Remedy
from pyconvex.store.search.selection import Candidates, SearchQuery
from pyconvex.store.search.vectors import Similar, VectorQuery

from .keys import Changes, Commit, IndexKey, KeyRange

T = TypeVar("T")

Row: TypeAlias = tuple[bytes, int, bytes]
"""A row of a scan: the key, and the document's size in Convex's bytes and storage form."""


class Committed(NamedTuple, Generic[T]):
    """What a mutation returned, and the commit timestamp (ns) at or after which every query sees its writes."""

    value: T
    ts: int


class StoreFailed(PyconvexError):
    """The database could not do what was asked: the disk is full or broken, or somebody else holds the file.

    Nothing of the mutation that gets this error was kept.
    """

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(code, message, hint=hint, remedy=Remedy.WAIT)


class Conflict(PyconvexError):
    """A mutation gave up: whenever it had run, another one had changed what it had read. Nothing of it was kept.

    Args:
        key: the key written by the other mutation that lies in a range read by this one, if known.
        document: id of the document that the other one changed, if known.
        by: label of the other mutation, "" where it has none.
    """

    def __init__(self, key: IndexKey | None = None, document: str | None = None, by: str = "") -> None:
        super().__init__(
            "OptimisticConcurrencyControlFailure",
            "Documents read by this mutation changed while it was being run and on every subsequent retry.",
            remedy=Remedy.WAIT,
        )
        self.key = key
        self.document = document
        self.by = by


class Reader(Protocol):
    """One consistent view: a snapshot, or inside a mutation the newest state with the batch's earlier writes."""

    @property
    def ts(self) -> int:
        """Timestamp (ns) of the last commit this view shows."""
        ...

    @property
    def catalog_ts(self) -> int:
        """Timestamp of the last commit this view shows that changed tables, indexes or the schema."""
        ...

    @property
    def conflict(self) -> Conflict | None:
        """What sent the run before this one back, when `work` is run again for that reason."""
        ...

    @property
    def lost(self) -> bool:
        """Whether its connection broke: nothing that was made of its answers and errors counts."""
        ...

    def get(self, index: int, key: bytes) -> Awaitable[tuple[int, bytes] | None]:
        """Size and body of the document that has exactly this key."""
        ...

    def scan(self, span: KeyRange, *, reverse: bool, limit: int, bytes_max: int) -> Awaitable[Sequence[Row]]:
        """The first `limit` rows of the range, or the last ones backwards.

        It stops early only behind the row with which the sizes add up to more than `bytes_max`.
        """
        ...

    def keys(self, span: KeyRange, *, limit: int) -> Awaitable[Sequence[bytes]]:
        """The first `limit` keys of the range, whether or not their documents are still there."""
        ...

    def count(self, span: KeyRange) -> Awaitable[tuple[int, bytes | None]]:
        """How many keys the range has; or those before the key that is returned, as more would block the event loop."""
        ...

    def at(self, index: int, keys: Sequence[bytes]) -> Awaitable[Sequence[Row]]:
        """The rows with exactly these keys, in any order; keys without a document have none."""
        ...

    def search(self, index: int, query: SearchQuery, *, limit: int) -> Awaitable[Candidates]:
        """The documents that match; when there are more, those `limit` that `search_selection` says."""
        ...

    def nearest(self, index: int, query: VectorQuery) -> Awaitable[Sequence[Similar]]:
        """The documents with the nearest vectors, best first. It may let the event loop have turns."""
        ...

    def holds(self, index: int) -> Awaitable[bool]:
        """Whether a search or vector index has entries."""
        ...


Work: TypeAlias = Callable[[Reader], Coroutine[Any, Any, tuple[T, Changes]]]


class Persistence(Protocol):
    @property
    def node(self) -> int:
        """This process on this database; the number of a process that is alive is never given out again."""
        ...

    async def living(self) -> frozenset[int]:
        """The nodes that are alive now, this one included."""
        ...

    async def open(self) -> None:
        """Open the database, made anew or brought up to date.

        Raises:
            StartFailed: the file cannot be used, or belongs to a newer version.
        """
        ...

    async def close(self) -> None:
        """Let what was begun end, then give the database back. What comes afterwards fails with `StoreFailed`."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Reader]: ...

    def transact(self, work: Work[T], *, patient: bool = False) -> Coroutine[Any, Any, Committed[T]]:
        """Run `work` and make its changes durable; it may run more than once, and must hold its changes back till then.

        An error of `work` is raised here and leaves nothing behind, as does cancelling before it has ended.

        Args:
            patient: run it again after conflicts for as long as it takes.

        Raises:
            Conflict: whenever it had run, something that it read had changed.
            StoreFailed: the changes could not be kept.
        """
        ...

    def on_commit(self, callback: Callable[[Commit], None]) -> None:
        """Call `callback` for each commit with changed documents: in order, when it is durable, before it is
        acknowledged. Commits of other processes are among them, soon after they were made."""
        ...

    async def hear(self, ts: int) -> None:
        """Wait until the callbacks were told of all commits up to `ts`: a snapshot may show one before they are.

        Raises:
            StoreFailed: the database cannot be reached.
        """
        ...

    async def lift(self, ts: int) -> None:
        """Commit nothing, at `ts` or later: no timestamp given out afterwards is smaller.

        Raises:
            StoreFailed: that could not be done.
        """
        ...
