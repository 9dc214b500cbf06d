"""Schemas made from JSON: the inverse of `Schema.json`."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.schema import EMPTY_SCHEMA, Schema, TableDefinition, define_schema, define_table
from pyconvex.schema_json import schema_of
from pyconvex.values import v

FIELDS = {
    "text": v.string(),
    "author": v.optional(v.id("users")),
    "vector": v.array(v.float64()),
    "address": v.object({"city": v.string()}),
}
field_lists = st.lists(st.sampled_from(["text", "author", "address.city"]), min_size=1, max_size=3, unique=True)
validators = st.sampled_from(
    [v.object(FIELDS), v.any(), v.union(v.object(FIELDS), v.object({"kind": v.literal("x")})), v.object({})]
)


@st.composite
def tables(draw: st.DrawFn) -> TableDefinition:
    table = define_table(draw(validators))
    for number in range(draw(st.integers(0, 4))):
        name, staged = f"index_{number}", draw(st.booleans())
        match draw(st.sampled_from(["database", "search", "vector"])):
            case "database":
                table.index(name, draw(field_lists), staged=staged)
            case "search":
                table.search_index(name, search_field="text", filter_fields=draw(field_lists), staged=staged)
            case _:
                filters, size = draw(field_lists), draw(st.integers(2, 4096))
                table.vector_index(name, vector_field="vector", dimensions=size, filter_fields=filters, staged=staged)
    return table


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    named = draw(st.dictionaries(st.sampled_from(["users", "posts", "files"]), tables(), max_size=3))
    return define_schema(named, schema_validation=draw(st.booleans()))


@given(schemas())
def test_from_json_comes_the_same_schema(schema: Schema) -> None:
    text = json.dumps(schema.json())
    again = schema_of(json.loads(text))
    assert json.dumps(again.json()) == text
    assert again.schema_validation == schema.schema_validation
    assert list(again.tables) == list(schema.tables)
    for name, table in again.tables.items():
        assert table.validator == schema.tables[name].validator
        assert str(table.validator) == str(schema.tables[name].validator)
        assert [(index.name, index.staged) for index in table.indexes] == sorted(
            ((index.name, index.staged) for index in schema.tables[name].indexes), key=lambda each: each[1]
        )


def test_the_empty_schema() -> None:
    assert schema_of(EMPTY_SCHEMA.json()).json() == EMPTY_SCHEMA.json()
