"""What a project's `schema.py` declares: tables, the validators of their documents, and their indexes.

Declaring raises only where an argument has the wrong type. Everything else is found by `Schema.problems`, all at
once and each with the line that declared it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from .errors import Place, Problem, caller_place
from .values.names import SYSTEM_FIELDS, field_problem, is_identifier
from .values.validators import AnyValue, Array, Id, Number, Object, Record, Union, Validator

INDEXES_MAX: Final = 64
INDEX_FIELDS_MAX: Final = 16
TABLES_MAX: Final = 10_000

_SYSTEM_TABLES = frozenset({"_storage", "_scheduled_functions"})
_RESERVED_INDEXES = frozenset({"by_id", "by_creation_time"})


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """An index as declared: `fields` are paths such as `address.city`, without the implicit `_creationTime`."""

    name: str
    fields: tuple[str, ...]
    staged: bool
    """Built in the background and not to be queried yet."""
    place: Place


class TableDefinition:
    """A table of the schema. Made by `define_table`."""

    def __init__(self, validator: Validator, place: Place) -> None:
        self.validator = validator
        """Of a document without its system fields."""
        self.indexes: tuple[IndexDefinition, ...] = ()
        self.place = place

    def index(self, name: str, fields: Sequence[str], *, staged: bool = False) -> "TableDefinition":
        """Add an index and return this table.

        Args:
            name: an identifier of at most 64 characters.
            fields: 1 to 16 fields, or paths of fields such as `address.city`; `_creationTime` follows by itself.
            staged: build it in the background; it can be queried once this is taken away.

        https://docs.convex.dev/database/reading-data/indexes/
        """
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise TypeError(f"the name of an index is a string, not {name!r}")
        if isinstance(fields, str):
            raise TypeError(f"the fields of an index are a list of names: write [{fields!r}]")
        if not isinstance(fields, Sequence) or not all(isinstance(field, str) for field in fields):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
            raise TypeError(f"the fields of an index are a list of names, not {fields!r}")
        self.indexes += (IndexDefinition(name, tuple(fields), staged, caller_place()),)
        return self

    def document(self, name: str) -> Validator:
        """The validator of a whole document, system fields included, in a table called `name`."""
        return _with_fields(self.validator, {"_id": Id(name), "_creationTime": Number()})

    def json(self, name: str) -> dict[str, object]:
        """One element of `tables` in the schema JSON."""

        def described(staged: bool) -> list[dict[str, object]]:
            chosen = (index for index in self.indexes if index.staged == staged)
            return [{"indexDescriptor": index.name, "fields": list(index.fields)} for index in chosen]

        return {
            "tableName": name,
            "indexes": described(staged=False),
            "stagedDbIndexes": described(staged=True),
            "searchIndexes": [],
            "stagedSearchIndexes": [],
            "vectorIndexes": [],
            "stagedVectorIndexes": [],
            "documentType": self.validator.json(),
        }


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
            found += _indexes_problems(name, table)
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
    if not all(isinstance(member, Object | AnyValue) for member in _members(table.validator)):
        yield Problem(
            "InvalidTopLevelTypeInSchemaError",
            f'The validator of table "{name}" must be an object, a union of objects, or `v.any()`, '
            f"not `{table.validator}`.",
            table.place,
        )
    for field in sorted(_fields_of(table.validator)):
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
                hint=_suggestion(reference.table, tables) or f'declare "{reference.table}" in define_schema()',
            )


def _indexes_problems(name: str, table: TableDefinition) -> Iterator[Problem]:
    if len(table.indexes) > INDEXES_MAX:
        surplus = table.indexes[INDEXES_MAX]
        yield Problem("TooManyIndexes", f'Table "{name}" cannot have more than {INDEXES_MAX} indexes.', surplus.place)
    earlier: list[IndexDefinition] = []
    for index in table.indexes:
        yield from _index_name_problems(name, index)
        yield from _index_fields_problems(name, table.validator, index)
        yield from _twin_problems(name, index, earlier)
        earlier.append(index)


def _index_name_problems(table: str, index: IndexDefinition) -> Iterator[Problem]:
    if index.name in _RESERVED_INDEXES or index.name.startswith("_"):
        yield Problem(
            "IndexNameReserved",
            f'In table "{table}" the index name "{index.name}" is reserved.',
            index.place,
            hint="every table has `by_id` and `by_creation_time`; names do not start with an underscore",
        )
    elif not is_identifier(index.name):
        yield Problem(
            "InvalidIndexName",
            f'In table "{table}" the index name "{index.name}" is not an identifier.',
            index.place,
            hint="use letters, digits and underscores, at most 64, not starting with a digit",
        )


def _index_fields_problems(table: str, validator: Validator, index: IndexDefinition) -> Iterator[Problem]:
    where = f'In table "{table}" the index "{index.name}"'
    if not index.fields:
        yield Problem(
            "EmptyIndex", f"{where} has no fields.", index.place, hint="every table has `by_creation_time` without it"
        )
    if len(index.fields) > INDEX_FIELDS_MAX:
        message = f"{where} has {len(index.fields)} fields; {INDEX_FIELDS_MAX} is the most."
        yield Problem("TooManyIndexFields", message, index.place)
    for field, times in Counter(index.fields).items():
        if times > 1:
            yield Problem("FieldsNotUniqueWithinIndex", f"{where} has the field `{field}` {times} times.", index.place)
        yield from _field_problems(where, field, validator, index.place)


def _field_problems(where: str, field: str, validator: Validator, place: Place) -> Iterator[Problem]:
    if field == "_id":
        yield Problem("IndexFieldsContainId", f"{where} contains `_id`, which ends every index by itself.", place)
    elif field == "_creationTime":
        yield Problem(
            "IndexFieldsContainCreationTime",
            f"{where} contains `_creationTime`, which is added to every index automatically.",
            place,
            hint='take it out: ranges can still use it, `q.eq("a", 1).gte("_creationTime", t)`',
        )
    elif field.startswith("_"):
        yield Problem("IndexFieldNameReserved", f"{where} contains the reserved field `{field}`.", place)
    elif not all(map(is_identifier, field.split("."))):
        yield Problem(
            "InvalidIndexField",
            f"{where} contains `{field}`, which is not the path of a field.",
            place,
            hint="names of fields, joined by dots: `address.city`",
        )
    elif missing := _missing_in(validator, field):
        name, siblings = missing
        yield Problem(
            "IndexFieldDoesNotExist",
            f"{where} is invalid because it references the field {field} that does not exist.",
            place,
            hint=_suggestion(name, siblings),
        )


def _twin_problems(table: str, index: IndexDefinition, earlier: Iterable[IndexDefinition]) -> Iterator[Problem]:
    for other in earlier:
        if other.name == index.name:
            message = f'Table "{table}" has two indexes called "{index.name}".'
            yield Problem("IndexNamesNotUnique", message, index.place, also=(other.place,))
        elif other.fields == index.fields and index.fields:
            message = f'In table "{table}" the indexes "{other.name}" and "{index.name}" have the same fields.'
            yield Problem("IndexNotUnique", message, index.place, also=(other.place,), hint="one of them is enough")


def _members(validator: Validator) -> tuple[Validator, ...]:
    """What a value may be: the members of unions, however deep, or the validator itself."""
    if isinstance(validator, Union):
        return tuple(leaf for member in validator.members for leaf in _members(member))
    return (validator,)


def _fields_of(validator: Validator) -> set[str]:
    return {name for member in _members(validator) if isinstance(member, Object) for name in member.fields}


def _missing_in(validator: Validator, path: str) -> tuple[str, set[str]] | None:
    """The part of `path` that no value of `validator` can have, and the names that it could have instead."""
    within: list[Validator] = [validator]
    for name in path.split("."):
        members = [leaf for candidate in within for leaf in _members(candidate)]
        if any(isinstance(member, AnyValue) for member in members):
            return None
        within = [member.fields[name] for member in members if isinstance(member, Object) and name in member.fields]
        within += [member.values for member in members if isinstance(member, Record)]
        if not within:
            return name, {field for member in members for field in _fields_of(member)}
    return None


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


def _suggestion(name: str, candidates: Iterable[str]) -> str | None:
    close = get_close_matches(name, list(candidates), n=1)
    return f"did you mean `{close[0]}`?" if close else None
