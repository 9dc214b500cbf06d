"""Mutations that met another one: how developers hear of it, and what the log keeps of every attempt.

https://docs.convex.dev/error#1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyconvex.engine.logs.logs import Conflicting
from pyconvex.errors import RequestRefused
from pyconvex.store.schema.catalog import table_of_index

if TYPE_CHECKING:
    from pyconvex.engine.execution import Execution
    from pyconvex.store.persistence import Conflict

HELP = "https://docs.convex.dev/error#1"


class MutationConflict(RequestRefused):
    """A mutation that was run again and again, and met another one every time (HTTP 503). Nothing of it was kept."""

    def __init__(self, message: str, with_whom: Conflicting) -> None:
        super().__init__(
            503,
            "OptimisticConcurrencyControlFailure",
            message,
            hint="Read less in it: a narrower index range, fewer documents; or do not run it for many at once.",
        )
        self.with_whom = with_whom


def given_up(conflict: Conflict, execution: Execution) -> MutationConflict:
    """What the caller of `execution` gets when no attempt is left."""
    met = met_by(conflict, execution)
    return MutationConflict(f"{_changed(met)} and on every subsequent retry.{_culprit(met, execution)} See {HELP}", met)


def sent_back(conflict: Conflict, execution: Execution) -> tuple[str, Conflicting]:
    """What the log says of an attempt after which the mutation runs again."""
    met = met_by(conflict, execution)
    return f"{_changed(met)}.{_culprit(met, execution)} See {HELP}", met


def met_by(conflict: Conflict, execution: Execution) -> Conflicting:
    store = execution.services.store
    table = None if conflict.key is None else store.table_name(table_of_index(conflict.key.index))
    return Conflicting(table, conflict.document, conflict.by or None, retry_count=execution.retries)


def _changed(met: Conflicting) -> str:
    table = "some table" if met.table_name is None else f'the "{met.table_name}" table'
    return f"Documents read from or written to {table} changed while this mutation was being run"


def _culprit(met: Conflicting, execution: Execution) -> str:
    if met.document_id is None:
        return ""
    itself = met.write_source in (None, execution.identifier)
    who = "Another call to this mutation" if itself else f'A call to "{met.write_source}"'
    return f' {who} changed the document with ID "{met.document_id}".'
