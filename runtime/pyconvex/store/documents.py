"""The rules for one document, and the errors of those that break them."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from pyconvex.errors import DeveloperError
from pyconvex.schema import TABLES_MAX, Schema
from pyconvex.store.schema.catalog import index_number
from pyconvex.values.ids import DocumentId, decode_id, encode_id
from pyconvex.values.keys import encode_key
from pyconvex.values.kinds import DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX
from pyconvex.values.names import SYSTEM_FIELDS, field_problem, is_identifier
from pyconvex.values.size import depth_of, document_size
from pyconvex.values.validators import TableNames, ValidationFailed
from pyconvex.values.value import Value

from .keys import IndexKey
from .usage import NearLimit

FIELDS_MAX: Final = 1024
_WARNING_SHARE = 0.8
_FLAT = frozenset({str, int, float, bool, bytes, type(None)})

_problem_of = lru_cache(maxsize=4096)(field_problem)


class DocumentRefused(DeveloperError):
    """A write that cannot be done: the document is missing, or the new one is not allowed."""


@lru_cache(maxsize=16_384)
def id_key(id: DocumentId) -> bytes:
    """The key of a document in its table's `by_id`."""
    return encode_key((encode_id(id),))


def entry_by_id(id: str) -> IndexKey:
    """Where a document stands in its table's `by_id`: what every commit writes that changes it."""
    decoded = decode_id(id)
    return IndexKey(index_number(decoded.table, 0), id_key(decoded))


def check_table_name(name: str) -> None:
    """Refuse what cannot be the name of a user's table."""
    if name.startswith("_"):
        raise DocumentRefused("SystemTableReadOnly", "System tables (prefixed with `_`) are read-only.")
    if not is_identifier(name):
        raise DocumentRefused(
            "InvalidTableName",
            f"Invalid table name {name!r}: letters, digits and underscores, at most 64, and a letter in front",
        )


def check_table_count(count: int) -> None:
    """Refuse one table too many."""
    if count > TABLES_MAX:
        raise DocumentRefused("TooManyTables", f"A deployment cannot have more than {TABLES_MAX} tables")


def check_new_fields(fields: Mapping[str, Value]) -> None:
    """Refuse fields that a new document must not bring along, and names that no field may have."""
    if "_id" in fields:
        raise DocumentRefused(
            "ProvidedDocumentId", f"Provided document ID {_shown(fields['_id'])}: an insert makes the `_id` itself"
        )
    if "_creationTime" in fields:
        raise DocumentRefused(
            "ProvidedCreationTime",
            f"Provided creation time {_shown(fields['_creationTime'])}: an insert sets `_creationTime` itself",
        )
    check_names(fields)


def check_system_fields(fields: Mapping[str, object], document: Mapping[str, Value]) -> None:
    """Refuse a patch or replacement that brings another `_id` or `_creationTime` than the document's."""
    if "_id" in fields and fields["_id"] != document["_id"]:
        raise DocumentRefused(
            "ProvidedDocumentId",
            f"Provided document ID '{document['_id']}' doesn't match '_id' field {_shown(fields['_id'])}",
        )
    if "_creationTime" in fields and fields["_creationTime"] != document["_creationTime"]:
        raise DocumentRefused(
            "ProvidedCreationTime",
            f"Provided creation time {document['_creationTime']} doesn't match '_creationTime' field "
            f"{_shown(fields['_creationTime'])}",
        )


def check_names(names: Iterable[str]) -> None:
    for name in names:
        if problem := _problem_of(name):
            raise DocumentRefused("InvalidFieldName", problem)


def user_fields(document: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in document.items() if name not in SYSTEM_FIELDS}


def matching(table: str, fields: dict[str, Value], schema: Schema, tables: TableNames) -> dict[str, Value]:
    """`fields` as the schema takes them.

    Raises:
        DocumentRefused: they do not match the table's validator.
    """
    definition = schema.tables.get(table) if schema.schema_validation else None
    if definition is None:
        return fields
    try:
        checked = definition.validator.validate(fields, tables)
    except ValidationFailed as failed:
        raise DocumentRefused(
            "SchemaEnforcementError",
            f'Failed to insert or update a document in table "{table}" because it does not match the schema: '
            f"{failed.reason}",
            hint=failed.hint,
        ) from None
    assert isinstance(checked, dict), "a table's validator describes objects"
    return checked


def measured(document: dict[str, Value], warnings: list[NearLimit]) -> int:
    """The document's size in bytes; `warnings` is told when it comes near a limit.

    Raises:
        DocumentRefused: too large, too deep or too many fields.
    """
    size = document_size(document)
    if size > DOCUMENT_BYTES_MAX:
        raise DocumentRefused("ValueTooLarge", f"Value is too large ({size / 2**20:.2f} MiB > maximum size 1 MiB)")
    if len(document) > FIELDS_MAX:
        raise DocumentRefused("TooManyFields", f"Document has too many fields ({len(document)} > maximum {FIELDS_MAX})")
    depth = 1 if _FLAT.issuperset(map(type, document.values())) else depth_of(document)
    if depth > DOCUMENT_DEPTH_MAX:
        raise DocumentRefused(
            "ValueTooNested", f"Document is too nested ({depth} levels > maximum nesting {DOCUMENT_DEPTH_MAX})"
        )
    if size > _WARNING_SHARE * DOCUMENT_BYTES_MAX:
        warnings.append(NearLimit("ValueTooLarge", f"Large document written with ID {document['_id']}"))
    if depth > _WARNING_SHARE * DOCUMENT_DEPTH_MAX:
        warnings.append(NearLimit("ValueTooNested", f"Deeply nested document written with ID {document['_id']}"))
    return size


def nonexistent(verb: str, id: DocumentId) -> DocumentRefused:
    """`verb` is Update, Replace or Delete."""
    return DocumentRefused("NonexistentDocument", f"{verb} on nonexistent document ID {encode_id(id)}")


def _shown(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else repr(value)
