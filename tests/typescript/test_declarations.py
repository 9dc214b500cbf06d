"""`api.js`, `api.d.ts` and `dataModel.d.ts` of a project: their text, and what the TypeScript compiler says of them.

`example/src/right.tsx` is what a front end writes, `wrong.ts` what has to be refused. Both are compiled as strictly as
TypeScript can, against the packages as they are published.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyconvex.loading.loader import Loader
from pyconvex_cli.generated import write_generated
from support.npm import install, node, node_environment

HERE = Path(__file__).parent
EXAMPLE = HERE / "example"
FILES = ("api.d.ts", "api.js", "dataModel.d.ts")
COMPILERS = ("typescript", "typescript-5")
CLIENTS = ("convex", "convex-oldest")

pytestmark = pytest.mark.xdist_group("typescript")


@pytest.fixture(scope="session")
def packages() -> Path:
    install(HERE, optional=True)
    return HERE / "node_modules"


@pytest.fixture
def generated() -> Iterator[dict[str, str]]:
    loaded = Loader(EXAMPLE / "convex").load()
    try:
        yield dict(loaded.generated)
    finally:
        loaded.retire()


@pytest.mark.parametrize("name", FILES)
def test_the_text(generated: dict[str, str], name: str) -> None:
    assert generated[name] == (EXAMPLE / "convex/_generated" / name).read_text("utf-8")


def test_nothing_but_the_official_package_is_imported(generated: dict[str, str]) -> None:
    lines = [line for name in FILES for line in generated[name].splitlines() if line.startswith("import ")]
    assert {line.rpartition(" from ")[2] for line in lines} == {
        '"convex/server";',
        '"convex/values";',
        '"./dataModel.js";',
    }


@pytest.mark.parametrize(("compiler", "client"), list(zip(COMPILERS, CLIENTS, strict=True)))
def test_what_is_right_compiles_and_what_is_wrong_does_not(
    packages: Path, tmp_path: Path, compiler: str, client: str
) -> None:
    project = copied(packages, tmp_path, client)
    assert complaints(packages, project, compiler) == []


@pytest.mark.parametrize(
    ("module", "before", "after", "complaint"),
    [
        ("user_data.py", "id: Id.users)", "id: Id.users, more: str)", "Property 'more' is missing in type"),
        ("user_data.py", "async def get_one", "async def get_first", "Property 'getOne' does not exist"),
        ("user_data.py", "-> Doc.users | None", "-> str", "Property 'balance' does not exist on type 'string'"),
        (
            "user_data.py",
            "@mutation\nasync def pay",
            "@query\nasync def pay",
            """Type '"query"' is not assignable to type '"mutation"'""",
        ),
        ("schema.py", '"address": v.object', '"home": v.object', "Property 'address' does not exist"),
    ],
)
def test_a_change_in_python_is_an_error_where_it_is_used(
    packages: Path, tmp_path: Path, module: str, before: str, after: str, complaint: str
) -> None:
    project = copied(packages, tmp_path, "convex")
    change(project / "convex" / module, before, after)
    if module == "schema.py":  # the staged index goes with its field
        change(project / "convex" / module, "address.city", "home.city")
    generate(project)
    said = "\n".join(complaints(packages, project, "typescript"))
    assert said.startswith("src/right.tsx")
    assert complaint in said


def test_without_a_schema_every_table_goes(packages: Path, tmp_path: Path) -> None:
    project = copied(packages, tmp_path, "convex")
    shutil.rmtree(project / "convex")
    (project / "convex").mkdir()
    (project / "convex/things.py").write_text(
        "from pyconvex.server import query\nfrom pyconvex.values import v\n\n\n"
        '@query(args={"id": v.id("things")}, returns=v.id("others"))\nasync def get(ctx, id):\n    return id\n'
    )
    (project / "src/wrong.ts").unlink()
    (project / "src/right.tsx").write_text(
        'import { useQuery } from "convex/react";\n'
        'import { api, internal } from "../convex/_generated/api";\n'
        'import type { Doc, Id, TableNames } from "../convex/_generated/dataModel";\n\n'
        'export const other: Id<"others"> | undefined = useQuery(api.things.get, { id: "1" as Id<"things"> });\n'
        "export const document: Doc = { whatever: 1 };\n"
        'export const title: Doc<"things"> = { whatever: 1 }, table: TableNames = "things";\n'
        "export const none: Record<string, never> = internal;\n"
        "// @ts-expect-error -- ids of two tables\n"
        'export const wrong: Id<"things"> | undefined = other;\n'
    )
    generate(project)
    assert complaints(packages, project, "typescript") == []


def copied(packages: Path, folder: Path, client: str) -> Path:
    """The example in `folder`, beside the packages, with one version of the client."""
    project = folder / "project"
    shutil.copytree(EXAMPLE, project)
    (project / "node_modules").mkdir()
    for name in ("@types", "react", "react-dom"):
        (project / "node_modules" / name).symlink_to(packages / name)
    (project / "node_modules/convex").symlink_to(packages / client)
    return project


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text("utf-8")
    assert before in text
    file.write_text(text.replace(before, after), "utf-8")


def generate(project: Path) -> None:
    loaded = Loader(project / "convex").load()
    loaded.retire()
    write_generated(project / "convex", loaded.generated)


def complaints(packages: Path, project: Path, compiler: str) -> list[str]:
    """What the TypeScript compiler says."""
    done = subprocess.run(
        [node(), packages / compiler / "bin/tsc", "--project", project],
        cwd=project, env=node_environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line]
    assert (done.returncode == 0) == (not said), done.stderr
    return said
