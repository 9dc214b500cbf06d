"""A schema made from its JSON: how a process learns of a schema that another one put into force.

The inverse of `Schema.json`. Nothing of it stands in a file, so whatever has a place has the one of `NOWHERE`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from .errors import Place
from .indexes import AnyIndexDefinition, IndexDefinition, SearchIndexDefinition, VectorIndexDefinition
from .schema import Schema, TableDefinition
from .values.validator_json import validator_of

Json: TypeAlias = Mapping[str, Any]

NOWHERE: Final = Place("the database", 1)


def schema_of(json: Json) -> Schema:
    """The schema that `json`, which was parsed already, describes. It is trusted as far as a database is.

    Raises:
        BadValidatorJson: a validator is none.
    """
    tables = {table["tableName"]: _table_of(table) for table in json["tables"]}
    return Schema(tables, schema_validation=json["schemaValidation"])


def _table_of(json: Json) -> TableDefinition:
    table = TableDefinition(validator_of(json["documentType"]), NOWHERE)
    table.declared = tuple(
        make(index, staged) for lists, make in _INDEXES for staged, name in enumerate(lists) for index in json[name]
    )
    return table


def _index_of(json: Json, staged: int) -> IndexDefinition:
    return IndexDefinition(json["indexDescriptor"], tuple(json["fields"]), bool(staged), NOWHERE)


def _search_index_of(json: Json, staged: int) -> SearchIndexDefinition:
    filters = tuple(json["filterFields"])
    return SearchIndexDefinition(json["indexDescriptor"], json["searchField"], filters, bool(staged), NOWHERE)


def _vector_index_of(json: Json, staged: int) -> VectorIndexDefinition:
    return VectorIndexDefinition(
        json["indexDescriptor"],
        json["vectorField"],
        json["dimensions"],
        tuple(json["filterFields"]),
        bool(staged),
        NOWHERE,
    )


_INDEXES: Final[tuple[tuple[tuple[str, str], Callable[[Json, int], AnyIndexDefinition]], ...]] = (
    (("indexes", "stagedDbIndexes"), _index_of),
    (("searchIndexes", "stagedSearchIndexes"), _search_index_of),
    (("vectorIndexes", "stagedVectorIndexes"), _vector_index_of),
)
"""The lists of a table's JSON, the one of the staged indexes second, and what makes their elements."""
