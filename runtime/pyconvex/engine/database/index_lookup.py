"""The index that a query names, if it is there and can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyconvex.errors import DeveloperError
from pyconvex.store.schema.catalog import Index, IndexKind, IndexState

if TYPE_CHECKING:
    from pyconvex.store.transaction import Transaction

_NOT_READY: Final = {
    IndexState.BACKFILLING: "is currently backfilling and not available to query yet.",
    IndexState.STAGED: "is currently staged and not available to query until it is enabled.",
}
_READ_WITH: Final = {
    IndexKind.DATABASE: "`with_index`",
    IndexKind.SEARCH: "`with_search_index`",
    IndexKind.VECTOR: "`ctx.vector_search` of an action",
}


def index_to_read(
    transaction: Transaction, table: str, name: str, kind: IndexKind = IndexKind.DATABASE
) -> Index | None:
    """The index; None when there is none of that kind and name.

    Raises `DeveloperError` `IndexNotReady`.
    """
    index = transaction.index(table, name, kind)
    if index is not None and not index.readable:
        reason = _NOT_READY.get(index.state, "not found.")
        raise DeveloperError("IndexNotReady", f"Index {table}.{name} {reason}")
    return index


def index_of_kind(transaction: Transaction, table: str, name: str, kind: IndexKind) -> Index:
    """The index. Raises `DeveloperError` `IndexNotFound`, `IndexNotReady`."""
    index = index_to_read(transaction, table, name, kind)
    if index is None:
        raise no_index(transaction, table, name)
    return index


def no_index(transaction: Transaction, table: str, name: str) -> DeveloperError:
    """The error for a name that no index of the kind in question has; perhaps one of another kind has it."""
    others = [kind for kind in IndexKind if transaction.index(table, name, kind) is not None]
    hint = f"It is read with {_READ_WITH[others[0]]}." if others else None
    return DeveloperError("IndexNotFound", f"Index {table}.{name} not found.", hint=hint)
