"""What `schema.py` has to export."""

from dataclasses import dataclass

import pytest

from support.folder import FunctionsFolder, seen

IMPORTS = "from pyconvex.server import define_schema, define_table\nfrom pyconvex.values import v\n"
OTHERWISE = "end with `default = define_schema({...})`"


@dataclass(frozen=True)
class Row:
    text: str
    code: str
    message: str
    place: str
    hint: str | None


ROWS = {
    "a schema without default": Row(
        IMPORTS + "schema = define_schema({})\n",
        "SchemaWithoutDefault",
        "`convex/schema.py` makes a schema but does not export it",
        "convex/schema.py:3:1",
        "add `default = schema` as the last line",
    ),
    "no schema at all": Row(
        "x = 1\n",
        "SchemaWithoutDefault",
        "`convex/schema.py` has no `default`: it must export a schema",
        "convex/schema.py:1",
        OTHERWISE,
    ),
    "two schemas without default": Row(
        IMPORTS + "a = define_schema({})\nb = define_schema({})\n",
        "SchemaWithoutDefault",
        "`convex/schema.py` has 2 schemas, `a` and `b`, but no `default`",
        "convex/schema.py:3:1",
        "say which one is served: add `default = a`",
    ),
    "a dict": Row(
        IMPORTS + "default = {'messages': define_table({})}\n",
        "SchemaDefaultWrong",
        "the `default` of `convex/schema.py` is a dict, not a schema",
        "convex/schema.py:3:1",
        "wrap it: `default = define_schema({...})`",
    ),
    "a table": Row(
        IMPORTS + "default = define_table({})\n",
        "SchemaDefaultWrong",
        "the `default` of `convex/schema.py` is a single table, not a schema",
        "convex/schema.py:3:1",
        'name the table: `default = define_schema({"messages": define_table(...)})`',
    ),
    "define_schema, not called": Row(
        IMPORTS + "default = define_schema\n",
        "SchemaNotCalled",
        "`default` is the function `define_schema` itself, not a schema",
        "convex/schema.py:3:1",
        "call it: `schema = define_schema({...})`, then `default = schema`",
    ),
    "None": Row(
        "default = None\n",
        "SchemaDefaultWrong",
        "the `default` of `convex/schema.py` is None, not a schema",
        "convex/schema.py:1:1",
        OTHERWISE,
    ),
    "what is generated from it": Row(
        "from ._generated.data_model import Id\n" + IMPORTS + "default = define_schema({})\n",
        "CircularImport",
        "the types in `_generated/data_model.py` come from the schema, which is still being loaded",
        "convex/schema.py:1:1",
        "describe tables with validators only: `v.id(...)`, not `Id`",
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_bad_schema_module_is_one_problem_with_its_fix(folder: FunctionsFolder, row: Row) -> None:
    folder.write("schema.py", row.text)
    folder.write("messages.py", "from ._generated.data_model import Id\nx = Id.messages\n")  # not reported as well
    assert seen(folder.problem()) == (row.code, row.message, row.place, row.hint)


def test_problems_of_the_schema_have_relative_places(folder: FunctionsFolder) -> None:
    folder.write(
        "schema.py",
        IMPORTS
        + 'default = define_schema({\n    "messages": define_table({"channel": v.id("chanels")}),\n'
        + '    "channels": define_table({"name": v.string()}).index("by_title", ["title"]),\n})\n',
    )
    assert [str(problem.place) for problem in folder.problems()] == ["convex/schema.py:4", "convex/schema.py:5"]


def test_a_table_can_be_used_in_the_save_that_adds_it(folder: FunctionsFolder) -> None:
    folder.write("schema.py", IMPORTS + 'default = define_schema({"messages": define_table({"body": v.string()})})\n')
    messages = "from ._generated.data_model import Doc, Id\nfrom ._generated.server import query\n"
    folder.write("messages.py", messages)
    folder.load()
    folder.write("schema.py", IMPORTS + 'default = define_schema({"users": define_table({"name": v.string()})})\n')
    folder.write("messages.py", messages + "@query\nasync def f(ctx, user: Id.users) -> Doc.users: ...\n")
    function = folder.load().registry.functions["messages:f"]
    assert str(function.args) == 'v.object({user: v.id("users")})'
    assert str(function.returns) == 'v.object({_id: v.id("users"), _creationTime: v.float64(), name: v.string()})'
    folder.write("schema.py", IMPORTS + "default = define_schema({})\n")
    assert folder.problem().code == "UnknownTable"
