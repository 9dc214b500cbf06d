"""What a handler's `ctx` offers, for type checkers, and which one is running.

The engine's classes have these shapes; nothing here runs. `_generated/server.pyi` narrows them to a project's tables.
https://docs.convex.dev/functions/query-functions#query-context
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeAlias, TypedDict, TypeVar, overload

from pyconvex.errors import DeveloperError

from .documents import FileMetadata, ScheduledFunction, ScheduledFunctionId, StorageId, StoredFile
from .fetch.blob import Blob
from .function import RegisteredFunction
from .queries import ByTime, Query, QueryInitializer, Range, RangeOf, Step, VectorCondition, VectorFilter
from .references import FunctionReference
from .user_identity import UserIdentity

P = ParamSpec("P")
T = TypeVar("T")
I = TypeVar("I", bound=str)  # noqa: E741 - the id of a table, as `D` is its document and `Q` its query
D_co = TypeVar("D_co", covariant=True)
D = TypeVar("D")
New_contra = TypeVar("New_contra", contravariant=True)
Replacement_contra = TypeVar("Replacement_contra", contravariant=True)
Patch_contra = TypeVar("Patch_contra", contravariant=True)
Q_co = TypeVar("Q_co", covariant=True)
Db_co = TypeVar("Db_co", covariant=True)
Id_co = TypeVar("Id_co", covariant=True, bound=str)
F_contra = TypeVar("F_contra", contravariant=True)
I_contra = TypeVar("I_contra", contravariant=True)

Document: TypeAlias = dict[str, Any]
"""A document where its table is unknown."""


class TableReader(Protocol[I, D_co, Q_co]):
    """`ctx.db.table(name)` of a query: the methods of `ctx.db` for one table."""

    def get(self, id: I, /) -> Awaitable[D_co | None]: ...
    def query(self) -> Q_co: ...
    def normalize_id(self, id: str, /) -> I | None: ...


class TableWriter(TableReader[I, D_co, Q_co], Protocol[I, D_co, Q_co, New_contra, Replacement_contra, Patch_contra]):
    """`ctx.db.table(name)` of a mutation."""

    def insert(self, value: New_contra, /) -> Awaitable[I]: ...
    def patch(self, id: I, value: Patch_contra, /) -> Awaitable[None]: ...
    def replace(self, id: I, value: Replacement_contra, /) -> Awaitable[None]: ...
    def delete(self, id: I, /) -> Awaitable[None]: ...


class SystemQuery(Query[D, F_contra], Protocol[D, F_contra, I_contra]):
    """A query over a system table, whose indexes are those that every table has."""

    @overload
    def with_index(self, name: Literal["by_creation_time"], range: RangeOf[ByTime] = ..., /) -> Query[D, F_contra]: ...
    @overload
    def with_index(
        self, name: Literal["by_id"], range: RangeOf[Step[Literal["_id"], I_contra, Range]] = ..., /
    ) -> Query[D, F_contra]: ...


StoredFiles: TypeAlias = SystemQuery[
    StoredFile, Literal["_id", "_creationTime", "sha256", "size", "contentType"], StorageId
]
ScheduledFunctions: TypeAlias = SystemQuery[
    ScheduledFunction,
    Literal["_id", "_creationTime", "name", "args", "scheduledTime", "completedTime", "state", "state.kind"],
    ScheduledFunctionId,
]


class SystemReader(Protocol):
    """`ctx.db.system`: the system tables, for reading (https://docs.convex.dev/database/advanced/system-tables)."""

    @overload
    def get(self, id: StorageId, /) -> Awaitable[StoredFile | None]: ...
    @overload
    def get(self, table: Literal["_storage"], id: str, /) -> Awaitable[StoredFile | None]: ...
    @overload
    def get(self, id: ScheduledFunctionId, /) -> Awaitable[ScheduledFunction | None]: ...
    @overload
    def get(self, table: Literal["_scheduled_functions"], id: str, /) -> Awaitable[ScheduledFunction | None]: ...
    @overload
    def query(self, table: Literal["_storage"], /) -> StoredFiles: ...
    @overload
    def query(self, table: Literal["_scheduled_functions"], /) -> ScheduledFunctions: ...
    @overload
    def normalize_id(self, table: Literal["_storage"], id: str, /) -> StorageId | None: ...
    @overload
    def normalize_id(self, table: Literal["_scheduled_functions"], id: str, /) -> ScheduledFunctionId | None: ...
    @overload
    def table(self, table: Literal["_storage"], /) -> TableReader[StorageId, StoredFile, StoredFiles]: ...
    @overload
    def table(
        self, table: Literal["_scheduled_functions"], /
    ) -> TableReader[ScheduledFunctionId, ScheduledFunction, ScheduledFunctions]: ...


class ReadsSystem(Protocol):
    @property
    def system(self) -> SystemReader:
        """`_storage` and `_scheduled_functions`."""
        ...


class DatabaseReader(ReadsSystem, Protocol):
    """`ctx.db` of a query, where the tables are unknown."""

    @overload
    def get(self, id: str, /) -> Awaitable[Document | None]: ...
    @overload
    def get(self, table: str, id: str, /) -> Awaitable[Document | None]: ...
    def query(self, table: str, /) -> QueryInitializer[Document, str]: ...
    def normalize_id(self, table: str, id: str, /) -> str | None: ...
    def table(self, table: str, /) -> TableReader[str, Document, QueryInitializer[Document, str]]: ...


class DatabaseWriter(DatabaseReader, Protocol):
    """`ctx.db` of a mutation (https://docs.convex.dev/database/writing-data), where the tables are unknown."""

    def insert(self, table: str, value: Mapping[str, Any], /) -> Awaitable[str]: ...
    @overload
    def patch(self, id: str, value: Mapping[str, Any], /) -> Awaitable[None]: ...
    @overload
    def patch(self, table: str, id: str, value: Mapping[str, Any], /) -> Awaitable[None]: ...
    @overload
    def replace(self, id: str, value: Mapping[str, Any], /) -> Awaitable[None]: ...
    @overload
    def replace(self, table: str, id: str, value: Mapping[str, Any], /) -> Awaitable[None]: ...
    @overload
    def delete(self, id: str, /) -> Awaitable[None]: ...
    @overload
    def delete(self, table: str, id: str, /) -> Awaitable[None]: ...
    def table(
        self, table: str, /
    ) -> TableWriter[
        str, Document, QueryInitializer[Document, str], Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]
    ]: ...


