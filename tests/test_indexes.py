"""Search and vector indexes in schema.py: what is declared, its JSON, and every problem with its line."""

from collections.abc import Callable
from typing import Any

import pytest

from pyconvex.errors import Problem
from pyconvex.indexes import SearchIndexDefinition, VectorIndexDefinition
from pyconvex.schema import TableDefinition, define_schema, define_table
from pyconvex.values import v

MESSAGES = 'In table "messages" the index "i"'


def messages() -> TableDefinition:
    return define_table(
        {
            "body": v.string(),
            "author": v.optional(v.string()),
            "meta": v.object({"title": v.string(), "extra": v.any()}),
            "vector": v.array(v.float64()),
            "maybe": v.optional(v.union(v.null(), v.array(v.union(v.number(), v.string())))),
            "anything": v.array(v.any()),
            "names": v.array(v.string()),
        }
    )


def problems(table: TableDefinition) -> list[Problem]:
    return define_schema({"messages": table}).problems()


def search(table: TableDefinition, field: str = "body", **more: Any) -> TableDefinition:
    return table.search_index("i", search_field=field, **more)


def vector(table: TableDefinition, field: str = "vector", **more: Any) -> TableDefinition:
    more.setdefault("dimensions", 3)
    return table.vector_index("i", vector_field=field, **more)


def test_the_json_of_a_table() -> None:
    table = (
        messages()
        .index("by_author", ["author"])
        .search_index("bodies", search_field="body", filter_fields=["author", "meta.title"])
        .search_index("titles", search_field="meta.title", staged=True)
        .vector_index("near", vector_field="vector", dimensions=1536)
        .vector_index("later", vector_field="maybe", dimensions=2, filter_fields=["author"], staged=True)
    )
    described = table.json("messages")
    assert problems(table) == []
    assert described["indexes"] == [{"indexDescriptor": "by_author", "fields": ["author"]}]
    assert described["searchIndexes"] == [
        {"indexDescriptor": "bodies", "searchField": "body", "filterFields": ["author", "meta.title"]}
    ]
    assert described["stagedSearchIndexes"] == [
        {"indexDescriptor": "titles", "searchField": "meta.title", "filterFields": []}
    ]
    assert described["vectorIndexes"] == [
        {"indexDescriptor": "near", "vectorField": "vector", "dimensions": 1536, "filterFields": []}
    ]
    assert described["stagedVectorIndexes"] == [
        {"indexDescriptor": "later", "vectorField": "maybe", "dimensions": 2, "filterFields": ["author"]}
    ]
    assert [index.name for index in table.declared] == ["by_author", "bodies", "titles", "near", "later"]
    assert isinstance(table.search_indexes[0], SearchIndexDefinition)
    assert isinstance(table.vector_indexes[0], VectorIndexDefinition)


@pytest.mark.parametrize("field", ["vector", "maybe", "anything", "meta.extra", "meta.extra.deep"])
def test_fields_that_may_hold_vectors(field: str) -> None:
    assert problems(vector(messages(), field)) == []


@pytest.mark.parametrize("dimensions", [2, 4096])
def test_dimensions(dimensions: int) -> None:
    assert problems(vector(messages(), dimensions=dimensions)) == []


