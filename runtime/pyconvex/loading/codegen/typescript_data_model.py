"""The text of `_generated/dataModel.d.ts`: a project's tables as TypeScript types."""

from collections.abc import Iterable, Mapping, Sequence

from pyconvex.indexes import IndexDefinition
from pyconvex.loading.codegen.python_types import field_paths
from pyconvex.loading.codegen.typescript_types import (
    TypeScriptTypes,
    any_of,
    braces,
    has_any,
    key,
    quoted,
    typescript_file,
)
from pyconvex.schema import Schema, TableDefinition

_ABOUT = "The tables of this project as types."

_SYSTEM_INDEXES: Mapping[str, Sequence[str]] = {"by_id": ["_id"], "by_creation_time": ["_creationTime"]}

_WITH_TABLES = """
/** The names of the tables. */
export type TableNames = TableNamesInDataModel<DataModel>;

/** A document of a table: `Doc<"users">`. */
export type Doc<TableName extends TableNames> = DocumentByName<DataModel, TableName>;

/** The id of a document: `Id<"users">`, at run time a string. */
export type Id<TableName extends TableNames | SystemTableNames> = GenericId<TableName>;
"""

_WITHOUT_TABLES = """\
/** Without a `schema.py`, tables and documents may be anything. */
export type DataModel = AnyDataModel;

/** The names of the tables. */
export type TableNames = string;

/** A document of a table. */
export type Doc<TableName extends TableNames = TableNames> = DocumentByName<DataModel, TableName>;

/** The id of a document: `Id<"users">`, at run time a string. */
export type Id<TableName extends TableNames = TableNames> = GenericId<TableName>;
"""


def data_model_declarations(schema: Schema) -> str:
    """`dataModel.d.ts`: `Doc`, `Id`, `TableNames` and `DataModel`, named as the official code generator names them.

    https://docs.convex.dev/generated-api/data-model
    """
    tables = {name: table for name, table in sorted(schema.tables.items()) if name.isidentifier()}
    if not tables:
        return typescript_file(_ABOUT, _WITHOUT_TABLES, {})
    types = TypeScriptTypes(schema)
    listed = "".join(_table(types, name, table) for name, table in tables.items())
    loose = "" if schema.strict_table_name_types else " & AnyDataModel"
    model = f"/** The tables: their documents and indexes. */\nexport type DataModel = {{\n{listed}}}{loose};\n"
    return typescript_file(_ABOUT, model + _WITH_TABLES, {}, "schema.py")


def _table(types: TypeScriptTypes, name: str, table: TableDefinition) -> str:
    indexes = {index.name: [*index.fields, "_creationTime"] for index in _ready(table)}
    searches = {
        index.name: {"searchField": quoted(index.search_field), "filterFields": _either(index.filter_fields)}
        for index in table.search_indexes
        if not index.staged
    }
    vectors = {
        index.name: {
            "vectorField": quoted(index.vector_field),
            "dimensions": str(index.dimensions),
            "filterFields": _either(index.filter_fields),
        }
        for index in table.vector_indexes
        if not index.staged
    }
    members = {
        "document": _document(types, name, table),
        "fieldPaths": _field_paths(table),
        "indexes": _members({name: _list(fields) for name, fields in {**_SYSTEM_INDEXES, **indexes}.items()}),
        "searchIndexes": _members({name: _members(index) for name, index in searches.items()}),
        "vectorIndexes": _members({name: _members(index) for name, index in vectors.items()}),
    }
    lines = "".join(f"    {member}: {text};\n" for member, text in members.items())
    return f"  {name}: {{\n{lines}  }};\n"


def _document(types: TypeScriptTypes, name: str, table: TableDefinition) -> str:
    if has_any(table.validator):
        return "any"
    return any_of(_block(fields) for fields in types.documents(name, table.validator))


def _block(fields: Iterable[str]) -> str:
    return f"{{\n{''.join(f'      {field};{chr(10)}' for field in fields)}    }}"


def _ready(table: TableDefinition) -> Iterable[IndexDefinition]:
    return (index for index in table.indexes if not index.staged)


def _field_paths(table: TableDefinition) -> str:
    if has_any(table.validator):
        return "string"
    return _either(dict.fromkeys(["_id", "_creationTime", *field_paths(table.validator)]))


def _members(texts: Mapping[str, str]) -> str:
    return braces(f"{key(name)}: {text}" for name, text in texts.items())


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def _either(texts: Iterable[str]) -> str:
    return " | ".join(map(quoted, texts)) or "never"
