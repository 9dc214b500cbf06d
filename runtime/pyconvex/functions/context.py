"""What a handler's `ctx` offers, for type checkers, and which one is running.

The engine's classes have these shapes; nothing here runs.
https://docs.convex.dev/functions/query-functions#query-context
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from pyconvex.errors import DeveloperError

from .fetch.blob import Blob
from .function import RegisteredFunction
from .references import FunctionReference

P = ParamSpec("P")
T = TypeVar("T")
Document: TypeAlias = Any
"""A dict. Not said here, so that it fits where a handler's annotation promises `Doc.messages`, a TypedDict."""

Doc = TypeVar("Doc")

UserIdentity: TypeAlias = dict[str, Any]
"""`tokenIdentifier`, `subject`, `issuer`, then what the token says: `name`, `email`, custom claims."""

Order: TypeAlias = Literal["asc", "desc"]


class Expression(Protocol):
    """A part of a filter: a field, a comparison, a sum."""


class FilterBuilder(Protocol):
    """`q` of `.filter(lambda q: ...)` (https://docs.convex.dev/database/reading-data/filters)."""

    def field(self, path: str, /) -> Expression: ...
    def eq(self, left: Any, right: Any, /) -> Expression: ...
    def neq(self, left: Any, right: Any, /) -> Expression: ...
    def lt(self, left: Any, right: Any, /) -> Expression: ...
    def lte(self, left: Any, right: Any, /) -> Expression: ...
    def gt(self, left: Any, right: Any, /) -> Expression: ...
    def gte(self, left: Any, right: Any, /) -> Expression: ...
    def add(self, left: Any, right: Any, /) -> Expression: ...
    def sub(self, left: Any, right: Any, /) -> Expression: ...
    def mul(self, left: Any, right: Any, /) -> Expression: ...
    def div(self, left: Any, right: Any, /) -> Expression: ...
    def mod(self, left: Any, right: Any, /) -> Expression: ...
    def neg(self, value: Any, /) -> Expression: ...
    def and_(self, *conditions: Any) -> Expression: ...
    def or_(self, *conditions: Any) -> Expression: ...
    def not_(self, condition: Any, /) -> Expression: ...


class IndexRangeBuilder(Protocol):
    """`q` of `.with_index(name, lambda q: ...)`: equalities first, then at most one bound on each side."""

    def eq(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...
    def gt(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...
    def gte(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...
    def lt(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...
    def lte(self, field: str, value: Any, /) -> "IndexRangeBuilder": ...


class OrderedQuery(Protocol[Doc]):
    """A query whose order is settled; awaiting one of its ends runs it."""

    def filter(self, predicate: Callable[[FilterBuilder], Any], /) -> "OrderedQuery[Doc]": ...
    def collect(self) -> Awaitable[list[Doc]]: ...
    def take(self, n: int, /) -> Awaitable[list[Doc]]: ...
    def first(self) -> Awaitable[Doc | None]: ...
    def unique(self) -> Awaitable[Doc | None]: ...
    def __aiter__(self) -> AsyncIterator[Doc]: ...


class Query(OrderedQuery[Doc], Protocol[Doc]):
    """A query over one index or the whole table."""

    def order(self, order: Order, /) -> OrderedQuery[Doc]: ...
    def filter(self, predicate: Callable[[FilterBuilder], Any], /) -> "Query[Doc]": ...


class QueryInitializer(Query[Doc], Protocol[Doc]):
    """What `ctx.db.query(table)` gives (https://docs.convex.dev/database/reading-data)."""

    def with_index(self, name: str, range: Callable[[IndexRangeBuilder], Any] | None = None, /) -> Query[Doc]: ...


class BaseDatabaseReader(Protocol):
    @overload
    def get(self, id: str, /) -> Awaitable[Document | None]: ...
    @overload
    def get(self, table: str, id: str, /) -> Awaitable[Document | None]: ...
    def query(self, table: str, /) -> QueryInitializer[Document]: ...
    def normalize_id(self, table: str, id: str, /) -> str | None: ...


class DatabaseReader(BaseDatabaseReader, Protocol):
    """`ctx.db` of a query."""

    @property
    def system(self) -> BaseDatabaseReader:
        """`_storage` and the other system tables."""
        ...


class DatabaseWriter(DatabaseReader, Protocol):
    """`ctx.db` of a mutation (https://docs.convex.dev/database/writing-data)."""

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


class Auth(Protocol):
    """`ctx.auth` (https://docs.convex.dev/auth/functions-auth)."""

    def get_user_identity(self) -> Awaitable[UserIdentity | None]: ...


class StorageReader(Protocol):
    """`ctx.storage` of a query (https://docs.convex.dev/file-storage)."""

    def get_url(self, id: str, /) -> Awaitable[str | None]: ...
    def get_metadata(self, id: str, /) -> Awaitable[dict[str, Any] | None]: ...


class StorageWriter(StorageReader, Protocol):
    """`ctx.storage` of a mutation."""

    def delete(self, id: str, /) -> Awaitable[None]: ...


class StorageActionWriter(StorageWriter, Protocol):
    """`ctx.storage` of an action."""

    def get(self, id: str, /) -> Awaitable[Blob | None]: ...
    def store(self, blob: Blob, /, *, sha256: str | None = None) -> Awaitable[str]: ...


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


class QueryCtx(_RunsQueries, Protocol):
    """`ctx` of a query: one snapshot of the database."""

    @property
    def db(self) -> DatabaseReader: ...
    @property
    def auth(self) -> Auth: ...
    @property
    def storage(self) -> StorageReader: ...
    @property
    def meta(self) -> QueryMeta: ...


class MutationCtx(_RunsQueries, _RunsMutations, Protocol):
    """`ctx` of a mutation: one transaction."""

    @property
    def db(self) -> DatabaseWriter: ...
    @property
    def auth(self) -> Auth: ...
    @property
    def storage(self) -> StorageWriter: ...
    @property
    def meta(self) -> MutationMeta: ...


class ActionCtx(_RunsQueries, _RunsMutations, Protocol):
    """`ctx` of an action or HTTP action: no database, but everything that reaches outside."""

    @property
    def auth(self) -> Auth: ...
    @property
    def storage(self) -> StorageActionWriter: ...
    @property
    def meta(self) -> ActionMeta: ...
    @overload
    def run_action(
        self, fn: RegisteredFunction[P, T] | FunctionReference[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]: ...
    @overload
    def run_action(self, fn: str, /, **kwargs: Any) -> Awaitable[Any]: ...


RUNNING_CTX: ContextVar[ActionCtx] = ContextVar("pyconvex_ctx")
"""Set by whoever runs a handler or a mounted application."""


def current_ctx() -> ActionCtx:
    """The ctx of the request that is being served, for code that is not handed one: an ASGI app below `http.mount`.

    Raises:
        DeveloperError: nothing is running here.
    """
    ctx = RUNNING_CTX.get(None)
    if ctx is None:
        raise DeveloperError(
            "NoCurrentContext",
            "current_ctx() was called while no request is being served",
            hint="call it inside a handler or a mounted application, not while a module is imported",
        )
    return ctx
