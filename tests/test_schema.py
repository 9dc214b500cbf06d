"""schema.py: what is declared, its JSON, and every problem with the line that made it."""

from collections.abc import Callable
from inspect import currentframe
from pathlib import Path

import pytest

from pyconvex.errors import Place, Problem
from pyconvex.schema import EMPTY_SCHEMA, Schema, TableDefinition, define_schema, define_table
from pyconvex.values import v

IDENTIFIERS_ONLY = "use letters, digits and underscores, at most 64, not starting with a digit"


def next_line() -> Place:
    frame = currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return Place(__file__, frame.f_back.f_lineno + 1)


def messages() -> TableDefinition:
    return define_table(
        {
            "author": v.id("users"),
            "body": v.string(),
            "address": v.object({"city": v.string(), "geo": v.optional(v.any())}),
            "tags": v.record(v.string(), v.object({"weight": v.number()})),
            "list": v.array(v.object({"x": v.string()})),
        }
    )


def problems(table: TableDefinition, name: str = "messages") -> list[Problem]:
    return define_schema({name: table, "users": define_table({})}).problems()


def test_a_schema_as_json() -> None:
    schema = define_schema(
        {
            "messages": define_table({"author": v.string(), "channel": v.optional(v.id("channels"))})
            .index("by_author", ["author"])
            .index("by_channel", ["channel", "author"], staged=True),
            "channels": define_table(v.any()),
        }
    )
    lists: dict[str, object] = {
        key: [] for key in ("searchIndexes", "stagedSearchIndexes", "vectorIndexes", "stagedVectorIndexes")
    }
    assert schema.problems() == []
    assert schema.json() == {
        "tables": [
            {
                "tableName": "messages",
                "indexes": [{"indexDescriptor": "by_author", "fields": ["author"]}],
                "stagedDbIndexes": [{"indexDescriptor": "by_channel", "fields": ["channel", "author"]}],
                **lists,
                "documentType": {
                    "type": "object",
                    "value": {
                        "author": {"fieldType": {"type": "string"}, "optional": False},
                        "channel": {"fieldType": {"type": "id", "tableName": "channels"}, "optional": True},
                    },
                },
            },
            {
                "tableName": "channels",
                "indexes": [],
                "stagedDbIndexes": [],
                **lists,
                "documentType": {"type": "any"},
            },
        ],
        "schemaValidation": True,
    }


def test_options() -> None:
    schema = define_schema({}, schema_validation=False, strict_table_name_types=False)
    assert schema.json() == {"tables": [], "schemaValidation": False}
    assert not schema.strict_table_name_types
    assert EMPTY_SCHEMA.problems() == []
    assert EMPTY_SCHEMA.schema_validation


def test_everything_knows_its_place() -> None:
    table_line = next_line()
    table = define_table({"a": v.string()}).index("by_a", ["a"])
    schema_line = next_line()
    schema = define_schema({"t": table})
    assert (table.place, table.indexes[0].place, schema.place) == (table_line, table_line, schema_line)


def test_chained_indexes_have_a_line_each() -> None:
    start = next_line().line
    table = (
        define_table({"a": v.string()})
        .index("by_a", ["a"])
        .index("by_a_again", ["a"])
    )  # fmt: skip
    assert [index.place.line - start for index in table.indexes] == [2, 3]


def test_index_changes_its_table() -> None:
    table = define_table({"a": v.string()})
    assert table.index("by_a", ["a"]) is table
    assert [(index.name, index.fields, index.staged) for index in table.indexes] == [("by_a", ("a",), False)]


def test_system_fields_are_taken_and_left_out() -> None:
    fields = {"_id": v.id("t"), "_creationTime": v.number(), "a": v.string()}
    expected = v.object({"a": v.string()})
    assert define_table(fields).validator == expected
    assert define_table(v.object(fields)).validator == expected
    union = define_table(v.union(v.object(fields), v.object({"b": v.null()})))
    assert union.validator == v.union(expected, v.object({"b": v.null()}))


def test_the_validator_of_a_whole_document() -> None:
    system = {"_id": v.id("t"), "_creationTime": v.number()}
    assert define_table({"a": v.string()}).document("t") == v.object({"a": v.string(), **system})
    assert define_table(v.any()).document("t") == v.any()
    assert define_table(v.union(v.object({}))).document("t") == v.union(v.object(system))


@pytest.mark.parametrize(
    "fields",
    [
        ["author"],
        ["author", "body"],
        ["address"],
        ["address.city"],
        ["address.geo.lat.x"],
        ["tags.red.weight"],
        ["list"],
    ],
)
def test_fields_that_can_be_indexed(fields: list[str]) -> None:
    assert problems(messages().index("by_x", fields)) == []


def test_unions_and_any_can_be_indexed_by_what_one_member_has() -> None:
    union = v.union(v.object({"a": v.string()}), v.union(v.object({"b": v.union(v.null(), v.object({"c": v.null()}))})))
    assert problems(define_table(union).index("x", ["a", "b.c"])) == []
    assert problems(define_table(v.any()).index("x", ["whatever.there.is"])) == []
    assert [problem.code for problem in problems(define_table(union).index("x", ["c"]))] == ["IndexFieldDoesNotExist"]


