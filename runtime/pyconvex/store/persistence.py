"""What the store asks of a database engine; `sqlite.py` is one."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from pyconvex.errors import PyconvexError, Remedy

from .keys import Changes, Commit, KeyRange

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


Work: TypeAlias = Callable[[Reader], Coroutine[Any, Any, tuple[T, Changes]]]


class Persistence(Protocol):
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

    def transact(self, work: Work[T]) -> Coroutine[Any, Any, Committed[T]]:
        """Run `work` and make its changes durable; it may run more than once, and must hold its changes back till then.

        An error of `work` is raised here and leaves nothing behind, as does cancelling before it has ended.

        Raises:
            StoreFailed: the changes could not be kept.
        """
        ...

    def on_commit(self, callback: Callable[[Commit], None]) -> None:
        """Call `callback` for each commit with changed documents: in order, when it is durable, before it is
        acknowledged."""
        ...