class Auth(Protocol):
    """`ctx.auth` (https://docs.convex.dev/auth/functions-auth)."""

    def get_user_identity(self) -> Awaitable[UserIdentity | None]: ...


class StorageReader(Protocol):
    """`ctx.storage` of a query (https://docs.convex.dev/file-storage)."""

    def get_url(self, id: str, /) -> Awaitable[str | None]: ...
    def get_metadata(self, id: str, /) -> Awaitable[FileMetadata | None]: ...


class StorageWriter(StorageReader, Protocol):
    """`ctx.storage` of a mutation."""

    def generate_upload_url(self) -> Awaitable[str]: ...
    def delete(self, id: str, /) -> Awaitable[None]: ...


class StorageActionWriter(StorageWriter, Protocol):
    """`ctx.storage` of an action."""

    def get(self, id: str, /) -> Awaitable[Blob | None]: ...
    def store(self, blob: Blob, /, *, sha256: str | None = None) -> Awaitable[StorageId]: ...


class Scheduler(Protocol):
    """`ctx.scheduler` (https://docs.convex.dev/scheduling/scheduled-functions)."""

    @overload
    def run_after(
        self,
        delay: float | timedelta,
        fn: RegisteredFunction[P, Any] | FunctionReference[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[ScheduledFunctionId]:
        """Run `fn` after `delay`: milliseconds, or a `timedelta`."""
        ...

    @overload
    def run_after(self, delay: float | timedelta, fn: str, /, **kwargs: Any) -> Awaitable[ScheduledFunctionId]: ...
    @overload
    def run_at(
        self,
        when: float | datetime,
        fn: RegisteredFunction[P, Any] | FunctionReference[P, Any],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[ScheduledFunctionId]:
        """Run `fn` at a moment: milliseconds since 1970, or a `datetime`."""
        ...

    @overload
    def run_at(self, when: float | datetime, fn: str, /, **kwargs: Any) -> Awaitable[ScheduledFunctionId]: ...
    def cancel(self, id: str, /) -> Awaitable[None]:
        """Keep a scheduled function from starting; one that has ended stays as it is."""
        ...


class Meta(Protocol):
    """What a function can learn about itself and its deployment."""

    def get_function_metadata(self) -> Awaitable[dict[str, Any]]: ...
    def get_deployment_metadata(self) -> Awaitable[dict[str, Any]]: ...


class QueryMeta(Meta, Protocol):
    """`ctx.meta` of a query."""

    def get_transaction_metrics(self) -> Awaitable[dict[str, Any]]: ...


class MutationMeta(QueryMeta, Protocol):
    """`ctx.meta` of a mutation."""

    def get_request_metadata(self) -> Awaitable[dict[str, Any]]: ...


class ActionMeta(Meta, Protocol):
    """`ctx.meta` of an action."""

    def get_request_metadata(self) -> Awaitable[dict[str, Any]]: ...


class _RunsQueries(Protocol):
    @overload
    def run_query(
        self, fn: RegisteredFunction[P, T] | FunctionReference[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]: ...
    @overload
    def run_query(self, fn: str, /, **kwargs: Any) -> Awaitable[Any]: ...


class _RunsMutations(Protocol):
    @overload
    def run_mutation(
        self, fn: RegisteredFunction[P, T] | FunctionReference[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]: ...
    @overload
    def run_mutation(self, fn: str, /, **kwargs: Any) -> Awaitable[Any]: ...


class ReadingCtx(_RunsQueries, Protocol[Db_co]):
    """`ctx` of a query whose database is a `Db`."""

    @property
    def db(self) -> Db_co: ...
    @property
    def auth(self) -> Auth: ...
    @property
    def storage(self) -> StorageReader: ...
    @property
    def meta(self) -> QueryMeta: ...


class WritingCtx(_RunsQueries, _RunsMutations, Protocol[Db_co]):
    """`ctx` of a mutation whose database is a `Db`."""

    @property
    def db(self) -> Db_co: ...
    @property
    def auth(self) -> Auth: ...
    @property
    def storage(self) -> StorageWriter: ...
    @property
    def scheduler(self) -> Scheduler: ...
    @property
    def meta(self) -> MutationMeta: ...


class ActingCtx(_RunsQueries, _RunsMutations, Protocol):
    """`ctx` of an action, but for vector search."""

    @property
    def auth(self) -> Auth: ...
    @property
    def storage(self) -> StorageActionWriter: ...
    @property
    def scheduler(self) -> Scheduler: ...
    @property
    def meta(self) -> ActionMeta: ...
    @overload
    def run_action(
        self, fn: RegisteredFunction[P, T] | FunctionReference[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]: ...
    @overload
    def run_action(self, fn: str, /, **kwargs: Any) -> Awaitable[Any]: ...


class QueryCtx(ReadingCtx[DatabaseReader], Protocol):
    """`ctx` of a query: one snapshot of the database."""


class MutationCtx(WritingCtx[DatabaseWriter], Protocol):
    """`ctx` of a mutation: one transaction."""


class VectorMatch(TypedDict, Generic[Id_co]):
    """A document that `ctx.vector_search` found; `_score` is between -1 and 1."""

    _id: Id_co
    _score: float


class ActionCtx(ActingCtx, Protocol):
    """`ctx` of an action or HTTP action: no database, but everything that reaches outside."""

    def vector_search(
        self,
        table: str,
        index: str,
        /,
        *,
        vector: Sequence[float],
        limit: int = ...,
        filter: Callable[[VectorFilter[str, Any]], VectorCondition] | None = ...,
    ) -> Awaitable[list[VectorMatch[Any]]]:
        """The documents nearest to `vector`, best first (https://docs.convex.dev/search/vector-search)."""
        ...


RUNNING_CTX: ContextVar[Any] = ContextVar("pyconvex_ctx")
"""Set by whoever runs a handler or a mounted application, to an `ActionCtx` whose ids and documents are plain."""


def current_ctx() -> ActionCtx:
    """The ctx of the request that is being served, for code that is not handed one: an ASGI app below `http.mount`.

    Raises:
        DeveloperError: nothing is running here.
    """
    ctx: ActionCtx | None = RUNNING_CTX.get(None)
    if ctx is None:
        raise DeveloperError(
            "NoCurrentContext",
            "current_ctx() was called while no request is being served",
            hint="call it inside a handler or a mounted application, not while a module is imported",
        )
    return ctx