@pytest.mark.parametrize(
    ("name", "fields", "code", "message", "hint"),
    [
        (
            "by_x",
            [],
            "EmptyIndex",
            'In table "messages" the index "by_x" has no fields.',
            "every table has `by_creation_time` without it",
        ),
        (
            "by_x",
            ["body", "author", "body"],
            "FieldsNotUniqueWithinIndex",
            'In table "messages" the index "by_x" has the field `body` 2 times.',
            None,
        ),
        (
            "by_x",
            ["_id"],
            "IndexFieldsContainId",
            'In table "messages" the index "by_x" contains `_id`, which ends every index by itself.',
            None,
        ),
        (
            "by_x",
            ["body", "_creationTime"],
            "IndexFieldsContainCreationTime",
            (
                'In table "messages" the index "by_x" contains `_creationTime`, which is added to every index '
                "automatically."
            ),
            'take it out: ranges can still use it, `q.eq("a", 1).gte("_creationTime", t)`',
        ),
        (
            "by_x",
            ["_secret"],
            "IndexFieldNameReserved",
            'In table "messages" the index "by_x" contains the reserved field `_secret`.',
            None,
        ),
        (
            "by_id",
            ["body"],
            "IndexNameReserved",
            'In table "messages" the index name "by_id" is reserved.',
            "every table has `by_id` and `by_creation_time`; names do not start with an underscore",
        ),
        (
            "by_creation_time",
            ["body"],
            "IndexNameReserved",
            'In table "messages" the index name "by_creation_time" is reserved.',
            "every table has `by_id` and `by_creation_time`; names do not start with an underscore",
        ),
        (
            "_mine",
            ["body"],
            "IndexNameReserved",
            'In table "messages" the index name "_mine" is reserved.',
            "every table has `by_id` and `by_creation_time`; names do not start with an underscore",
        ),
        (
            "by-x",
            ["body"],
            "InvalidIndexName",
            'In table "messages" the index name "by-x" is not an identifier.',
            IDENTIFIERS_ONLY,
        ),
        (
            "x" * 65,
            ["body"],
            "InvalidIndexName",
            f'In table "messages" the index name "{"x" * 65}" is not an identifier.',
            IDENTIFIERS_ONLY,
        ),
        (
            "by_x",
            ["address..city"],
            "InvalidIndexField",
            'In table "messages" the index "by_x" contains `address..city`, which is not the path of a field.',
            "names of fields, joined by dots: `address.city`",
        ),
        (
            "by_x",
            ["autor"],
            "IndexFieldDoesNotExist",
            (
                'In table "messages" the index "by_x" is invalid because it references the field autor '
                "that does not exist."
            ),
            "did you mean `author`?",
        ),
        (
            "by_x",
            ["address.town"],
            "IndexFieldDoesNotExist",
            (
                'In table "messages" the index "by_x" is invalid because it references the field address.town '
                "that does not exist."
            ),
            None,
        ),
        (
            "by_x",
            ["address.citty"],
            "IndexFieldDoesNotExist",
            (
                'In table "messages" the index "by_x" is invalid because it references the field address.citty '
                "that does not exist."
            ),
            "did you mean `city`?",
        ),
        (
            "by_x",
            ["list.x"],
            "IndexFieldDoesNotExist",
            (
                'In table "messages" the index "by_x" is invalid because it references the field list.x '
                "that does not exist."
            ),
            None,
        ),
        (
            "by_x",
            [f"address.geo.f{number}" for number in range(17)],
            "TooManyIndexFields",
            'In table "messages" the index "by_x" has 17 fields; 16 is the most.',
            None,
        ),
    ],
)
def test_a_problem_of_an_index(name: str, fields: list[str], code: str, message: str, hint: str | None) -> None:
    table = messages()
    place = next_line()
    table.index(name, fields)
    assert problems(table) == [Problem(code, message, place, hint=hint)]


def test_two_indexes_of_one_name_or_of_the_same_fields() -> None:
    table = messages().index("one", ["body"])
    table.index("one", ["author"])
    table.index("two", ["body"])
    first, second, third = (index.place for index in table.indexes)
    assert problems(table) == [
        Problem("IndexNamesNotUnique", 'Table "messages" has two indexes called "one".', second, also=(first,)),
        Problem(
            "IndexNotUnique",
            'In table "messages" the indexes "one" and "two" have the same fields.',
            third,
            hint="one of them is enough",
            also=(first,),
        ),
    ]


def test_too_many_indexes() -> None:
    table = messages()
    for number in range(65):
        table.index(f"by_{number}", [f"address.geo.f{number}"])
    expected = 'Table "messages" cannot have more than 64 indexes.'
    assert problems(table) == [Problem("TooManyIndexes", expected, table.indexes[64].place)]


def test_too_many_tables() -> None:
    schema = define_schema({f"t{number}": define_table({}) for number in range(10_001)})
    expected = Problem("TooManyTables", "a schema cannot have more than 10000 tables", schema.place)
    assert schema.problems() == [expected]


