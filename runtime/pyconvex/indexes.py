"""What a schema declares about the indexes of a table, of all three kinds, and what can be wrong with it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Final, TypeAlias

from msgspec import Struct

from .errors import Place, Problem
from .values.names import is_identifier
from .values.validators import AnyValue, Array, Number, Object, Record, Union, Validator

INDEXES_MAX: Final = 64
SEARCH_INDEXES_MAX: Final = 4
VECTOR_INDEXES_MAX: Final = 4
INDEX_FIELDS_MAX: Final = 16
FILTER_FIELDS_MAX: Final = 16
DIMENSIONS_MIN: Final = 2
DIMENSIONS_MAX: Final = 4096

_RESERVED_NAMES = frozenset({"by_id", "by_creation_time"})
_PATH_HINT: Final = "names of fields, joined by dots: `address.city`"


class IndexDefinition(Struct, frozen=True):
    """An index as declared: `fields` are paths such as `address.city`, without the implicit `_creationTime`."""

    name: str
    fields: tuple[str, ...]
    staged: bool
    """Built in the background and not to be queried yet."""
    place: Place

    def json(self) -> dict[str, object]:
        return {"indexDescriptor": self.name, "fields": list(self.fields)}


class SearchIndexDefinition(Struct, frozen=True):
    """A full-text search index as declared; fields are paths."""

    name: str
    search_field: str
    filter_fields: tuple[str, ...]
    staged: bool
    """As of an ordinary index."""
    place: Place

    def json(self) -> dict[str, object]:
        return {
            "indexDescriptor": self.name,
            "searchField": self.search_field,
            "filterFields": list(self.filter_fields),
        }


class VectorIndexDefinition(Struct, frozen=True):
    """A vector index as declared; fields are paths."""

    name: str
    vector_field: str
    dimensions: int
    filter_fields: tuple[str, ...]
    staged: bool
    """As of an ordinary index."""
    place: Place

    def json(self) -> dict[str, object]:
        return {
            "indexDescriptor": self.name,
            "vectorField": self.vector_field,
            "dimensions": self.dimensions,
            "filterFields": list(self.filter_fields),
        }


AnyIndexDefinition: TypeAlias = IndexDefinition | SearchIndexDefinition | VectorIndexDefinition


def index_problems(table: str, validator: Validator, indexes: Sequence[AnyIndexDefinition]) -> Iterator[Problem]:
    """Every reason why a table with documents of `validator` cannot have these indexes."""
    yield from _number_problems(table, indexes)
    earlier: list[AnyIndexDefinition] = []
    for index in indexes:
        yield from _name_problems(table, index)
        match index:
            case IndexDefinition():
                yield from _fields_problems(table, validator, index)
            case SearchIndexDefinition():
                yield from _search_problems(table, validator, index)
            case VectorIndexDefinition():
                yield from _vector_problems(table, validator, index)
        yield from _twin_problems(table, index, earlier)
        earlier.append(index)


def members_of(validator: Validator) -> tuple[Validator, ...]:
    """What a value may be: the members of unions, however deep, or the validator itself."""
    if isinstance(validator, Union):
        return tuple(leaf for member in validator.members for leaf in members_of(member))
    return (validator,)


def fields_of(validator: Validator) -> set[str]:
    """The fields that a value may have, if it is an object."""
    return {name for member in members_of(validator) if isinstance(member, Object) for name in member.fields}


def suggestion(name: str, candidates: Iterable[str]) -> str | None:
    """A hint for a name that is not there, when there is one much like it."""
    close = get_close_matches(name, list(candidates), n=1)
    return f"did you mean `{close[0]}`?" if close else None


def _number_problems(table: str, indexes: Sequence[AnyIndexDefinition]) -> Iterator[Problem]:
    kinds: tuple[tuple[type[AnyIndexDefinition], int, str, str], ...] = (
        (IndexDefinition, INDEXES_MAX, "TooManyIndexes", "indexes"),
        (SearchIndexDefinition, SEARCH_INDEXES_MAX, "TooManySearchIndexes", "search indexes"),
        (VectorIndexDefinition, VECTOR_INDEXES_MAX, "TooManyVectorIndexes", "vector indexes"),
    )
    for kind, most, code, plural in kinds:
        surplus = [index for index in indexes if type(index) is kind][most:]
        if surplus:
            yield Problem(code, f'Table "{table}" cannot have more than {most} {plural}.', surplus[0].place)


def _name_problems(table: str, index: AnyIndexDefinition) -> Iterator[Problem]:
    if index.name in _RESERVED_NAMES or index.name.startswith("_"):
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


def _fields_problems(table: str, validator: Validator, index: IndexDefinition) -> Iterator[Problem]:
    where = _called(table, index)
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
        if field == "_id":
            yield Problem(
                "IndexFieldsContainId", f"{where} contains `_id`, which ends every index by itself.", index.place
            )
        elif field == "_creationTime":
            yield Problem(
                "IndexFieldsContainCreationTime",
                f"{where} contains `_creationTime`, which is added to every index automatically.",
                index.place,
                hint='take it out: ranges can still use it, `q.eq("a", 1).gte("_creationTime", t)`',
            )
        else:
            yield from _field_problems(where, field, validator, index.place)


def _search_problems(table: str, validator: Validator, index: SearchIndexDefinition) -> Iterator[Problem]:
    where = _called(table, index)
    yield from _field_problems(where, index.search_field, validator, index.place)
    yield from _filter_problems(where, "SearchIndexFieldNotUnique", validator, index)


def _vector_problems(table: str, validator: Validator, index: VectorIndexDefinition) -> Iterator[Problem]:
    where = _called(table, index)
    if not DIMENSIONS_MIN <= index.dimensions <= DIMENSIONS_MAX:
        yield Problem(
            "InvalidDimensions",
            f"{where} has {index.dimensions} dimensions; they are {DIMENSIONS_MIN} to {DIMENSIONS_MAX}.",
            index.place,
        )
    found = list(_field_problems(where, index.vector_field, validator, index.place))
    yield from found
    if not found and not _may_be_vector(validator, index.vector_field):
        yield Problem(
            "VectorFieldNotAnArray",
            f"{where} is invalid because its vector field {index.vector_field} is not an array of float64.",
            index.place,
            hint="declare it as `v.array(v.float64())`",
        )
    yield from _filter_problems(where, "VectorIndexFieldNotUnique", validator, index)


def _filter_problems(
    where: str, not_unique: str, validator: Validator, index: SearchIndexDefinition | VectorIndexDefinition
) -> Iterator[Problem]:
    if len(index.filter_fields) > FILTER_FIELDS_MAX:
        message = f"{where} has {len(index.filter_fields)} filter fields; {FILTER_FIELDS_MAX} is the most."
        yield Problem("TooManyFilterFields", message, index.place)
    for field, times in Counter(index.filter_fields).items():
        if times > 1:
            yield Problem(not_unique, f"{where} has the filter field `{field}` {times} times.", index.place)
        yield from _field_problems(where, field, validator, index.place)


def _field_problems(where: str, field: str, validator: Validator, place: Place) -> Iterator[Problem]:
    if field.startswith("_"):
        yield Problem("IndexFieldNameReserved", f"{where} contains the reserved field `{field}`.", place)
    elif not all(map(is_identifier, field.split("."))):
        yield Problem(
            "InvalidIndexField", f"{where} contains `{field}`, which is not the path of a field.", place, _PATH_HINT
        )
    elif missing := _missing_in(validator, field):
        name, siblings = missing
        yield Problem(
            "IndexFieldDoesNotExist",
            f"{where} is invalid because it references the field {field} that does not exist.",
            place,
            hint=suggestion(name, siblings),
        )


def _twin_problems(table: str, index: AnyIndexDefinition, earlier: Iterable[AnyIndexDefinition]) -> Iterator[Problem]:
    for other in earlier:
        if other.name == index.name:
            message = f'Table "{table}" has two indexes called "{index.name}".'
            yield Problem("IndexNamesNotUnique", message, index.place, also=(other.place,))
        elif _same_fields(index, other):
            message = f'In table "{table}" the indexes "{other.name}" and "{index.name}" have the same fields.'
            yield Problem("IndexNotUnique", message, index.place, also=(other.place,), hint="one of them is enough")


def _same_fields(index: AnyIndexDefinition, other: AnyIndexDefinition) -> bool:
    if not isinstance(index, IndexDefinition) or not isinstance(other, IndexDefinition):
        return False
    return bool(index.fields) and index.fields == other.fields


def _called(table: str, index: AnyIndexDefinition) -> str:
    return f'In table "{table}" the index "{index.name}"'


def _may_be_vector(validator: Validator, path: str) -> bool:
    for member in _at(validator, path):
        if isinstance(member, AnyValue):
            return True
        if isinstance(member, Array) and any(isinstance(e, Number | AnyValue) for e in members_of(member.element)):
            return True
    return False


def _missing_in(validator: Validator, path: str) -> tuple[str, set[str]] | None:
    """The part of `path` that no value of `validator` can have, and the names that it could have instead."""
    names = path.split(".")
    for depth, name in enumerate(names):
        if not _at(validator, ".".join(names[: depth + 1])):
            outer = _at(validator, ".".join(names[:depth])) if depth else members_of(validator)
            return name, {field for member in outer for field in fields_of(member)}
    return None


def _at(validator: Validator, path: str) -> tuple[Validator, ...]:
    """What the value at `path` may be; `v.any()` holds everything. Nothing when no value has the path."""
    members = members_of(validator)
    for name in path.split("."):
        within = [member for member in members if isinstance(member, AnyValue)]
        within += [member.fields[name] for member in members if isinstance(member, Object) and name in member.fields]
        within += [member.values for member in members if isinstance(member, Record)]
        members = tuple(leaf for candidate in within for leaf in members_of(candidate))
    return members
