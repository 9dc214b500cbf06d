"""What a project's `schema.py` declares: tables, the validators of their documents, and their indexes.

Declaring raises only where an argument has the wrong type. Everything else is found by `Schema.problems`, all at
once and each with the line that declared it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar, cast

from .errors import Place, Problem, caller_place
from .indexes import (
    AnyIndexDefinition,
    IndexDefinition,
    SearchIndexDefinition,
    VectorIndexDefinition,
    fields_of,
    index_problems,
    members_of,
    suggestion,
)
from .values.names import SYSTEM_FIELDS, field_problem, is_identifier
from .values.validators import AnyValue, Array, Id, Number, Object, Record, Union, Validator

TABLES_MAX: Final = 10_000

D = TypeVar("D", bound=AnyIndexDefinition)

_SYSTEM_TABLES = frozenset({"_storage", "_scheduled_functions"})


class TableDefinition:
    """A table of the schema. Made by `define_table`."""

    def __init__(self, validator: Validator, place: Place) -> None:
        self.validator = validator
        """Of a document without its system fields."""
        self.declared: tuple[AnyIndexDefinition, ...] = ()
        """Its indexes of all kinds, in the order of the declaration."""
        self.place = place

    @property
    def indexes(self) -> tuple[IndexDefinition, ...]:
        return self._declared(IndexDefinition)

    @property
    def search_indexes(self) -> tuple[SearchIndexDefinition, ...]:
        return self._declared(SearchIndexDefinition)

    @property
    def vector_indexes(self) -> tuple[VectorIndexDefinition, ...]:
        return self._declared(VectorIndexDefinition)

    def index(self, name: str, fields: Sequence[str], *, staged: bool = False) -> "TableDefinition":
        """Add an index and return this table.

        Args:
            name: an identifier of at most 64 characters.
            fields: 1 to 16 fields, or paths of fields such as `address.city`; `_creationTime` follows by itself.
            staged: build it in the background; it can be queried once this is taken away.

        https://docs.convex.dev/database/reading-data/indexes/
        """
        _check_name("name", name)
        self.declared += (IndexDefinition(name, _field_list("fields", fields), staged, caller_place()),)
        return self

    def search_index(
        self, name: str, *, search_field: str, filter_fields: Sequence[str] = (), staged: bool = False
    ) -> "TableDefinition":
        """Add an index for full-text search and return this table.

        Args:
            name: as of an ordinary index.
            search_field: the field whose text is searched, or the path of one; other documents are not found.
            filter_fields: up to 16 fields that a search can ask to equal a value.
            staged: as of an ordinary index.

        https://docs.convex.dev/search/text-search
        """
        _check_name("name", name)
        _check_name("search field", search_field)
        filters = _field_list("filter fields", filter_fields)
        self.declared += (SearchIndexDefinition(name, search_field, filters, staged, caller_place()),)
        return self

    def vector_index(
        self, name: str, *, vector_field: str, dimensions: int, filter_fields: Sequence[str] = (), staged: bool = False
    ) -> "TableDefinition":
        """Add an index for vector search and return this table.

        Args:
            name: as of an ordinary index.
            vector_field: the field with the list of numbers, or the path of one.
            dimensions: how many numbers, 2 to 4,096; documents with more or fewer are not found.
            filter_fields: up to 16 fields that a search can ask to equal a value.
            staged: as of an ordinary index.

        https://docs.convex.dev/search/vector-search
        """
        _check_name("name", name)
        _check_name("vector field", vector_field)
        if isinstance(dimensions, bool) or not isinstance(dimensions, int):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise TypeError(f"the dimensions of an index are a whole number, not {dimensions!r}")
        filters = _field_list("filter fields", filter_fields)
        self.declared += (VectorIndexDefinition(name, vector_field, dimensions, filters, staged, caller_place()),)
        return self

    def document(self, name: str) -> Validator:
        """The validator of a whole document, system fields included, in a table called `name`."""
        return _with_fields(self.validator, {"_id": Id(name), "_creationTime": Number()})

    def json(self, name: str) -> dict[str, object]:
        """One element of `tables` in the schema JSON."""

        def described(indexes: Iterable[AnyIndexDefinition], *, staged: bool) -> list[dict[str, object]]:
            return [index.json() for index in indexes if index.staged == staged]

        return {
            "tableName": name,
            "indexes": described(self.indexes, staged=False),
            "stagedDbIndexes": described(self.indexes, staged=True),
            "searchIndexes": described(self.search_indexes, staged=False),
            "stagedSearchIndexes": described(self.search_indexes, staged=True),
            "vectorIndexes": described(self.vector_indexes, staged=False),
            "stagedVectorIndexes": described(self.vector_indexes, staged=True),
            "documentType": self.validator.json(),
        }

    def _declared(self, kind: type[D]) -> tuple[D, ...]:
        return tuple(index for index in self.declared if isinstance(index, kind))


class Schema:
    """The tables of a project. Made by `define_schema`; immutable."""

    def __init__(
        self,
        tables: Mapping[str, TableDefinition],
        place: Place | None = None,
        *,
        schema_validation: bool = True,
        strict_table_name_types: bool = True,
    ) -> None:
        self.tables: Mapping[str, TableDefinition] = MappingProxyType(dict(tables))
        self.place = place
        self.schema_validation = schema_validation
        self.strict_table_name_types = strict_table_name_types

    def json(self) -> dict[str, object]:
        """The schema JSON of Convex, whose `fields` leave out the implicit `_creationTime`."""
        return {
            "tables": [table.json(name) for name, table in self.tables.items()],
            "schemaValidation": self.schema_validation,
        }

    def problems(self) -> list[Problem]:
        """Every reason why this schema cannot be served; none when it can."""
        found: list[Problem] = []
        if len(self.tables) > TABLES_MAX:
            found.append(Problem("TooManyTables", f"a schema cannot have more than {TABLES_MAX} tables", self.place))
        for name, table in self.tables.items():
            found += _table_problems(name, table)
            found += _id_problems(name, table, self.tables)
            found += index_problems(name, table.validator, table.declared)
        return found


EMPTY_SCHEMA: Final = Schema({})
"""A project without `schema.py`: tables come into being with their first document and take any."""


def define_table(fields: Mapping[str, Validator] | Validator) -> TableDefinition:
    """A table, described by the fields of its documents, by a union of objects, or by `v.any()`.

    `_id` and `_creationTime` may be among the fields; every document has them.

    https://docs.convex.dev/database/schemas
    """
    if isinstance(fields, Validator):
        validator = fields
    elif isinstance(fields, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        validator = Object(fields)
    else:
        raise TypeError(f"define_table() takes a mapping of fields or a validator, not {fields!r}")
    if validator.optional:
        raise TypeError("define_table() cannot take an optional validator")
    return TableDefinition(_without_system_fields(validator), caller_place())


def define_schema(
    tables: Mapping[str, TableDefinition],
    *,
    schema_validation: bool = True,
    strict_table_name_types: bool = True,
) -> Schema:
    """The schema of a project, to be the `default` of its `schema.py`.

    Args:
        tables: by name.
        schema_validation: with False documents are not validated; indexes work all the same.
        strict_table_name_types: with False the generated types allow other tables too.

    https://docs.convex.dev/database/schemas
    """
    if not isinstance(tables, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise TypeError(f"define_schema() takes a mapping from table names to tables, not {tables!r}")
    for name, table in tables.items():
        if not isinstance(name, str) or not isinstance(table, TableDefinition):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
            raise TypeError(f"define_schema() takes tables made by define_table(), not {name!r}: {table!r}")
    return Schema(
        tables,
        caller_place(),
        schema_validation=schema_validation,
        strict_table_name_types=strict_table_name_types,
    )


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the {what} of an index is a string, not {name!r}")


def _field_list(what: str, fields: object) -> tuple[str, ...]:
    if isinstance(fields, str):
        raise TypeError(f"the {what} of an index are a list of names: write [{fields!r}]")
    if not isinstance(fields, Sequence) or not all(
        isinstance(field, str) for field in cast("Sequence[object]", fields)
    ):
        raise TypeError(f"the {what} of an index are a list of names, not {fields!r}")
    return tuple(cast("Sequence[str]", fields))


def _without_system_fields(validator: Validator) -> Validator:
    match validator:
        case Object() if not SYSTEM_FIELDS.isdisjoint(validator.fields):
            return validator.omit(*SYSTEM_FIELDS.intersection(validator.fields))
        case Union():
            return Union(*map(_without_system_fields, validator.members))
        case _:
            return validator


def _with_fields(validator: Validator, fields: Mapping[str, Validator]) -> Validator:
    match validator:
        case Object():
            return validator.extend(fields)
        case Union():
            return Union(*(_with_fields(member, fields) for member in validator.members))
        case _:
            return validator


def _table_problems(name: str, table: TableDefinition) -> Iterator[Problem]:
    if name.startswith("_"):
        yield Problem(
            "TableNameReserved", f'Table name "{name}" is reserved: it starts with an underscore.', table.place
        )
    elif not is_identifier(name):
        yield Problem(
            "InvalidTableName",
            f'Table name "{name}" is not an identifier.',
            table.place,
            hint="use letters, digits and underscores, at most 64, not starting with a digit",
        )
    if not all(isinstance(member, Object | AnyValue) for member in members_of(table.validator)):
        yield Problem(
            "InvalidTopLevelTypeInSchemaError",
            f'The validator of table "{name}" must be an object, a union of objects, or `v.any()`, '
            f"not `{table.validator}`.",
            table.place,
        )
    for field in sorted(fields_of(table.validator)):
        if problem := field_problem(field):
            yield Problem("InvalidFieldName", f'In table "{name}": {problem}.', table.place)


def _id_problems(name: str, table: TableDefinition, tables: Mapping[str, TableDefinition]) -> Iterator[Problem]:
    for path, reference in _ids_in(table.validator, ""):
        if reference.table not in tables and reference.table not in _SYSTEM_TABLES:
            yield Problem(
                "UnknownTable",
                f'In table "{name}" the field `{path.removeprefix(".")}` is an id of a table that is not declared: '
                f"`{reference.text()}`.",
                table.place,
                hint=suggestion(reference.table, tables) or f'declare "{reference.table}" in define_schema()',
            )


def _ids_in(validator: Validator, path: str) -> Iterator[tuple[str, Id]]:
    match validator:
        case Id():
            yield path, validator
        case Object():
            for name, field in validator.fields.items():
                yield from _ids_in(field, f"{path}.{name}")
        case Array():
            yield from _ids_in(validator.element, f"{path}[]")
        case Record():
            yield from _ids_in(validator.keys, f"{path}.keys()")
            yield from _ids_in(validator.values, f"{path}.values()")
        case Union():
            for member in validator.members:
                yield from _ids_in(member, path)
        case _:
            pass
