"""Holding what mutations write against the schema that is on its way."""

from collections.abc import Callable
from typing import NamedTuple, cast

from pyconvex.errors import UnfitDocument
from pyconvex.schema import Schema
from pyconvex.store.schema.rows import SchemaRow, failure
from pyconvex.values.ids import decode_id
from pyconvex.values.validators import TableNames, ValidationFailed
from pyconvex.values.value import Value
from pyconvex.values.wire import load

from .documents import user_fields
from .keys import Changes
from .transaction import Transaction


class Pending(NamedTuple):
    """A schema on its way into force."""

    row: SchemaRow
    schema: Schema

    async def examine(self, transaction: Transaction, changes: Changes, another: Callable[[], Transaction]) -> Changes:
        """What a mutation changes, and if that does not match the schema, then also the schema's row, which fails.

        Args:
            another: makes a transaction on the same view; what is written on pyconvex's behalf is not counted.
        """
        violation = self._violation(transaction, changes)
        if violation is None:
            return changes
        marking = another()
        await marking.patch(self.row.id, {**failure(violation)})
        marked = marking.changes()
        changes.reads.ranges += marked.reads.ranges
        changes.documents = [*changes.documents, *marked.documents]
        changes.catalog, changes.inserts_only = True, False
        return changes

    def _violation(self, transaction: Transaction, changes: Changes) -> UnfitDocument | None:
        for change in changes.documents:
            if change.deleted:
                continue
            document = cast("dict[str, Value]", load(change.body))
            table = transaction.table_name(decode_id(cast(str, document["_id"])).table) or ""
            violation = violation_of(table, document, self.schema, transaction.table_name)
            if violation is not None:
                return violation
        return None


def violation_of(table: str, document: dict[str, Value], schema: Schema, tables: TableNames) -> UnfitDocument | None:
    """How a stored document fails the schema; None when it matches, or the schema says nothing about it."""
    definition = schema.tables.get(table) if schema.schema_validation else None
    if definition is None:
        return None
    try:
        definition.validator.validate(user_fields(document), tables)
    except ValidationFailed as failed:
        return UnfitDocument(cast(str, document["_id"]), table, failed.path, failed.reason)
    return None