PROBLEMS: list[tuple[Callable[[TableDefinition], TableDefinition], str, str]] = [
    (
        lambda table: search(table, "boddy"),
        "IndexFieldDoesNotExist",
        f"{MESSAGES} is invalid because it references the field boddy that does not exist.",
    ),
    (
        lambda table: search(table, filter_fields=["meta.titel"]),
        "IndexFieldDoesNotExist",
        f"{MESSAGES} is invalid because it references the field meta.titel that does not exist.",
    ),
    (
        lambda table: search(table, "_id"),
        "IndexFieldNameReserved",
        f"{MESSAGES} contains the reserved field `_id`.",
    ),
    (
        lambda table: search(table, filter_fields=["_creationTime"]),
        "IndexFieldNameReserved",
        f"{MESSAGES} contains the reserved field `_creationTime`.",
    ),
    (
        lambda table: search(table, "meta..title"),
        "InvalidIndexField",
        f"{MESSAGES} contains `meta..title`, which is not the path of a field.",
    ),
    (
        lambda table: search(table, filter_fields=["author", "body", "author"]),
        "SearchIndexFieldNotUnique",
        f"{MESSAGES} has the filter field `author` 2 times.",
    ),
    (
        lambda table: vector(table, filter_fields=["author", "author"]),
        "VectorIndexFieldNotUnique",
        f"{MESSAGES} has the filter field `author` 2 times.",
    ),
    (
        lambda table: search(table, filter_fields=[f"meta.extra.f{number}" for number in range(17)]),
        "TooManyFilterFields",
        f"{MESSAGES} has 17 filter fields; 16 is the most.",
    ),
    (
        lambda table: vector(table, "body"),
        "VectorFieldNotAnArray",
        f"{MESSAGES} is invalid because its vector field body is not an array of float64.",
    ),
    (
        lambda table: vector(table, "names"),
        "VectorFieldNotAnArray",
        f"{MESSAGES} is invalid because its vector field names is not an array of float64.",
    ),
    (
        lambda table: vector(table, "vectors"),
        "IndexFieldDoesNotExist",
        f"{MESSAGES} is invalid because it references the field vectors that does not exist.",
    ),
    (
        lambda table: vector(table, dimensions=1),
        "InvalidDimensions",
        f"{MESSAGES} has 1 dimensions; they are 2 to 4096.",
    ),
    (
        lambda table: vector(table, dimensions=4097),
        "InvalidDimensions",
        f"{MESSAGES} has 4097 dimensions; they are 2 to 4096.",
    ),
    (
        lambda table: table.search_index("by_id", search_field="body"),
        "IndexNameReserved",
        'In table "messages" the index name "by_id" is reserved.',
    ),
    (
        lambda table: table.vector_index("no name", vector_field="vector", dimensions=3),
        "InvalidIndexName",
        'In table "messages" the index name "no name" is not an identifier.',
    ),
]


@pytest.mark.parametrize(("declare", "code", "message"), PROBLEMS)
def test_a_problem(declare: Callable[[TableDefinition], TableDefinition], code: str, message: str) -> None:
    table = declare(messages())
    (problem,) = problems(table)
    assert (problem.code, problem.message, problem.place) == (code, message, table.declared[0].place)


def test_names_are_unique_over_all_kinds() -> None:
    table = vector(search(messages().index("i", ["author"])))
    assert [(problem.code, problem.place) for problem in problems(table)] == [
        ("IndexNamesNotUnique", table.declared[1].place),
        ("IndexNamesNotUnique", table.declared[2].place),
        ("IndexNamesNotUnique", table.declared[2].place),
    ]


def test_several_search_indexes_may_have_the_same_field() -> None:
    table = messages().search_index("one", search_field="body").search_index("two", search_field="body")
    assert problems(table) == []


def test_too_many() -> None:
    table = messages()
    for number in range(5):
        table.search_index(f"s{number}", search_field="body")
        table.vector_index(f"v{number}", vector_field="vector", dimensions=3)
    assert problems(table) == [
        Problem(
            "TooManySearchIndexes",
            'Table "messages" cannot have more than 4 search indexes.',
            table.search_indexes[4].place,
        ),
        Problem(
            "TooManyVectorIndexes",
            'Table "messages" cannot have more than 4 vector indexes.',
            table.vector_indexes[4].place,
        ),
    ]


def untyped(**arguments: object) -> Callable[[], object]:
    make: Any = messages().vector_index if "vector_field" in arguments else messages().search_index
    return lambda: make(arguments.pop("name", "i"), **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (untyped(name=5, search_field="body"), "the name of an index is a string, not 5"),
        (untyped(search_field=["body"]), "the search field of an index is a string, not ['body']"),
        (
            untyped(search_field="body", filter_fields="author"),
            "the filter fields of an index are a list of names: write ['author']",
        ),
        (
            untyped(search_field="body", filter_fields=[1]),
            "the filter fields of an index are a list of names, not [1]",
        ),
        (untyped(vector_field=5, dimensions=3), "the vector field of an index is a string, not 5"),
        (
            untyped(vector_field="vector", dimensions="3"),
            "the dimensions of an index are a whole number, not '3'",
        ),
        (untyped(vector_field="vector", dimensions=True), "the dimensions of an index are a whole number, not True"),
    ],
)
def test_arguments_of_the_wrong_type(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError) as refused:
        make()
    assert str(refused.value) == message
