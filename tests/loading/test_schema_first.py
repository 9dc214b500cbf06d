"""`schema.py` comes first: a new table and the code that uses it are one save, and editors hear of it at once."""

import pytest

from pyconvex.errors import LoadFailed
from support.folder import FunctionsFolder

SCHEMA = """
    from pyconvex.server import define_schema, define_table
    from pyconvex.values import v

    default = define_schema({{{tables}}})
    """
USERS = '"users": define_table({"name": v.string()}),'
TEAMS = '"teams": define_table({"title": v.string(), "lead": v.optional(v.id("users"))}),'
FUNCTIONS = """
    from ._generated.data_model import Doc, Fields, Id, Patch
    from ._generated.server import MutationCtx, mutation

    @mutation
    async def update(ctx: MutationCtx, id: Id.teams, changes: Patch.teams) -> Doc.teams | None: ...

    @mutation
    async def create(ctx: MutationCtx, fields: Fields.teams) -> Id.teams: ...
    """


def test_a_new_table_and_its_use_are_one_save(folder: FunctionsFolder) -> None:
    folder.write("schema.py", SCHEMA.format(tables=USERS))
    assert "teams" not in folder.load().generated["server.pyi"]
    folder.write("schema.py", SCHEMA.format(tables=USERS + TEAMS))
    folder.write("about.py", FUNCTIONS)
    loaded = folder.load()
    update = loaded.registry.functions["about:update"]
    fields = 'v.object({title: v.optional(v.string()), lead: v.optional(v.id("users"))})'
    assert str(update.args) == f'v.object({{id: v.id("teams"), changes: {fields}}})'
    create = loaded.registry.functions["about:create"]
    assert str(create.args) == ('v.object({fields: v.object({title: v.string(), lead: v.optional(v.id("users"))})})')
    assert "class teams(TableId)" in loaded.generated["data_model.py"]
    assert 'def query(self, table: Literal["teams"], /)' in loaded.generated["server.pyi"]


def test_a_module_that_fails_does_not_hold_up_what_the_schema_says(folder: FunctionsFolder) -> None:
    folder.write("schema.py", SCHEMA.format(tables=USERS + TEAMS))
    folder.write("about.py", "import nowhere\n")
    with pytest.raises(LoadFailed) as failed:
        folder.load()
    assert sorted(failed.value.generated) == ["dataModel.d.ts", "data_model.py", "server.pyi"]
    assert "class teams(TableId)" in failed.value.generated["data_model.py"]


@pytest.mark.parametrize("tables", ["nonsense", '"teams": define_table({}).index("by_x", ["x"])'])
def test_a_schema_with_problems_generates_nothing(folder: FunctionsFolder, tables: str) -> None:
    folder.write("schema.py", SCHEMA.format(tables=tables))
    with pytest.raises(LoadFailed) as failed:
        folder.load()
    assert dict(failed.value.generated) == {}


def test_texts_are_made_again_only_for_another_schema(folder: FunctionsFolder) -> None:
    folder.write("schema.py", SCHEMA.format(tables=USERS))
    first = folder.load().generated
    folder.write("other.py", "x = 1\n")
    second = folder.load().generated
    assert second["server.pyi"] is first["server.pyi"]
    folder.write("schema.py", SCHEMA.format(tables=USERS.replace("})", '}).index("by_name", ["name"])')))
    assert "by_name" in folder.load().generated["server.pyi"]