@pytest.mark.parametrize(
    ("name", "code", "message", "hint"),
    [
        ("_mine", "TableNameReserved", 'Table name "_mine" is reserved: it starts with an underscore.', None),
        ("my-table", "InvalidTableName", 'Table name "my-table" is not an identifier.', IDENTIFIERS_ONLY),
        ("", "InvalidTableName", 'Table name "" is not an identifier.', IDENTIFIERS_ONLY),
        ("t" * 65, "InvalidTableName", f'Table name "{"t" * 65}" is not an identifier.', IDENTIFIERS_ONLY),
    ],
)
def test_a_problem_of_a_table_name(name: str, code: str, message: str, hint: str | None) -> None:
    table = define_table({})
    assert problems(table, name) == [Problem(code, message, table.place, hint=hint)]


@pytest.mark.parametrize("name", ["t" * 64, "class", "a0", "A_b"])
def test_good_table_names(name: str) -> None:
    assert problems(define_table({}), name) == []


@pytest.mark.parametrize(
    "validator", [v.string(), v.union(v.object({}), v.null()), v.record(v.string(), v.any()), v.array(v.any())]
)
def test_documents_are_objects(validator: object) -> None:
    table = define_table(validator)  # type: ignore[arg-type]  # the types allow every validator
    expected = (
        f'The validator of table "messages" must be an object, a union of objects, or `v.any()`, not `{validator}`.'
    )
    assert problems(table) == [Problem("InvalidTopLevelTypeInSchemaError", expected, table.place)]


def test_field_names_of_documents() -> None:
    table = define_table(
        v.union(v.object({"_x": v.any(), "a b": v.any()}), v.object({"ok": v.object({"a b": v.any()})}))
    )
    assert [(problem.code, problem.message) for problem in problems(table)] == [
        (
            "InvalidFieldName",
            (
                "In table \"messages\": Field '_x' starts with an underscore, which is only allowed for system fields "
                "like '_id'."
            ),
        ),
        (
            "InvalidFieldName",
            (
                "In table \"messages\": Field name 'a b' is not an identifier: letters, digits and underscores, "
                "not starting with a digit, at most 64 characters."
            ),
        ),
    ]


def test_ids_of_tables_that_are_not_declared() -> None:
    table = define_table(
        {
            "owner": v.id("usres"),
            "file": v.id("_storage"),
            "job": v.id("_scheduled_functions"),
            "deep": v.array(v.object({"r": v.record(v.id("x"), v.union(v.null(), v.id("users"), v.id("y")))})),
        }
    )
    start = 'In table "messages" the field'
    end = "is an id of a table that is not declared:"
    assert problems(table) == [
        Problem("UnknownTable", f'{start} `owner` {end} `v.id("usres")`.', table.place, hint="did you mean `users`?"),
        Problem(
            "UnknownTable",
            f'{start} `deep[].r.keys()` {end} `v.id("x")`.',
            table.place,
            hint='declare "x" in define_schema()',
        ),
        Problem(
            "UnknownTable",
            f'{start} `deep[].r.values()` {end} `v.id("y")`.',
            table.place,
            hint='declare "y" in define_schema()',
        ),
    ]


def test_all_problems_are_found_at_once() -> None:
    schema = define_schema(
        {
            "_a": define_table({"x": v.id("nowhere")}).index("by_id", ["y"]),
            "b": define_table(v.string()).index("bad name", []),
        }
    )
    assert [problem.code for problem in schema.problems()] == [
        "TableNameReserved",
        "UnknownTable",
        "IndexNameReserved",
        "IndexFieldDoesNotExist",
        "InvalidTopLevelTypeInSchemaError",
        "InvalidIndexName",
        "EmptyIndex",
    ]
    assert all(
        problem.place is not None and Path(problem.place.file).name == "test_schema.py" for problem in schema.problems()
    )


def untyped(make: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: make(*arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (untyped(define_table, "x"), "define_table() takes a mapping of fields or a validator, not 'x'"),
        (untyped(define_table, {"a": "x"}), "v.object() entries must be validators: field `a`, not 'x'"),
        (untyped(define_table, v.optional(v.object({}))), "define_table() cannot take an optional validator"),
        (untyped(messages().index, 5, ["a"]), "the name of an index is a string, not 5"),
        (untyped(messages().index, "by_a", "a"), "the fields of an index are a list of names: write ['a']"),
        (untyped(messages().index, "by_a", [1]), "the fields of an index are a list of names, not [1]"),
        (untyped(messages().index, "by_a", None), "the fields of an index are a list of names, not None"),
        (untyped(define_schema, []), "define_schema() takes a mapping from table names to tables, not []"),
        (
            untyped(define_schema, {"a": v.any()}),
            "define_schema() takes tables made by define_table(), not 'a': v.any()",
        ),
    ],
)
def test_wrong_arguments_raise_at_once(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value) == message


def test_a_schema_does_not_change_with_the_dict_it_was_made_from() -> None:
    tables = {"a": define_table({})}
    schema = define_schema(tables)
    tables["b"] = define_table({})
    assert list(schema.tables) == ["a"]
    assert isinstance(schema, Schema)
