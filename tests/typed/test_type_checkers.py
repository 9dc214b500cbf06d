"""What a strict type checker says about users' projects: nothing where they are right, and everything that is wrong.

All projects are checked in one run. In a file `wrong.py` each line says by which rules it is refused; everywhere else
`reveal_type(...)` says which type has to be found.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pyconvex.loading.loader import Loader
from pyconvex_cli.generated import write_generated
from pyconvex_templates import templates

HERE = Path(__file__).parent
RUNTIME = HERE.parents[1] / "runtime"
PROJECTS = sorted(path.parent.name for path in HERE.glob("*/convex"))
TEMPLATES = sorted(templates())

pytestmark = pytest.mark.xdist_group("pyright")


class Finding(NamedTuple):
    file: str
    line: int
    rule: str
    message: str


class Checked(NamedTuple):
    root: Path
    findings: list[Finding]

    def of(self, project: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.file.startswith(f"{project}/")]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    root = tmp_path_factory.mktemp("typed")
    for name in PROJECTS:
        shutil.copytree(HERE / name / "convex", root / name / "convex")
        generate(root / name / "convex")
    for name in TEMPLATES:
        for file, text in templates()[name].files_for("app").items():
            path = root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    projects = json.dumps([*PROJECTS, *TEMPLATES])
    config = f'typeCheckingMode = "strict"\ninclude = {projects}\nextraPaths = ["{RUNTIME}"]\n'
    (root / "pyproject.toml").write_text(f"[tool.pyright]\n{config}")
    return Checked(root, list(pyright(root)))


def generate(functions: Path) -> None:
    """The stub of a strict schema is checked strictly too, which it spares users for the sake of speed."""
    loaded = Loader(functions).load()
    try:
        stub = loaded.generated["server.pyi"]
        if loaded.registry.schema.strict_table_name_types:
            stub = stub.replace("# pyright: basic\n", "")
        write_generated(functions, {**loaded.generated, "server.pyi": stub})
    finally:
        loaded.retire()


def pyright(root: Path) -> Iterator[Finding]:
    ran = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=root, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(ran.stdout)["generalDiagnostics"]
    for each in found:
        file = Path(each["file"]).relative_to(root.resolve()).as_posix()
        yield Finding(file, each["range"]["start"]["line"] + 1, each.get("rule", ""), each["message"])


def expectations(path: Path, pattern: str) -> dict[int, str]:
    """What the comments of a file expect, by line."""
    lines = enumerate(path.read_text("utf-8").splitlines(), 1)
    return {number: match[1] for number, line in lines if (match := re.search(pattern, line))}


@pytest.mark.parametrize("project", [*PROJECTS, *TEMPLATES])
def test_nothing_is_wrong_with_what_is_right(checked: Checked, project: str) -> None:
    wrong = [found for found in checked.of(project) if found.rule and not found.file.endswith("/wrong.py")]
    assert wrong == []


@pytest.mark.parametrize("project", PROJECTS)
def test_types_are_what_they_should_be(checked: Checked, project: str) -> None:
    expected: dict[tuple[str, int], str] = {}
    for path in (checked.root / project / "convex").rglob("*.py"):
        file = path.relative_to(checked.root).as_posix()
        expected |= {(file, line): text for line, text in expectations(path, r"reveal_type\(.*\)  # (.+)").items()}
    revealed = {
        (found.file, found.line): found.message.rpartition(' is "')[2].removesuffix('"')
        for found in checked.of(project)
        if found.message.startswith("Type of ") and not found.rule
    }
    assert revealed == expected


def test_every_mistake_is_refused_and_nothing_else(checked: Checked) -> None:
    path = checked.root / "example/convex/wrong.py"
    expected = {line: set(rules.split()) for line, rules in expectations(path, r"  # (report[\w ]+)$").items()}
    refused: dict[int, set[str]] = {}
    for found in checked.of("example"):
        if found.file.endswith("/wrong.py"):
            refused.setdefault(found.line, set()).add(found.rule)
    assert refused == expected
    assert len(expected) > 60


def test_a_wrong_field_is_named(checked: Checked) -> None:
    said = "\n".join(found.message for found in checked.of("example"))
    assert '"titel" is an undefined item in type "teams"' in said
    assert '"title" is required in "teams"' in said
