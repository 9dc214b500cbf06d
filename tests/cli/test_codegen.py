"""`_generated` on disk: what `pyconvex codegen` and `pyconvex dev` write, and what they leave alone."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from support.command import command
from support.dev import Ran, dev, wait_until

SCHEMA = """\
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({"users": define_table({"name": v.string()})})
"""
USERS = """\
from ._generated.data_model import Doc, Id
from ._generated.server import QueryCtx, query


@query
async def get(ctx: QueryCtx, id: Id.users) -> Doc.users | None:
    return await ctx.db.get(id)
"""
ALL = "api.d.ts, api.js, api.py, api.pyi, dataModel.d.ts, data_model.py, server.py and server.pyi"
BY_TABLES = "api.d.ts, api.pyi, dataModel.d.ts, data_model.py and server.pyi"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "app"
    (project / "convex").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "app"\n')
    (project / "convex/schema.py").write_text(SCHEMA)
    (project / "convex/users.py").write_text(USERS)
    return project


def add_teams(project: Path) -> None:
    (project / "convex/schema.py").write_text(SCHEMA.replace("schema({", 'schema({"teams": define_table({}), '))
    (project / "convex/teams.py").write_text(USERS.replace("users", "teams"))


def times(project: Path) -> Mapping[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (project / "convex/_generated").iterdir()}


def test_it_says_what_it_wrote_and_writes_only_what_changed(project: Path) -> None:
    assert command("codegen", folder=project) == Ran(0, "", f"✔ wrote convex/_generated/{ALL}\n")
    before = times(project)
    assert command("codegen", folder=project) == Ran(0, "", "✔ convex/_generated is up to date\n")
    assert times(project) == before
    add_teams(project)
    ran = command("codegen", folder=project)
    assert ran == Ran(0, "", f"✔ wrote convex/_generated/{BY_TABLES}\n")
    assert {name for name, time in times(project).items() if time != before[name]} == {
        "api.d.ts", "api.pyi", "dataModel.d.ts", "data_model.py", "server.pyi",
    }  # fmt: skip
    assert not (project / ".pyconvex").exists()


def test_check_names_what_is_stale_and_writes_nothing(project: Path) -> None:
    command("codegen", folder=project)
    add_teams(project)
    before = times(project)
    assert command("codegen", "--check", folder=project) == Ran(
        1,
        "",
        f"error: out of date: convex/_generated/{BY_TABLES}\nhint: run `pyconvex codegen`\n",
    )
    assert times(project) == before


def test_what_others_put_there_stays(project: Path) -> None:
    command("codegen", folder=project)
    folder = project / "convex/_generated"
    (folder / "ours.py").write_text("mine = 1\n")
    (folder / "server.js").write_text("export const theirs = 1;\n")
    (folder / "old.pyi").write_text((folder / "api.pyi").read_text())
    (folder / "old.d.ts").write_text((folder / "api.d.ts").read_text())
    assert command("codegen", folder=project).stderr == "✔ removed convex/_generated/old.d.ts and old.pyi\n"
    assert {"ours.py", "server.js"} < set(times(project))
    assert {"old.pyi", "old.d.ts"}.isdisjoint(times(project))


def test_a_folder_that_cannot_be_written_is_named(project: Path) -> None:
    (project / "convex/_generated").write_text("in the way")
    ran = command("codegen", folder=project)
    assert ran.exit_code == 3
    assert "error: cannot write " in ran.stderr


def test_a_failing_module_does_not_hold_up_the_types_of_the_tables(project: Path) -> None:
    (project / "convex/users.py").write_text("import nowhere\n")
    ran = command("codegen", folder=project)
    assert ran.exit_code == 1
    assert ran.stderr.startswith(
        "✔ wrote convex/_generated/dataModel.d.ts, data_model.py and server.pyi, from the schema alone\n"
    )
    assert "convex/users.py:1" in ran.stderr


def test_dev_keeps_up_with_the_schema(project: Path) -> None:
    model = project / "convex/_generated/data_model.py"
    with dev(project) as running:
        wait_until(model.exists, "the first version is written")
        add_teams(project)
        wait_until(lambda: "teams:get" in running.said, "the table and its use arrive together")
        assert "error" not in running.said
        wait_until(lambda: "class teams(TableId)" in model.read_text(), "it is written")
        declared = [model.with_name(name) for name in ("api.d.ts", "dataModel.d.ts")]
        wait_until(lambda: all("  teams: {" in path.read_text() for path in declared), "for TypeScript too")
        (project / "convex/users.py").write_text("import nowhere\n")
        (project / "convex/schema.py").write_text(
            SCHEMA.replace("schema({", 'schema({"teams": define_table({"n": v.null()}), ')
        )
        wait_until(lambda: "error[" in running.said, "the save fails")
        wait_until(lambda: "n: None" in model.read_text(), "what the schema says is written all the same")
        assert "class users(TypedDict)" in model.read_text()
