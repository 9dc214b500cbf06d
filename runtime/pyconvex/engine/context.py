"""The `ctx` of queries, mutations and actions (api.md: "What each ctx has").

Members are made when they are asked for: most functions use one or two of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..functions.function import Kind
from .auth import Auth
from .database import DatabaseReader, DatabaseWriter
from .meta import ActionMeta, MutationMeta, QueryMeta
from .storage import StorageActionWriter, StorageReader, StorageWriter

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .actions import ActionRun
    from .transactions import Run


class QueryCtx:
    """`ctx` of a query. `fn` of `run_*` is a reference, the registered function itself, or a path."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    @property
    def db(self) -> DatabaseReader:
        return DatabaseReader(self._run)

    @property
    def auth(self) -> Auth:
        return Auth(self._run.execution.call.identity)

    @property
    def storage(self) -> StorageReader:
        return StorageReader(self._run)

    @property
    def meta(self) -> QueryMeta:
        return QueryMeta(self._run)

    def run_query(self, fn: Any, /, **args: Any) -> Awaitable[Any]:
        return self._run.call("ctx.run_query", Kind.QUERY, fn, args)


class MutationCtx(QueryCtx):
    """`ctx` of a mutation."""

    __slots__ = ()

    @property
    def db(self) -> DatabaseWriter:
        return DatabaseWriter(self._run)

    @property
    def storage(self) -> StorageWriter:
        return StorageWriter(self._run)

    @property
    def meta(self) -> MutationMeta:
        return MutationMeta(self._run)

    def run_mutation(self, fn: Any, /, **args: Any) -> Awaitable[Any]:
        """A sub-transaction: when it raises, what it wrote is undone, and the caller may go on."""
        return self._run.call("ctx.run_mutation", Kind.MUTATION, fn, args)


class ActionCtx:
    """`ctx` of an action or HTTP action. Each `run_*` is a transaction or an action of its own."""

    __slots__ = ("_run",)

    def __init__(self, run: ActionRun) -> None:
        self._run = run

    @property
    def auth(self) -> Auth:
        return Auth(self._run.execution.call.identity)

    @property
    def storage(self) -> StorageActionWriter:
        return StorageActionWriter(self._run)

    @property
    def meta(self) -> ActionMeta:
        return ActionMeta(self._run)

    def run_query(self, fn: Any, /, **args: Any) -> Awaitable[Any]:
        return self._run.call("query", Kind.QUERY, fn, args)

    def run_mutation(self, fn: Any, /, **args: Any) -> Awaitable[Any]:
        return self._run.call("mutation", Kind.MUTATION, fn, args)

    def run_action(self, fn: Any, /, **args: Any) -> Awaitable[Any]:
        return self._run.call("action", Kind.ACTION, fn, args)
