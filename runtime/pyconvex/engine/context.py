"""The `ctx` of queries, mutations and actions.

Members are made when they are asked for: most functions use one or two of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pyconvex.engine.auth.context import Auth
from pyconvex.engine.database.absent import Explains
from pyconvex.engine.database.database import DatabaseReader, DatabaseWriter
from pyconvex.engine.database.vectors import vector_search
from pyconvex.engine.files.storage import StorageActionWriter, StorageReader, StorageWriter
from pyconvex.engine.jobs.scheduling import ActionScheduler, MutationScheduler
from pyconvex.engine.meta import ActionMeta, MutationMeta, QueryMeta
from pyconvex.functions.function import Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pyconvex.engine.actions import ActionRun
    from pyconvex.engine.transactions import Run


NO_VECTOR_SEARCH: Final = (
    "Vector search works in actions only: search in an action, then load the documents with `ctx.run_query(...)`."
)


class QueryCtx(Explains):
    """`ctx` of a query. `fn` of `run_*` is a reference, the registered function itself, or a path."""

    __slots__ = ("_run",)
    _absent: ClassVar = {
        "run_mutation": "Cannot call a Mutation function from a Query function: make this function a mutation.",
        "run_action": "Cannot call an Action function from a Query function: call both from an action.",
        "scheduler": "Queries cannot schedule functions: make this function a mutation.",
        "vector_search": NO_VECTOR_SEARCH,
    }

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def db(self) -> DatabaseReader:
        return DatabaseReader(self._run)

    @property
    def auth(self) -> Auth:
        return Auth(self._run.execution)

    @property
    def storage(self) -> StorageReader:
        return StorageReader(self._run)

    @property
    def meta(self) -> QueryMeta:
        return QueryMeta(self._run)

    def run_query(self, fn: Any, /, *positional: Any, **args: Any) -> Awaitable[Any]:
        return self._run.call("ctx.run_query", Kind.QUERY, fn, positional, args)


class MutationCtx(QueryCtx):
    """`ctx` of a mutation."""

    __slots__ = ()
    _absent: ClassVar = {
        "run_action": "Cannot call an Action function from a Mutation function: call both from an action.",
        "vector_search": NO_VECTOR_SEARCH,
    }

    @property
    def db(self) -> DatabaseWriter:
        return DatabaseWriter(self._run)

    @property
    def storage(self) -> StorageWriter:
        return StorageWriter(self._run)

    @property
    def scheduler(self) -> MutationScheduler:
        return MutationScheduler(self._run)

    @property
    def meta(self) -> MutationMeta:
        return MutationMeta(self._run)

    def run_mutation(self, fn: Any, /, *positional: Any, **args: Any) -> Awaitable[Any]:
        """A sub-transaction: when it raises, what it wrote is undone, and the caller may go on."""
        return self._run.call("ctx.run_mutation", Kind.MUTATION, fn, positional, args)


class ActionCtx(Explains):
    """`ctx` of an action or HTTP action. Each `run_*` is a transaction or an action of its own."""

    __slots__ = ("_run",)
    _absent: ClassVar = {
        "db": "Actions have no `ctx.db`: read with `ctx.run_query(...)`, write with `ctx.run_mutation(...)`."
    }

    def __init__(self, run: ActionRun) -> None:
        self._run = run

    @property
    def auth(self) -> Auth:
        return Auth(self._run.execution)

    @property
    def storage(self) -> StorageActionWriter:
        return StorageActionWriter(self._run)

    @property
    def scheduler(self) -> ActionScheduler:
        return ActionScheduler(self._run)

    @property
    def meta(self) -> ActionMeta:
        return ActionMeta(self._run)

    def vector_search(
        self, table: str, index: str, /, *, vector: Any, limit: int = 10, filter: Any = None
    ) -> Awaitable[list[dict[str, Any]]]:
        """The documents nearest to `vector`, best first: `{"_id", "_score"}`, to be loaded by a query.

        `filter` is `lambda q: q.eq("field", value)`, or several of these in `q.or_(...)`.
        """
        store = self._run.execution.services.store
        return self._run.operation("vector_search", lambda: vector_search(store, table, index, vector, limit, filter))

    def run_query(self, fn: Any, /, *positional: Any, **args: Any) -> Awaitable[Any]:
        return self._run.call("query", Kind.QUERY, fn, positional, args)

    def run_mutation(self, fn: Any, /, *positional: Any, **args: Any) -> Awaitable[Any]:
        return self._run.call("mutation", Kind.MUTATION, fn, positional, args)

    def run_action(self, fn: Any, /, *positional: Any, **args: Any) -> Awaitable[Any]:
        return self._run.call("action", Kind.ACTION, fn, positional, args)
